"""Write what Dovecot and the clients read. Each file is written whole and then renamed: a kill in the midst leaves the old one."""

import json
import os
import secrets
from pathlib import Path

from services.mail.accounts import complete_passwords, passwd_line, read_accounts

PASSWORD_OCTETS = 12  # 96 bits, 16 characters
SALT_OCTETS = 16


def prepare(accounts_file: Path, mail: Path, handouts: Path) -> None:
    """Make passwords for the accounts that have none, and write them down.

    Args:
        accounts_file: see `read_accounts`.
        mail: the mail volume; it keeps the passwords and the mailboxes.
        handouts: what clients may read; left out where there is no such folder.

    Raises:
        ValueError: the accounts' file, or the kept passwords, are not what they should be.
        OSError: a file cannot be read or written.
    """
    accounts = read_accounts(accounts_file.read_text(encoding="utf-8"))
    kept = mail / "credentials.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    passwords = complete_passwords(accounts, known, lambda: secrets.token_urlsafe(PASSWORD_OCTETS))
    told = json.dumps(passwords, indent=2) + "\n"
    write_whole(kept, told)
    lines = (passwd_line(account, passwords[account.address], secrets.token_bytes(SALT_OCTETS)) for account in accounts)
    write_whole(mail / "users", "".join(lines))
    if handouts.is_dir():
        write_whole(handouts / "mail.json", told)


def write_whole(path: Path, text: str) -> None:
    """Replace a file, which only its owner may read; on the disk before it is seen."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
