"""The page in Chromium: it says of a plain segment, which it reads itself, what `describe.py` says of it; and it is quick with many."""

import json
import shutil

import pytest

from labctl.paths import page_file
from labctl.wire.build import build_trace
from labctl.wire.capture import Capture
from labctl.wire.html import draw_html
from labctl.wire.ladder import lay_out
from labctl.wire.model import Call
from labctl.wire.tie import tie
from tests.desktop.browser import Browser
from tests.wire.frames import ACK, FIN, MS, NAMES, PSH, RST, SYN, A, B, Talk, udp

MSS, SHIFT = b"\x02\x04\x05\xb4", b"\x03\x03\x07\x00"
PAYLOADS = [
    b"x", b"two\r\nlines\tand a tab", b'quotes " and \\', b"\0\1\2\3\4\5", b"half \0\1\2\3 text",
    "Zeichen 漢字 ü …".encode(), b"\xff\xfe\xfd bad",
    b"\xe2\x82", "\u00a0\u200b\u2028 \U0001f600".encode(), b"y" * 48, b"y" * 49, b"z" * 1000, "\ufeffmark".encode(), b" ends with blanks  ",
]  # fmt: skip
READ = "JSON.stringify(D.rows.map((_, i) => row(i)).map(r => [r[FRAME], word(r[TEXT]), word(r[MORE]), D.lanes[r[FROM]], D.lanes[r[TO]]]))"

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), reason="no Chromium here"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("chromium"), (1280, 900))
    yield browser
    browser.close()


def opened(browser, folder, talk, calls=()):
    trace = build_trace(Capture(talk.frames), NAMES)
    tie(trace, calls)
    ladder = lay_out(trace)
    path = folder / "page.html"
    path.write_text(draw_html(trace, ladder, page_file().read_text(), "a title"))
    browser.open(path.as_uri())
    browser.until("typeof shown === 'object' && document.title === 'a title' && shown.length > 0")
    return ladder


def variety():
    talk = Talk().a(0, SYN, 100, options=MSS + SHIFT).b(1, SYN | ACK, 300, 101, options=MSS + SHIFT).a(2, ACK, 101, 301)
    seq = 101
    for number, data in enumerate(PAYLOADS):
        talk.a(3 + 2 * number, ACK | PSH * (number % 2), seq, 301, data, options=b"\x01\x01\x08\x0a" + bytes(8))
        seq += len(data)
        talk.b(4 + 2 * number, ACK, 301, seq, window=500 + number)
    talk.at(50, udp(b"between")).a(51, ACK, seq, 301, b"late").a(300, ACK, seq, 301, b"late")
    return talk.a(301, FIN | ACK, seq + 4, 301).b(302, RST, 301).a(303, 0, seq + 5, 9)


def test_it_says_what_the_other_pictures_say(browser, tmp_path):
    ladder = opened(browser, tmp_path, variety())
    told = json.loads(browser.value(READ))
    assert [row[0] for row in told] == [row.frame for row in ladder.rows]
    for (frame, *said), row in zip(told, ladder.rows, strict=True):
        if frame:
            assert said == [row.text, row.detail, row.source, row.target], frame
    assert browser.value("WAYS.filter(w => w >= 0).length") > 2 * len(PAYLOADS) - 2  # so many the page read itself


def test_a_frame_is_shown_with_its_octets_and_found_by_its_link(browser, tmp_path):
    opened(browser, tmp_path, variety())
    browser.value("location.hash = '#frame-6'; byHash()")
    shown = browser.value("document.getElementById('detail').textContent")
    assert "Frame 6" in shown
    assert "Sequence Number" in shown
    assert "two\\r\\nlines" in shown
    browser.value("$('find').value = 'QUOTES'; $('find').dispatchEvent(new Event('input'))")
    assert browser.value("shown.map(i => NUMBERS[i])") == [8]


def test_who_points_at_a_line_sees_the_whole_of_it(browser, tmp_path):
    opened(browser, tmp_path, Talk().opened().a(3, ACK | PSH, 101, 301, b"a line that is longer than any lane " * 5))
    told = browser.value("[...document.querySelectorAll('.row')].map(g => g.querySelector('title').textContent)")
    (whole,) = [text for text in told if text.startswith("frame 4, ")]
    assert "client to server" in whole
    assert "a line that is longer" in whole


def test_calls_on_both_sides_fit_beside_the_octets_without_scrolling(browser, tmp_path):
    one, other, words = f"{A}:4000", f"{B}:7", f"{b'x' * 40!r}, 40, MSG_NOSIGNAL"
    calls = [
        Call("client", 1, "c", 2_900_000, 0.000123, "sendto", 4, 40, "", words, one, other, "TCP", b"x" * 40),
        Call("server", 1, "s", 2_900_000, 0.000223, "recvfrom", 4, 40, "", words, other, one, "TCP", b"x" * 40),
    ]
    opened(browser, tmp_path, Talk().opened(), calls)
    assert browser.value("hasCalls && G.outside")
    assert browser.value("scroll.scrollWidth - scroll.clientWidth") == 0


def test_a_long_one_is_drawn_in_part(browser, tmp_path):
    talk = Talk().opened()
    for number in range(5000):
        talk.a(3 + 2 * number, ACK, 101 + number, 301, b"x").b(4 + 2 * number, ACK, 301, 102 + number)
    opened(browser, tmp_path, talk)
    browser.value("scroll.scrollTop = total / 2; draw()")
    assert browser.value("document.querySelectorAll('.row').length") < 100
    assert browser.value("D.rows.filter(r => r).length") < 1000  # the rest is not even made


def test_calls_and_notes_fit_beside_two_lanes(browser, tmp_path):
    call = Call("client", 1, "x", MS // 2, 0.002, "connect", 3, 0, "", "3, server:7", f"{A}:4000", f"{B}:7", "TCP")
    opened(browser, tmp_path, variety(), [call])
    assert browser.value("G.outside")
    assert browser.value("scroll.scrollWidth <= scroll.clientWidth")
