"""The one account of the host `telnet-server`, and its password: made at each start, kept in memory, never in the image.

/run/telnet/shadow             what `/etc/shadow` of the image is a link to; on a tmpfs     mode 0600
/run/telnet/credentials.json   {"student": "…"}, for `labctl`                               mode 0600
/handouts/telnet.json          the same for the host `client`, which mounts it read-only
"""

import ctypes
import json
import os
import secrets
from pathlib import Path

USER = "student"
RUN = Path("/run/telnet")
HANDOUT = Path("/handouts/telnet.json")
HANDOUT_USER = 1000  # `lab`, who runs the host `client`
OCTETS = 9  # 72 bits, 12 characters
LOCKED = ("root", "lab", "telnetd")  # accounts without a password that would let anybody in


def hash_password(password: str) -> str:
    """Return the password's yescrypt hash, as /etc/shadow holds it.

    By libcrypt itself: the standard module `crypt` is gone since Python 3.13.

    Raises:
        ValueError: libcrypt does not take the password (it is empty, holds a NUL, or is longer than 512 octets).
    """
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = library.crypt_gensalt.restype = ctypes.c_char_p
    setting = library.crypt_gensalt(b"$y$", 0, None, 0)  # crypt(3), crypt_gensalt(3): random, at the library's own cost
    hashed = library.crypt(password.encode(), setting)
    if not password or "\0" in password or not hashed or hashed.startswith(b"*"):
        raise ValueError("libcrypt does not take that password")
    return str(hashed.decode())


def write_accounts(password: str = "", folder: Path = RUN, handout: Path = HANDOUT) -> None:
    """Write the shadow file and the credentials; without a password, one is made.

    Raises:
        OSError: a folder may not be written.
        ValueError: see `hash_password`.
    """
    password = password or secrets.token_urlsafe(OCTETS)
    lines = [f"{name}:*:20000:0:99999:7:::\n" for name in LOCKED]
    lines.append(f"{USER}:{hash_password(password)}:20000:0:99999:7:::\n")
    _write(folder / "shadow", "".join(lines))
    credentials = json.dumps({USER: password}) + "\n"
    _write(folder / "credentials.json", credentials)
    if handout.parent.is_dir():
        _write(handout, credentials, HANDOUT_USER)


def _write(path: Path, text: str, owner: int = -1) -> None:
    """Write a file whole, for its owner alone."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.fchown(file.fileno(), owner, owner)
        file.write(text)
    new.replace(path)
