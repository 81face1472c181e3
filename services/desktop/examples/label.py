"""Label: text, a StringVar that changes it, a built-in bitmap, an image made of pixels."""

import tkinter as tk


def build(parent):
    frame = tk.Frame(parent)
    tk.Label(frame, text="A label shows one text,\nor a picture.", justify="left").pack(anchor="w")

    # a StringVar is shared: whoever sets it changes every widget that shows it
    name = tk.StringVar(frame, value="world")
    greeting = tk.StringVar(frame)
    name.trace_add("write", lambda *_: greeting.set(f"Hello, {name.get()}!"))
    name.set("wire")
    tk.Entry(frame, textvariable=name).pack(anchor="w", pady=6)
    tk.Label(frame, textvariable=greeting, relief="ridge", borderwidth=2, padx=10, pady=6).pack(anchor="w")

    row = tk.Frame(frame)
    row.pack(anchor="w", pady=8)
    for bitmap in ("error", "info", "question", "warning", "hourglass", "gray50"):
        tk.Label(row, bitmap=bitmap, padx=4).pack(side="left", padx=4)

    # an image must be kept by Python for as long as it is shown: here by the label itself
    image = tk.PhotoImage(width=160, height=40)
    for x in range(160):
        image.put(f"#{x * 255 // 160:02x}60c0", to=(x, 0, x + 1, 40))
    picture = tk.Label(frame, image=image, text="compound text", compound="bottom")
    picture.image = image
    picture.pack(anchor="w")
    return frame


if __name__ == "__main__":
    root = tk.Tk()
    build(root).pack(fill="both", expand=True, padx=12, pady=12)
    root.mainloop()
