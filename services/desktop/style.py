"""How the window looks: one palette for ttk (on `clam`) and, through the option database, for the classic Tk widgets too.

No images: a theme made of pictures sends 30 to 50 times as much over X. Fonts are in points and distances are scaled, so one number
(`tk scaling`) serves every density of pixels.
"""

import tkinter as tk
import tkinter.font as tkfont
from collections.abc import Mapping
from contextlib import suppress
from tkinter import ttk

Palette = Mapping[str, str]

PALETTES: Mapping[str, Palette] = {
    "light": {
        "back": "#f5f6f8", "card": "#ffffff", "text": "#1c2733", "quiet": "#5b6b7b", "line": "#c9d1d9", "accent": "#1d5fd6",
        "accent_hover": "#174cb0", "on_accent": "#ffffff", "hover": "#e3ebf8", "error": "#b42318", "good": "#13733b", "sent": "#1d5fd6",
        "warn": "#8a5a00",
    },
    "dark": {
        "back": "#1b1f26", "card": "#252a33", "text": "#e6e9ef", "quiet": "#9fabb8", "line": "#414956", "accent": "#5b97ff",
        "accent_hover": "#7fb0ff", "on_accent": "#0a1020", "hover": "#303b4f", "error": "#ff8a80", "good": "#7ee2a0", "sent": "#8ab6ff",
        "warn": "#f0c15c",
    },
}  # fmt: skip
FAMILIES = ("Inter", "DejaVu Sans")
FIXED = ("JetBrains Mono", "DejaVu Sans Mono")
FONT_SIZE = 10  # points
NORMAL_DPI = 96.0


class Look:
    """The palette in use, and how many pixels a distance has.

    Args:
        scale: 1.0 is 96 dots an inch.
    """

    def __init__(self, palette: Palette, scale: float, dark: bool) -> None:
        self.palette = palette
        self.scale = scale
        self.dark = dark

    def px(self, distance: float) -> int:
        """Return a distance of the 96-dpi design in this screen's pixels."""
        return max(1, round(distance * self.scale)) if distance else 0


def open_root() -> tk.Tk:
    """Return the application's root; for as long as it is called `Xft`, `find_scale` may ask it."""
    root = tk.Tk(className="Labctl", useTk=False)
    root.tk.call("set", "argv", ("-name", "Xft", "-class", "Labctl"))  # what Tk reads when it is loaded
    root.loadtk()
    return root


def find_scale(root: tk.Tk, wanted: float | None) -> float:
    """Return the scale: as wanted, or as the display's `Xft.dpi` says, which Tk 8.6 does not read by itself.

    Resources go by the application's name, and the root comes as `Xft` (`open_root`): it gets its own name here.
    """
    dpi = root.option_get("dpi", "Dpi")
    root.tk.call("tk", "appname", "labctl")
    if wanted:
        return wanted
    with suppress(ValueError):
        if dpi and float(dpi) > 0:
            return min(4.0, max(0.75, float(dpi) / NORMAL_DPI))
    return 1.0


def apply(root: tk.Tk, theme: str, scale: float) -> Look:
    """Dress the whole application; to be called before widgets are made, and again with another theme at any time."""
    look = Look(PALETTES[theme], scale, theme == "dark")
    root.tk.call("tk", "scaling", scale * NORMAL_DPI / 72)
    _fonts(root)
    root.configure(background=look.palette["back"])
    _ttk(ttk.Style(root), look)
    _classic(root, look)
    for kind in ("TEntry", "Entry", "TCombobox"):  # X11's Tk goes to the line's begin instead
        root.bind_class(kind, "<Control-a>", _select_all)
    return look


def _select_all(event: "tk.Event[tk.Misc]") -> str:
    event.widget.selection_range(0, "end")  # type: ignore[attr-defined]
    return "break"


def _fonts(root: tk.Tk) -> None:
    there = set(tkfont.families(root))
    family = next((name for name in FAMILIES if name in there), "TkDefaultFont")
    fixed = next((name for name in FIXED if name in there), "TkFixedFont")
    if "LabBold" not in tkfont.names(root):
        root.tk.call("font", "create", "LabBold")  # not `Font()`, which deletes its font when Python forgets it
    for name in ("TkDefaultFont", "TkTextFont", "TkMenuFont", "TkHeadingFont", "TkCaptionFont", "TkTooltipFont"):
        tkfont.nametofont(name).configure(family=family, size=FONT_SIZE, weight="normal")
    tkfont.nametofont("LabBold").configure(family=family, size=FONT_SIZE, weight="bold")
    tkfont.nametofont("TkFixedFont").configure(family=fixed, size=FONT_SIZE)


def _ttk(style: ttk.Style, look: Look) -> None:
    c, px = look.palette, look.px
    style.theme_use("clam")
    style.configure(
        ".", background=c["back"], foreground=c["text"], bordercolor=c["line"], lightcolor=c["back"], darkcolor=c["back"],
        troughcolor=c["line"], fieldbackground=c["card"], insertcolor=c["text"], selectbackground=c["accent"],
        selectforeground=c["on_accent"], focuscolor=c["accent"], insertwidth=px(1.5), arrowsize=px(12), arrowcolor=c["text"],
        font="TkDefaultFont",
    )  # fmt: skip
    style.map(".", foreground=[("disabled", c["quiet"])])
    pad = (px(12), px(5))
    style.configure(
        "TButton",
        padding=pad,
        background=c["card"],
        lightcolor=c["card"],
        darkcolor=c["card"],
        anchor="center",
        width=-6,
    )
    style.map(
        "TButton",
        background=[("disabled", c["back"]), ("pressed", c["line"]), ("active", c["hover"])],
        lightcolor=[("disabled", c["back"]), ("pressed", c["line"]), ("active", c["hover"])],
        darkcolor=[("disabled", c["back"]), ("pressed", c["line"]), ("active", c["hover"])],
        bordercolor=[("focus", c["accent"])],
    )
    style.configure(
        "Accent.TButton", background=c["accent"], foreground=c["on_accent"], lightcolor=c["accent"], darkcolor=c["accent"],
        bordercolor=c["accent"], focuscolor=c["on_accent"],
    )  # fmt: skip
    hover = [("disabled", c["line"]), ("pressed", c["accent_hover"]), ("active", c["accent_hover"])]
    style.map(
        "Accent.TButton", background=hover, lightcolor=hover, darkcolor=hover, foreground=[("disabled", c["quiet"])]
    )
    for kind in ("TEntry", "TCombobox", "TSpinbox"):
        style.configure(kind, padding=px(4), lightcolor=c["card"], darkcolor=c["card"])
        style.map(
            kind,
            bordercolor=[("focus", c["accent"])],
            lightcolor=[("focus", c["accent"])],
            fieldbackground=[("disabled", c["back"]), ("readonly", c["card"])],
            foreground=[("disabled", c["quiet"]), ("readonly", c["text"])],
            selectbackground=[("readonly", c["card"])],
            selectforeground=[("readonly", c["text"])],
            arrowcolor=[("disabled", c["quiet"])],
        )
    style.configure("TCombobox", background=c["card"], arrowsize=px(13))
    style.map("TCombobox", background=[("active", c["hover"])])
    _notebook(style, look)
    style.configure("Card.TFrame", background=c["card"])
    style.configure("Title.TLabel", font="LabBold")
    style.configure("Quiet.TLabel", foreground=c["quiet"])
    style.configure("Error.TLabel", foreground=c["error"])
    style.configure("Good.TLabel", foreground=c["good"])
    style.configure(
        "TLabelframe",
        background=c["back"],
        bordercolor=c["line"],
        lightcolor=c["back"],
        darkcolor=c["back"],
        padding=px(8),
    )
    style.configure("TLabelframe.Label", background=c["back"], foreground=c["quiet"])
    style.configure(
        "Horizontal.TProgressbar", background=c["accent"], bordercolor=c["line"], lightcolor=c["accent"], darkcolor=c["accent"],
        thickness=px(8),
    )  # fmt: skip
    for kind in ("Vertical.TScrollbar", "Horizontal.TScrollbar"):
        style.configure(
            kind, background=c["line"], troughcolor=c["back"], bordercolor=c["back"], lightcolor=c["line"], darkcolor=c["line"],
            gripcount=0, arrowsize=px(11), arrowcolor=c["quiet"],
        )  # fmt: skip
        style.map(kind, background=[("disabled", c["back"]), ("active", c["quiet"])], lightcolor=[("disabled", c["back"])],
                  darkcolor=[("disabled", c["back"])], arrowcolor=[("disabled", c["line"])])  # fmt: skip
    row = tkfont.nametofont("TkDefaultFont").metrics("linespace") + px(8)
    style.configure("Treeview", background=c["card"], fieldbackground=c["card"], foreground=c["text"], rowheight=row, borderwidth=1,
                    indent=px(18), lightcolor=c["card"])  # fmt: skip
    style.configure(
        "Treeview.Heading",
        background=c["back"],
        foreground=c["quiet"],
        relief="flat",
        padding=px(5),
        font="TkDefaultFont",
    )
    style.map("Treeview.Heading", background=[("active", c["hover"])])
    style.map("Treeview", background=[("selected", c["accent"])], foreground=[("selected", c["on_accent"])])
    for kind in ("TCheckbutton", "TRadiobutton"):
        style.configure(kind, indicatorbackground=c["card"], indicatorforeground=c["on_accent"], indicatorsize=px(13),
                        indicatormargin=px(3), padding=px(2), focuscolor=c["accent"])  # fmt: skip
        style.map(kind, indicatorbackground=[("selected", c["accent"])], background=[("active", c["back"])])
    style.configure("TPanedwindow", background=c["back"])
    style.configure(
        "Sash", sashthickness=px(6), gripcount=0, background=c["back"], lightcolor=c["back"], bordercolor=c["back"]
    )
    style.configure("TSeparator", background=c["line"], lightcolor=c["back"], darkcolor=c["line"])


def _notebook(style: ttk.Style, look: Look) -> None:
    c, px = look.palette, look.px
    style.configure("TNotebook", background=c["back"], bordercolor=c["line"], lightcolor=c["back"], darkcolor=c["back"],
                    tabmargins=(0, px(2), 0, 0), padding=0)  # fmt: skip
    pad = (px(12), px(6))
    style.configure("TNotebook.Tab", padding=pad, background=c["back"], foreground=c["quiet"], lightcolor=c["back"],
                    darkcolor=c["back"], bordercolor=c["back"])  # fmt: skip
    style.map(
        "TNotebook.Tab",
        background=[("selected", c["card"]), ("active", c["hover"])],
        foreground=[("selected", c["accent"]), ("active", c["text"])],
        lightcolor=[("selected", c["accent"])],
        bordercolor=[("selected", c["line"])],
        padding=[("selected", pad)],
        expand=[("selected", (0, 0, 0, 0))],
    )


def _classic(root: tk.Tk, look: Look) -> None:
    """Dress classic widgets through the option database, so that a lesson's `tk.Button(frame, text="Send")` needs no more words."""
    c, px = look.palette, look.px
    options = {
        "*background": c["back"], "*foreground": c["text"], "*Font": "TkDefaultFont", "*activeBackground": c["hover"],
        "*activeForeground": c["text"], "*disabledForeground": c["quiet"], "*highlightThickness": px(1),
        "*highlightBackground": c["line"], "*highlightColor": c["accent"], "*selectBackground": c["accent"],
        "*selectForeground": c["on_accent"], "*troughColor": c["line"], "*insertBackground": c["text"], "*insertWidth": px(2),
        "*Button.relief": "flat", "*Button.background": c["card"], "*Button.padX": px(12), "*Button.padY": px(4),
        "*Button.borderWidth": px(1), "*Label.highlightThickness": 0, "*Frame.highlightThickness": 0,
        "*Entry.relief": "flat", "*Entry.background": c["card"], "*Entry.borderWidth": px(4),
        "*Spinbox.background": c["card"], "*Spinbox.relief": "flat", "*Spinbox.buttonBackground": c["back"],
        "*Checkbutton.highlightThickness": 0, "*Checkbutton.selectColor": c["card"], "*Radiobutton.highlightThickness": 0,
        "*Radiobutton.selectColor": c["card"], "*Scale.highlightThickness": 0, "*Scale.relief": "flat", "*Scale.borderWidth": px(1),
        "*Text.relief": "flat", "*Text.background": c["card"], "*Text.padX": px(8), "*Text.padY": px(6), "*Text.font": "TkFixedFont",
        "*Listbox.background": c["card"], "*Listbox.relief": "flat", "*Listbox.borderWidth": px(2),
        "*Canvas.background": c["card"], "*Canvas.highlightThickness": 0,
        "*Menu.relief": "flat", "*Menu.activeBackground": c["accent"], "*Menu.activeForeground": c["on_accent"],
        "*Dialog.msg.wrapLength": "4i", "*TCombobox*Listbox.background": c["card"], "*TCombobox*Listbox.foreground": c["text"],
        "*TCombobox*Listbox.font": "TkDefaultFont",
    }  # fmt: skip
    for pattern, value in options.items():
        root.option_add(pattern, value, "startupFile")
