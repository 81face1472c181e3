"""Who may log in: `anonymous` reads, `lab` also writes.

Anonymous gives any password (RFC 1635). The password of `lab` is made at the first start and kept beside the files, outside the
folder that FTP serves; it is in no image. FTP sends it in clear, which is what the lesson is about: it opens nothing but this server.
"""

import json
import os
import secrets
from pathlib import Path

USER = "lab"
# pyftpdlib's letters: e change folder, l list, r read | a append, d delete, f rename, m make folder, w store, T set time.
READ = "elr"
WRITE = "elradfmwT"
OCTETS = 9  # 72 bits, twelve characters


def read_or_make(path: Path) -> str:
    """Return the password in a file that only this user may read; it is made where there is none.

    Raises:
        OSError: the folder may not be written.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        password = secrets.token_urlsafe(OCTETS)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password + "\n")
    new.rename(path)
    return password


def as_json(path: Path) -> str:
    """Return the credentials as `labctl ps --json` shows them: `{"lab": "…"}`.

    Raises:
        OSError: there are none yet.
    """
    return json.dumps({USER: path.read_text().strip()})
