"""Dialogs: all kinds of message box, simple questions, files, colours. Each stops its caller until it is answered."""

import tkinter as tk
from tkinter import colorchooser, filedialog, messagebox, simpledialog


def build(parent):
    frame = tk.Frame(parent)
    answer = tk.StringVar(frame, value="the answer comes here")
    tk.Label(frame, textvariable=answer, relief="groove", borderwidth=2, pady=6, wraplength=320).pack(fill="x")

    def ask(function, *words, **options):
        def run():
            result = function(*words, parent=frame, **options)
            print(function.__name__, "returned", repr(result))
            answer.set(repr(result))

        return run

    groups = {
        "messagebox": [
            ("showinfo", ask(messagebox.showinfo, "showinfo", "For your information.")),
            ("showwarning", ask(messagebox.showwarning, "showwarning", "Mind the gap.")),
            ("showerror", ask(messagebox.showerror, "showerror", "That went wrong.")),
            ("askyesno", ask(messagebox.askyesno, "askyesno", "Yes or no?")),
            ("askokcancel", ask(messagebox.askokcancel, "askokcancel", "Go on?")),
            ("askretrycancel", ask(messagebox.askretrycancel, "askretrycancel", "Once more?")),
            ("askquestion", ask(messagebox.askquestion, "askquestion", "Is this a question?")),
            ("askyesnocancel", ask(messagebox.askyesnocancel, "askyesnocancel", "Save before closing?")),
        ],
        "simpledialog": [
            ("askstring", ask(simpledialog.askstring, "askstring", "Your name?")),
            ("password", ask(simpledialog.askstring, "askstring", "A secret?", show="*")),
            ("askinteger", ask(simpledialog.askinteger, "askinteger", "A port?", minvalue=1, maxvalue=65535)),
            ("askfloat", ask(simpledialog.askfloat, "askfloat", "Seconds?", minvalue=0.0)),
        ],
        "filedialog, colorchooser": [
            ("askopenfilename", ask(filedialog.askopenfilename)),
            ("asksaveasfilename", ask(filedialog.asksaveasfilename, defaultextension=".txt")),
            ("askdirectory", ask(filedialog.askdirectory)),
            ("askcolor", ask(colorchooser.askcolor, "#4f8cff")),
        ],
    }
    for title, buttons in groups.items():
        group = tk.LabelFrame(frame, text=title, padx=4, pady=4)
        group.pack(fill="x", pady=3)
        for number, (text, command) in enumerate(buttons):
            button = tk.Button(group, text=text, command=command, padx=4, pady=1)
            button.grid(row=number // 2, column=number % 2, sticky="ew", padx=2, pady=1)
        group.columnconfigure((0, 1), weight=1, uniform="half")
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
