"""Write the files that a new file server begins with: `python -m services.file.seed FOLDER`, when its image is built."""

import hashlib
import sys
from pathlib import Path

MEBI = 1 << 20
TEXTS = {
    "notes.txt": "A file is octets with a name.\nThe protocol counts them, so that it needs no mark for their end.\n",
    "a name with spaces.txt": "On the wire the name is a%20name%20with%20spaces.txt, since a space ends a word there.\n",
    "Grüße aus dem Labor.txt": "Names are UTF-8: ü is the two octets C3 BC, %C3%BC on the wire.\n",
}


def blob(octets: int) -> bytes:
    """Return octets that look like noise and are the same each time: SHA-256 of 0, 1, 2 and so on."""
    return b"".join(hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(octets // 32))


def main(argv: list[str]) -> int:
    """Write the files."""
    folder = Path(argv[0])
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "noise-1m.bin").write_bytes(blob(MEBI))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
