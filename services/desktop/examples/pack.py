"""pack: widgets are laid against a side of what room is left. Change the options of each box and see."""

import tkinter as tk
from tkinter import ttk


def build(parent):
    frame = tk.Frame(parent)
    stage = tk.Frame(frame, relief="sunken", borderwidth=2, width=300, height=170)
    stage.pack(fill="both", expand=True)
    stage.pack_propagate(False)
    boxes = [
        tk.Label(stage, text=name, background=colour, foreground="black", relief="raised", borderwidth=2)
        for name, colour in (("one", "salmon"), ("two", "khaki"), ("three", "palegreen"))
    ]

    choices = {
        "side": ["top", "bottom", "left", "right"],
        "fill": ["none", "x", "y", "both"],
        "expand": ["0", "1"],
        "anchor": ["center", "n", "ne", "e", "se", "s", "sw", "w", "nw"],
        "padx": ["0", "5", "20"],
        "ipady": ["0", "5", "20"],
    }
    panel = tk.Frame(frame)
    panel.pack(fill="x", pady=(6, 0))
    tk.Label(panel, text="").grid(row=0, column=0)
    for column, option in enumerate(choices, start=1):
        tk.Label(panel, text=option).grid(row=0, column=column)

    chosen = []
    code = tk.StringVar(frame)

    def lay_out(*_):
        lines = []
        for box in boxes:
            box.pack_forget()
        for box, variables in zip(boxes, chosen, strict=False):
            options = {name: variable.get() for name, variable in variables.items()}
            box.pack(**options)
            said = ", ".join(
                f"{name}={value!r}" for name, value in options.items() if value not in ("0", "none", "center")
            )
            lines.append(f"{box['text']}.pack({said})")
        code.set("\n".join(lines))
        print(lines[-1] if len(chosen) == 3 else "")

    for row, box in enumerate(boxes, start=1):
        tk.Label(panel, text=box["text"]).grid(row=row, column=0, sticky="w", padx=(0, 4))
        variables = {}
        for column, (option, values) in enumerate(choices.items(), start=1):
            variables[option] = tk.StringVar(frame, value=values[0])
            menu = ttk.Combobox(panel, textvariable=variables[option], values=values, width=5, state="readonly")
            menu.grid(row=row, column=column, padx=1, pady=1)
            menu.bind("<<ComboboxSelected>>", lay_out)
        chosen.append(variables)
    tk.Label(frame, textvariable=code, font="TkFixedFont", justify="left", anchor="w").pack(fill="x", pady=(6, 0))
    lay_out()
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
