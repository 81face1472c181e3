"""Entry: every method that it has, each by a button; the result is printed."""

import tkinter as tk


def build(parent):
    frame = tk.Frame(parent)
    entry = tk.Entry(frame, width=30)
    entry.insert(0, "The quick brown fox jumps over the lazy dog, again and again")
    bar = tk.Scrollbar(frame, orient="horizontal", command=entry.xview)
    entry.configure(xscrollcommand=bar.set)
    entry.grid(row=0, column=0, columnspan=4, sticky="ew")
    bar.grid(row=1, column=0, columnspan=4, sticky="ew", pady=(0, 6))

    password = tk.Entry(frame, show="*", width=14)
    password.insert(0, "secret")
    tk.Label(frame, text='show="*"').grid(row=2, column=0)
    password.grid(row=2, column=1, columnspan=3, sticky="ew", pady=(0, 6))

    def focused(action):
        def run():
            entry.focus_set()  # the cursor and the selection are seen in the widget that has the focus
            result = action()
            if result is not None:
                print(result)

        return run

    steps = [
        ('insert("insert", "*")', lambda: entry.insert("insert", "*")),
        ('insert("end", "!")', lambda: entry.insert("end", "!")),
        ("delete(0)", lambda: entry.delete(0)),
        ("delete(0, 4)", lambda: entry.delete(0, 4)),
        ("get()", lambda: entry.get()),
        ("icursor(10)", lambda: entry.icursor(10)),
        ('index("insert")', lambda: entry.index("insert")),
        ('index("end")', lambda: entry.index("end")),
        ("select_range(4, 9)", lambda: entry.select_range(4, 9)),
        ('select_to("end")', lambda: entry.select_to("end")),
        ("select_from(20)", lambda: entry.select_from(20)),
        ("select_to(30)", lambda: entry.select_to(30)),
        ("select_adjust(15)", lambda: entry.select_adjust(15)),
        ("select_present()", lambda: entry.select_present()),
        ("select_clear()", lambda: entry.select_clear()),
        ("xview(10)", lambda: entry.xview(10)),
        ("xview_moveto(1.0)", lambda: entry.xview_moveto(1.0)),
        ('xview_scroll(-5, "units")', lambda: entry.xview_scroll(-5, "units")),
    ]
    for number, (text, action) in enumerate(steps):
        button = tk.Button(frame, text=text, font="TkFixedFont", anchor="w", padx=4, pady=1, command=focused(action))
        button.grid(row=3 + number // 2, column=(number % 2) * 2, columnspan=2, sticky="ew", padx=1, pady=1)
    for column in range(4):
        frame.columnconfigure(column, weight=1)
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
