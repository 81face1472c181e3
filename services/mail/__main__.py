"""Start the host `mail-server`, or check it: `python -m services.mail [--check]`.

At each start the accounts' file is read, passwords are made for those that have none, and this process becomes Dovecot.

    /mail/credentials.json        address → password; read by `labctl ps --json`        mode 0600
    /mail/users                   Dovecot's passwd-file: no password in clear           mode 0600
    /handouts/mail.json           the same passwords for the host `client`              mode 0600
"""

import sys


def main(argv: list[str]) -> int:
    """Become Dovecot; exits with 1 where the accounts' file is wrong, with 2 on a wrong command line."""
    if argv[:1] == ["--check"]:
        from services.mail.check import check

        return check(*argv[1:2])
    import argparse
    import os
    from pathlib import Path

    from services.mail.prepare import prepare

    here = Path(__file__).parent
    parser = argparse.ArgumentParser("services.mail", description="Dovecot with the lab's accounts: LMTP, POP3, IMAP4.")
    parser.add_argument("--accounts", type=Path, default=Path(os.environ.get("LAB_MAIL_ACCOUNTS", here / "accounts.toml")),
                        metavar="FILE", help="which mailboxes there are (LAB_MAIL_ACCOUNTS)")  # fmt: skip
    parser.add_argument("--mail", type=Path, default=Path("/mail"), metavar="FOLDER", help="default %(default)s")
    parser.add_argument(
        "--handouts", type=Path, default=Path("/handouts"), metavar="FOLDER", help="default %(default)s"
    )
    parser.add_argument("--config", type=Path, default=here / "dovecot.conf", metavar="FILE", help="Dovecot's own")
    parser.add_argument("--prepare", action="store_true", help="write the files, and do not start Dovecot")
    parser.add_argument("--check", action="store_true", help="alone: ask the server on this host, and exit")
    options = parser.parse_args(argv)
    try:
        prepare(options.accounts, options.mail, options.handouts)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n  at {options.accounts}\n")
        return 1
    if not options.prepare:
        os.execvp("dovecot", ["dovecot", "-F", "-c", str(options.config)])  # noqa: S606 - no shell is wanted
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
