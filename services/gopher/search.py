"""The search item: which texts of the server hold all the words? gophernicus runs this for `/cgi-bin/search TAB words`.

gophernicus gives the words and its own name in the environment, as a web server gives them to a CGI program (RFC 3875), and sends what
is printed as the menu.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from services.gopher.protocol import PORT, Item

MOST = 50  # items of an answer
SHOWN = 64  # characters of a line that is shown


def find(root: Path, words: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield each text that holds all words, in whatever case, with its first line that holds one of them."""
    for path in sorted(root.rglob("*.txt")):
        text = path.read_text(encoding="utf-8", errors="replace")
        folded = text.casefold()
        if words and all(word in folded for word in words):
            yield path, next(line for line in text.splitlines() if any(word in line.casefold() for word in words))


def answer(root: Path, asked: str, host: str, port: int) -> Iterator[bytes]:
    """Yield the lines of the answer's menu."""
    words = plain(asked).casefold().split()
    found = list(find(root, words))[: MOST + 1] if words else []
    say = f"{len(found)} with `{' '.join(words)}`" if words else "say what to search for"
    yield info(f"Texts: {say}")
    for path, line in found[:MOST]:
        selector = "/" + path.relative_to(root).as_posix()
        yield Item("0", path.stem.replace("-", " "), selector, host, port).line()
        yield info("   " + plain(line.strip())[:SHOWN])
    yield b".\r\n"


def info(text: str) -> bytes:
    """Return a line of a menu that is only read."""
    return Item("i", text, "", "null.host", 1).line()


def plain(text: str) -> str:
    """Return a text without what could end a field or a line: what is asked comes back in the answer."""
    return "".join(char if char.isprintable() else " " for char in text)


def main() -> int:
    """Answer one search."""
    root = Path(os.environ["DOCUMENT_ROOT"])
    asked = os.environ.get("SEARCHREQUEST", "")
    for line in answer(
        root, asked, os.environ.get("SERVER_HOST", "localhost"), int(os.environ.get("SERVER_PORT", PORT))
    ):
        sys.stdout.buffer.write(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
