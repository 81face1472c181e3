"""The event loop: bind, after, and work in a thread whose results come back through a queue. Nothing here blocks the window."""

import queue
import threading
import time
import tkinter as tk


def build(parent):
    frame = tk.Frame(parent)
    pad = tk.Label(frame, text="move, click and type here", relief="groove", borderwidth=2, height=4, takefocus=True)
    pad.pack(fill="x")
    last = tk.StringVar(frame, value="no event yet")
    tk.Label(frame, textvariable=last, font="TkFixedFont", anchor="w").pack(fill="x")
    pad.bind("<Button-1>", lambda event: (pad.focus_set(), last.set(f"<Button-1> at {event.x},{event.y}")))
    pad.bind("<Motion>", lambda event: last.set(f"<Motion> at {event.x},{event.y}"))
    pad.bind("<Key>", lambda event: last.set(f"<Key> {event.keysym}"))

    # after() asks the loop to call a function later: a clock needs no thread
    clock = tk.StringVar(frame)
    tk.Label(frame, textvariable=clock, font="TkFixedFont").pack(pady=4)

    def tick():
        clock.set(time.strftime("%H:%M:%S"))
        frame.after(1000, tick)

    tick()

    # a thread may not touch Tk: it puts its results into a queue, which the loop empties every 20 ms
    results = queue.SimpleQueue()
    said = tk.StringVar(frame, value="three seconds of work, twice:")
    tk.Label(frame, textvariable=said).pack()

    def work():
        for step in range(1, 31):
            time.sleep(0.1)
            results.put(f"the thread has done {step} of 30")

    def drain():
        try:
            while True:
                said.set(results.get_nowait())
        except queue.Empty:
            frame.after(20, drain)

    drain()
    row = tk.Frame(frame)
    row.pack(pady=6)
    tk.Button(row, text="in a thread", command=lambda: threading.Thread(target=work, daemon=True).start()).pack(
        side="left", padx=4
    )

    def freeze():
        time.sleep(3)  # the loop stands still: no clock, no redraw, no click
        said.set("now the window answers again")

    tk.Button(row, text="in the callback (freezes)", command=freeze).pack(side="left", padx=4)
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
