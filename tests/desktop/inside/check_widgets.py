"""The window's widgets, in process: run by pytest inside the desktop's container, on its own X server (see ../test_inside.py)."""

import gc
import socket
import threading
import time
import tkinter as tk
import tkinter.font as tkfont
from contextlib import suppress
from tkinter import messagebox

import pytest

from services.desktop import lessons, style
from services.desktop.model import Line, Model
from services.desktop.window import PAGES, Settings, open_window

FLOOD = 10_000  # messages a second


@pytest.fixture
def root():
    made = style.open_root()
    made.geometry("900x660")
    yield made
    with suppress(tk.TclError):  # a test has closed it
        made.destroy()
    gc.collect()


@pytest.fixture
def window(root, tmp_path):
    model = Model(("tcp-server", "127.0.0.1"))
    made = open_window(root, model, Settings("light", 1.0, "tcp", tmp_path))
    pump(root, lambda: root.winfo_viewable())
    yield made
    made.desk.worker.close()


def pump(root, condition, patience=10.0):
    """Let the event loop run until something holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        root.update()
        time.sleep(0.002)


def log_in_view(root, window):
    """Return the tab that shows a log, and the log."""
    tab = window.select("tcp")
    root.update()
    return tab, window.desk.model.topics["tcp"].log


class Server:
    """A server on 127.0.0.1 whose behaviour is one function."""

    def __init__(self, serve):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(serve,), daemon=True)
        self.thread.start()

    def run(self, serve):
        try:
            conn, _ = self.listening.accept()
            with conn:
                serve(conn, self.stopped)
        except OSError:
            pass

    def close(self):
        self.stopped.set()
        self.listening.close()
        self.thread.join(5)


class TestTabs:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_each_opens_in_each_theme(self, root, window, page, theme):
        if theme == "dark":
            window.switch()
        window.select(page.name)
        root.update()
        assert window.current == page.name
        window.switch()
        root.update()

    def test_a_greeting(self, root, window):
        server = Server(lambda conn, _stopped: conn.sendall(b"Thank you for connecting"))
        tab = window.select("tcp")
        tab.host.set("127.0.0.1")
        tab.port.set(str(server.port))
        tab.greet_button.invoke()
        topic = window.desk.model.topics["tcp"]
        pump(root, lambda: not topic.busy)
        pump(root, lambda: "← Thank you for connecting" in tab.log.text.get("1.0", "end"))
        server.close()

    def test_a_refused_connection_is_told_in_words(self, root, window):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        tab = window.select("tcp")
        tab.host.set("127.0.0.1")
        tab.port.set(str(port))
        tab.greet_button.invoke()
        topic = window.desk.model.topics["tcp"]
        pump(root, lambda: not topic.busy)
        assert topic.failed
        assert "refused" in topic.outcome

    def test_a_chat_that_the_server_ended_was_not_left(self, root, window):
        server = Server(lambda conn, _stopped: (conn.recv(100), conn.sendall(b"* the server stops; goodbye\r\n")))
        tab = window.select("tcp")
        tab.host.set("127.0.0.1")
        tab.chat_port.set(str(server.port))
        tab.join()
        topic = window.desk.model.topics["chat"]
        pump(root, lambda: not topic.busy)
        assert topic.outcome == "the server ended the chat"
        server.close()

    def test_what_fails_on_this_host_is_not_blamed_on_the_server(self, root, window, tmp_path):
        async def work(_job):
            (tmp_path / "none" / "file").write_text("")

        window.desk.worker.start("tcp", "Writing", work, "tcp-server:9")
        topic = window.desk.model.topics["tcp"]
        pump(root, lambda: not topic.busy)
        assert topic.outcome == f"`{tmp_path}/none/file`: No such file or directory"

    def test_a_message_goes_on_in_the_next_line_before_its_end_is_cut_off(self, root, window):
        line = window.select("udp").activities["udp"]
        line.said.set("some words")
        root.update()
        wrapped = int(str(line.label.cget("wraplength")))
        beside = line.label.winfo_reqwidth() - tkfont.nametofont("TkDefaultFont").measure("some words")
        assert beside > 0
        assert wrapped + beside <= line.label.winfo_width()

    @pytest.mark.parametrize("line", ["short", "ü" * 300, "many words " * 40], ids=["short", "one word", "words"])
    def test_a_log_follows_its_end(self, root, window, line):
        tab, log = log_in_view(root, window)
        for number in range(12):
            log.add((Line("sent", line), Line("received", f"{number}")))
            tab.log.draw(log)
            root.update()
            assert tab.log.text.dlineinfo("end-2c"), number

    def test_a_log_that_becomes_lower_still_follows_its_end(self, root, window):
        """As by a message below it that takes several lines."""
        tab, log = log_in_view(root, window)
        log.add(tuple(Line("sent", str(number)) for number in range(100)))
        tab.log.draw(log)
        root.update()
        high = tab.log.text.winfo_height()
        tab.activities["tcp"].said.set("many words " * 60)
        pump(root, lambda: tab.log.text.winfo_height() < high)
        root.update()
        log.add((Line("received", "more"),))
        tab.log.draw(log)
        root.update()
        assert tab.log.text.dlineinfo("end-2c")

    def test_a_log_whose_reader_has_scrolled_up_stays_there(self, root, window):
        tab, log = log_in_view(root, window)
        log.add(tuple(Line("sent", str(number)) for number in range(100)))
        tab.log.draw(log)
        root.update()
        tab.log.text.yview_moveto(0.2)
        root.update()
        before = tab.log.text.index("@0,0")
        log.add((Line("sent", "more"),))
        tab.log.draw(log)
        root.update()
        assert tab.log.text.index("@0,0") == before

    def test_logs_cannot_be_written_into_but_copied(self, root, window):
        tab = window.select("tcp")
        tab.log.text.insert("end", "words")
        tab.log.text.focus_force()
        root.update()
        tab.log.text.event_generate("x")
        root.update()
        assert tab.log.text.get("1.0", "end-1c") == "words"

    def test_closing_ends_the_network_thread(self, root, tmp_path):
        made = open_window(root, Model(), Settings("light", 1.0, "tcp", tmp_path))
        silent = Server(lambda _conn, stopped: stopped.wait(20))
        tab = made.select("tcp")
        tab.host.set("127.0.0.1")
        tab.port.set(str(silent.port))
        tab.greet()
        root.update()
        began = time.monotonic()
        root.event_generate("<<Close>>")
        assert time.monotonic() - began < 2
        assert not [thread for thread in threading.enumerate() if thread.name == "network"]
        silent.close()


CONTROLS = {"TButton", "TEntry", "TCombobox", "TCheckbutton", "Treeview", "Text", "Listbox", "Entry", "Button"}


def controls(widget):
    """Yield all fields, buttons, lists and texts that are on the screen."""
    for child in widget.winfo_children():
        if child.winfo_viewable():
            takes = child.winfo_class() in CONTROLS
            if takes and "disabled" not in (child.state() if hasattr(child, "state") else ()):
                yield child
            yield from controls(child)


class TestKeyboard:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_tab_alone_reaches_every_control_and_none_traps_it(self, root, window, page):
        tab = window.select(page.name)
        root.update()
        wanted = set(controls(tab))
        assert len(wanted) > 1  # the hosts' list and its button
        root.focus_force()
        pump(root, lambda: root.focus_get() is not None)
        seen, at, steps = set(), root.focus_get(), 0
        while not wanted <= seen:
            steps += 1
            assert steps < 120, wanted - seen
            code = page.name == "widgets" and at is tab.code.text
            at.event_generate("<Shift-Tab>" if code else "<Tab>")  # in the code Tab indents
            root.update()
            assert root.focus_get() is not at, at
            if code:
                at.tk_focusNext().focus_force()
                root.update()
            at = root.focus_get()
            seen.add(at)

    def test_return_presses_the_button_that_has_the_focus(self, root, window):
        tab = window.select("tcp")
        pressed = []
        tab.join_button.configure(command=lambda: pressed.append(1))
        tab.join_button.focus_force()
        root.update()
        tab.join_button.event_generate("<Return>")
        assert pressed == [1]

    def test_the_focus_is_seen(self, root, window):
        """Its border has the accent's colour, in fields and on buttons."""
        accent = window.desk.look.palette["accent"]
        for kind in ("TButton", "TEntry", "TCombobox"):
            assert style.ttk.Style(root).lookup(kind, "bordercolor", ["focus"]) == accent

    def test_dead_keys_work_once_the_window_is_drawn(self, root, window):
        pump(root, lambda: root.tk.call("tk", "useinputmethods"))


class TestSmallWindows:
    def test_a_tab_is_scrolled_and_what_gets_the_focus_comes_into_view(self, root, window):
        tab = window.select("tcp")
        window.book.pack_forget()  # the screen's manager makes every window as large as the screen
        window.book.place(x=0, y=60, width=400, height=240)
        page = window.page("tcp")
        pump(root, lambda: page.bars.get("y") and page.bars["y"].winfo_ismapped() and page.bars["x"].winfo_ismapped())
        for widget in (tab.say_button, tab.entry, tab.greet_button, tab.join_button):
            widget.focus_force()
            pump(root, lambda: root.focus_get() is not None)
            root.update()
            if widget.instate(["!disabled"]):
                top, bottom = widget.winfo_rooty(), widget.winfo_rooty() + widget.winfo_height()
                assert page.winfo_rooty() <= top and bottom <= page.winfo_rooty() + page.winfo_height(), widget
        window.book.place(width=1000, height=640)
        pump(root, lambda: not page.bars["y"].winfo_ismapped() and not page.bars["x"].winfo_ismapped())


class TestReplacing:
    """A file that is there is replaced only where the user agrees."""

    @pytest.mark.parametrize("page", ["files", "web"])
    def test_no_means_no(self, root, window, page, monkeypatch):
        asked = []
        window.desk.confirm = lambda _title, question: asked.append(question)
        (window.desk.downloads / "picture.png").write_bytes(b"mine")
        tab = window.select(page)
        monkeypatch.setattr(tab, "start", lambda *_: pytest.fail("it was started"))
        if page == "files":
            tab.table.show([("picture.png", ("picture.png", "", ""))])
            tab.download("picture.png")
        else:
            tab.download("/picture.png")
        assert "`picture.png` is in" in asked[0]
        assert "(4 B). Replace it?" in asked[0]


class TestFlood:
    def test_a_click_is_answered_within_100_ms_at_10000_messages_a_second(self, root, window):
        def flood(conn, stopped):
            line, began, sent = b"guest1: " + b"x" * 60 + b"\r\n", time.monotonic(), 0
            while not stopped.is_set():
                due = int((time.monotonic() - began) * FLOOD) - sent
                if due > 0:
                    conn.sendall(line * due)
                    sent += due
                time.sleep(0.005)

        server = Server(flood)
        tab = window.select("tcp")
        tab.host.set("127.0.0.1")
        tab.chat_port.set(str(server.port))
        tab.join()
        log = window.desk.model.topics["chat"].log
        pump(root, lambda: log.total > 3000)
        answered, waits = [], []
        button = tk.Button(root, command=lambda: answered.append(time.perf_counter()))
        before, began = log.total, time.perf_counter()
        for number in range(20):
            pressed = time.perf_counter()
            # from another thread, as the X server would: it is queued behind whatever the loop has to do
            root.after(0, button.invoke)
            pump(root, lambda number=number: len(answered) > number)
            waits.append(answered[-1] - pressed)
            pump(root, lambda pressed=pressed: time.perf_counter() > pressed + 0.05)
        rate = (log.total - before) / (time.perf_counter() - began)
        server.close()
        print(f"\nflood: {rate:.0f} messages/s, slowest of 20 clicks {max(waits) * 1000:.1f} ms")
        assert rate > FLOOD * 0.8
        assert max(waits) < 0.1
        assert int(tab.room.text.index("end-1c").split(".")[0]) <= 2001


class TestLessons:
    @pytest.mark.parametrize("lesson", lessons.LESSONS, ids=lambda lesson: lesson.name)
    def test_each_runs_as_it_is_shown(self, root, window, lesson):
        tab = window.select("widgets")
        tab.choose(lesson.name)
        root.update()
        assert tab.live is not None, tab.events.text.get("1.0", "end")
        assert "error" not in tab.events.text.get("1.0", "end")
        assert tab.code.text.get("1.0", "end-1c") == lesson.code

    def test_every_option_of_a_button_can_be_set(self, root, window):
        tab = window.select("widgets")
        tab.choose("button")
        row = next(child for child in tab.live.winfo_children() if child.winfo_class() == "Frame")
        widgets = {child.winfo_class(): child for child in row.winfo_children()}
        names, value = widgets["TCombobox"], widgets["Entry"]
        button = next(
            child
            for child in tab.live.winfo_children()
            if child.winfo_class() == "Button" and child["text"] == "look at me"
        )
        assert set(names["values"]) == set(button.keys())
        names.set("text")
        names.event_generate("<<ComboboxSelected>>")
        root.update()
        assert value.get() == "look at me"
        value.delete(0, "end")
        value.insert(0, "mended")
        widgets["Button"].invoke()
        assert button["text"] == "mended"
        names.set("relief")
        widgets["Button"].invoke()
        assert 'bad relief "mended"' in tab.events.text.get("1.0", "end")

    def test_the_buttons_callback_opens_a_box(self, root, window, monkeypatch):
        shown = []
        monkeypatch.setattr(messagebox, "showinfo", lambda *words, **_: shown.append(words))
        tab = window.select("widgets")
        tab.choose("button")
        tab.live.winfo_children()[0].invoke()
        assert shown == [("Say Hello", "Hello World")]
        assert "hello was called" in tab.events.text.get("1.0", "end")

    def test_changed_code_is_what_runs(self, root, window):
        tab = window.select("widgets")
        tab.code.show("import tkinter as tk\ndef build(parent):\n    return tk.Label(parent, text='mine')\n")
        tab.run()
        assert tab.live["text"] == "mine"

    @pytest.mark.parametrize(
        ("code", "said"),
        [
            ("def build(parent):\n    return 1 / 0", "ZeroDivisionError: division by zero (line 2)"),
            ("def build(parent)", "SyntaxError"),
            ("x = 1", "has no function `build(parent)`"),
            ("def build(parent): pass", "has to return the widget"),
            ("import sys\nsys.exit()", "SystemExit"),
        ],
    )
    def test_code_that_fails_says_where(self, root, window, code, said):
        tab = window.select("widgets")
        tab.code.show(code)
        tab.run()
        assert said in tab.events.text.get("1.0", "end")
        assert tab.live is None

    def test_events_are_logged(self, root, window):
        tab = window.select("widgets")
        tab.choose("entry")
        entry = tab.live.winfo_children()[0]
        pump(root, entry.winfo_viewable)
        entry.focus_force()
        root.update()
        entry.event_generate("<KeyPress-a>")
        root.update()
        assert "<KeyPress> a" in tab.events.text.get("1.0", "end")

    def test_copy_puts_the_code_on_the_clipboard(self, root, window):
        tab = window.select("widgets")
        tab.choose("label")
        tab.copy()
        assert root.clipboard_get() == lessons.LESSONS[1].code.rstrip("\n") + "\n"

    def test_the_entry_lesson_has_all_methods(self):
        code = next(lesson for lesson in lessons.LESSONS if lesson.name == "entry").code
        for method in (
            "insert", "delete", "get", "icursor", "index", "select_adjust", "select_clear", "select_from", "select_present",
            "select_range", "select_to", "xview", "xview_scroll",
        ):  # fmt: skip
            assert f"entry.{method}(" in code or f"entry.{method}," in code or f"entry.{method}" in code, method


class TestScale:
    def test_the_displays_own_density_counts(self, root):
        root.option_add("Xft.dpi", "192")  # as the display's resources would say it
        assert style.find_scale(root, None) == 2.0
        assert root.tk.call("tk", "appname").startswith("labctl")
        assert style.find_scale(root, 1.5) == 1.5
