"""Button: a hello callback with a message box; flash and invoke; every option, changed at run time."""

import tkinter as tk
from tkinter import messagebox, ttk


def build(parent):
    frame = tk.Frame(parent)

    def hello():
        print("hello was called")
        messagebox.showinfo("Say Hello", "Hello World", parent=frame)

    hello_button = tk.Button(frame, text="Hello", command=hello)
    hello_button.grid(row=0, column=0, padx=4, pady=4)

    # invoke() calls the callback as a click would; flash() blinks between the normal and the active colours
    tk.Button(frame, text="invoke()", command=hello_button.invoke).grid(row=0, column=1, padx=4)
    tk.Button(frame, text="flash()", command=hello_button.flash).grid(row=0, column=2, padx=4)

    # every option may be set when the button is made, and again at any time by configure()
    options = tk.Button(
        frame,
        text="look at me",
        width=14,
        height=2,
        relief="raised",
        borderwidth=3,
        foreground="white",
        background="seagreen",
        activebackground="darkgreen",
        activeforeground="white",
        cursor="hand2",
        underline=0,
    )
    options.grid(row=1, column=0, columnspan=3, pady=8)

    reliefs = ["raised", "sunken", "flat", "ridge", "groove", "solid"]
    for column, relief in enumerate(reliefs):
        tk.Button(
            frame, text=relief, relief=relief, borderwidth=3, command=lambda r=relief: options.configure(relief=r)
        ).grid(row=2 + column // 3, column=column % 3, sticky="ew", padx=2, pady=2)

    # keys() tells all options; a value that Tk does not take is told in its own words
    chosen, value = tk.StringVar(frame), tk.StringVar(frame)

    def read(*_):
        value.set(str(options.cget(chosen.get())))

    def write(*_):
        try:
            options.configure({chosen.get(): value.get()})
        except tk.TclError as error:
            print(error)

    row = tk.Frame(frame)
    row.grid(row=5, column=0, columnspan=3, sticky="ew", pady=6)
    names = ttk.Combobox(row, textvariable=chosen, values=options.keys(), width=12, state="readonly")
    names.bind("<<ComboboxSelected>>", read)
    names.pack(side="left")
    entry = tk.Entry(row, textvariable=value, width=8)
    entry.bind("<Return>", write)
    entry.pack(side="left", fill="x", expand=True, padx=4)
    tk.Button(row, text="set", padx=6, command=write).pack(side="left")
    chosen.set("justify")
    read()

    def toggle():
        now = str(options["state"])  # an option is read like an item of a dictionary
        options.configure(state="normal" if now == "disabled" else "disabled")

    tk.Button(frame, text="disable / enable", command=toggle).grid(row=4, column=0, columnspan=3, sticky="ew", pady=6)
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
