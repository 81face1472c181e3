"""Who may log in: `anonymous` reads, `lab` also writes.

Anonymous gives any password (RFC 1635). The password of `lab` is made at the first start: it is in no image, and opens nothing but
this server. FTP sends it in clear, which is what the lesson is about.

    /srv/ftp/credentials.json     {"lab": "…"}, outside the folder that FTP serves       mode 0600
    /handouts/ftp.json            the same for the host `client`, which mounts it read-only
"""

import json
import os
import secrets
from pathlib import Path

USER = "lab"
# pyftpdlib's letters: e change folder, l list, r read | a append, d delete, f rename, m make folder, w store, T set time.
READ = "elr"
WRITE = "elradfmwT"
OCTETS = 12  # 96 bits, 16 characters


def read_or_make(kept: Path, handout: Path) -> str:
    """Return the password of `lab`; it is made where there is none, and handed out where there is a folder for that.

    Raises:
        OSError: a folder may not be written.
        ValueError: the kept file is not what it should be.
    """
    if not kept.exists():
        _write(kept, secrets.token_urlsafe(OCTETS))
    password = json.loads(kept.read_text())[USER]
    if not isinstance(password, str) or not password:
        raise ValueError(f"{kept} holds no password of `{USER}`")
    if handout.parent.is_dir():
        _write(handout, password)
    return password


def _write(path: Path, password: str) -> None:
    """Write a file whole, for this user alone: a kill in the midst leaves the old one, or none."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(json.dumps({USER: password}) + "\n")
    new.replace(path)
