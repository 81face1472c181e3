"""place: where exactly, in pixels (x, y) and in shares of the parent (relx, rely); resize the window to see the difference."""

import tkinter as tk


def build(parent):
    frame = tk.Frame(parent)
    stage = tk.Frame(frame, relief="sunken", borderwidth=2, width=300, height=170)
    stage.pack(fill="both", expand=True)
    button = tk.Button(stage, text="me", background="khaki", foreground="black", relief="raised", borderwidth=2)

    panel = tk.Frame(frame)
    panel.pack(fill="x", pady=(4, 0))
    code = tk.StringVar(frame)
    settings = {"x": (-100, 300, 1), "y": (-100, 200, 1), "relx": (0, 1, 0.05), "rely": (0, 1, 0.05),
                "relwidth": (0, 1, 0.05), "relheight": (0, 1, 0.05)}  # fmt: skip
    values = {name: tk.DoubleVar(frame) for name in settings}
    values["relx"].set(0.5)
    values["rely"].set(0.5)
    anchor = tk.StringVar(frame, value="center")

    def lay_out(*_):
        options = {name: round(variable.get(), 2) for name, variable in values.items()}
        # a relative size of 0 would mean no size at all: left out, the button takes its own
        wanted = {
            name: value
            for name, value in options.items()
            if not name.startswith("rel") or value or name in ("relx", "rely")
        }
        button.place_forget()
        button.place(**wanted, anchor=anchor.get())
        code.set(
            "button.place(" + ", ".join(f"{n}={v:g}" for n, v in wanted.items() if v) + f", anchor={anchor.get()!r})"
        )

    for number, (name, (least, most, step)) in enumerate(settings.items()):
        scale = tk.Scale(
            panel,
            label=name,
            from_=least,
            to=most,
            resolution=step,
            orient="horizontal",
            variable=values[name],
            command=lay_out,
        )
        scale.grid(row=number // 2, column=number % 2, sticky="ew", padx=4)
    panel.columnconfigure((0, 1), weight=1)
    tk.OptionMenu(panel, anchor, "nw", "n", "ne", "w", "center", "e", "sw", "s", "se", command=lay_out).grid(
        row=3, column=0, sticky="w"
    )
    tk.Label(frame, textvariable=code, font="TkFixedFont", anchor="w", justify="left", wraplength=330).pack(
        fill="x", pady=(4, 0)
    )
    lay_out()
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
