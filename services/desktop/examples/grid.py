"""grid: rows and columns. Move a button, let it span, stick it to the sides of its cell, give rows and columns weight."""

import tkinter as tk


def build(parent):
    frame = tk.Frame(parent)
    stage = tk.Frame(frame, relief="sunken", borderwidth=2, width=300, height=170)
    stage.pack(fill="both", expand=True)
    stage.grid_propagate(False)
    for number in range(9):
        cell = tk.Label(stage, text=f"{number // 3},{number % 3}", relief="groove", borderwidth=1)
        cell.grid(row=number // 3, column=number % 3, sticky="nsew", padx=1, pady=1)
    button = tk.Button(stage, text="me", background="salmon", foreground="black", relief="raised", borderwidth=2)

    panel = tk.Frame(frame)
    panel.pack(fill="x", pady=(6, 0))
    numbers = {}
    code = tk.StringVar(frame)

    def lay_out(*_):
        options = {name: variable.get() for name, variable in numbers.items()}
        sides = "".join(side for side, variable in sticky.items() if variable.get())
        button.grid(**options, sticky=sides)
        button.lift()
        for index in range(3):
            stage.columnconfigure(index, weight=weights["column"][index].get())
            stage.rowconfigure(index, weight=weights["row"][index].get())
        said = ", ".join(f"{name}={value}" for name, value in options.items())
        code.set(f"button.grid({said}, sticky={sides!r})")

    for column, (name, least, most) in enumerate(
        (("row", 0, 2), ("column", 0, 2), ("rowspan", 1, 3), ("columnspan", 1, 3), ("padx", 0, 30), ("ipadx", 0, 30))
    ):
        numbers[name] = tk.IntVar(frame, value=least)
        tk.Label(panel, text=name).grid(row=0, column=column, sticky="w", padx=2)
        tk.Spinbox(panel, from_=least, to=most, textvariable=numbers[name], width=4, command=lay_out).grid(
            row=1, column=column, sticky="w", padx=2
        )

    sticky = {side: tk.BooleanVar(frame) for side in "nsew"}
    row = tk.Frame(frame)
    row.pack(fill="x", pady=4)
    tk.Label(row, text="sticky").pack(side="left")
    for side, variable in sticky.items():
        tk.Checkbutton(row, text=side, variable=variable, command=lay_out).pack(side="left")

    weights = {kind: [tk.IntVar(frame, value=1) for _ in range(3)] for kind in ("row", "column")}
    for kind, variables in weights.items():
        row = tk.Frame(frame)
        row.pack(fill="x")
        tk.Label(row, text=f"weight of each {kind}", width=20, anchor="w").pack(side="left")
        for variable in variables:
            tk.Spinbox(row, from_=0, to=5, textvariable=variable, width=3, command=lay_out).pack(side="left", padx=2)
    tk.Label(frame, textvariable=code, font="TkFixedFont", anchor="w").pack(fill="x", pady=(6, 0))
    lay_out()
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
