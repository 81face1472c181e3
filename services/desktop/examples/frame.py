"""Frame: a box that holds other widgets; relief and border; frames within frames."""

import tkinter as tk


def build(parent):
    frame = tk.Frame(parent)
    for number, relief in enumerate(("flat", "raised", "sunken", "ridge", "groove", "solid")):
        box = tk.Frame(frame, relief=relief, borderwidth=4, width=90, height=54)
        box.grid(row=number // 3, column=number % 3, padx=6, pady=6)
        box.grid_propagate(False)  # keep the size that was asked for, whatever is inside
        tk.Label(box, text=relief).grid(padx=6, pady=10)

    # a frame in a frame in a frame: each has a geometry manager of its own
    outer = tk.Frame(frame, borderwidth=2, relief="ridge", background="steelblue")
    outer.grid(row=2, column=0, columnspan=3, sticky="ew", padx=6, pady=6)
    inner = tk.Frame(outer, borderwidth=2, relief="ridge", background="lightsteelblue")
    inner.pack(padx=12, pady=12, fill="x")
    tk.Label(inner, text="packed in the inner frame", background="lightsteelblue", foreground="black").pack(side="left")
    innermost = tk.Frame(inner, borderwidth=2, relief="sunken")
    innermost.pack(side="right", padx=8, pady=8)
    for number in range(4):
        tk.Button(innermost, text=str(number + 1), padx=6, pady=2).grid(row=number // 2, column=number % 2)

    tk.Scale(
        frame, from_=0, to=20, orient="horizontal", label="borderwidth of the blue frame",
        command=lambda value: outer.configure(borderwidth=int(value)),
    ).grid(row=3, column=0, columnspan=3, sticky="ew", padx=6)  # fmt: skip
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
