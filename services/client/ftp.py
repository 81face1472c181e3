"""`lab ftp VERB HOST …`: files over FTP, on the standard library's ftplib.

FTP speaks on two connections. Commands and replies go over the control connection, to port 21. Each list and each file has a data
connection of its own: passive, the client opens it to a port that the server names (PASV, EPSV); active, the client listens, names its
port (PORT, EPRT), and the server opens it, from port 20. `--show` prints the dialogue and both ends of every data connection.

ftplib is still in the standard library. What changed: names are UTF-8 by default since Python 3.9, Latin-1 before; `FTP_TLS` takes an
`ssl.SSLContext` alone since 3.12; and asyncore, on which FTP servers were built, is gone since 3.12 (pyftpdlib brings its own).
"""

import argparse
import ftplib
import json
import os
import sys
from pathlib import Path

from services.client.dial import family_of
from services.client.errors import ClientError, is_of_a_name, report
from services.client.ftp_session import Session
from services.client.ftp_transfer import Copy, fetch, store
from services.client.options import TIMEOUT, port_number, seconds
from services.client.topics import protocol

PORT = protocol("FTP").port
PASSWORD = "LAB_FTP_PASSWORD"  # noqa: S105 - the name of a variable
HANDOUT = Path("/handouts/ftp.json")  # where a lab's ftp-server leaves its password for this host


def main(argv: list[str]) -> int:
    """Run one verb and return its exit code."""
    options = read_options(argv)
    place = f"{options.host}:{options.port}"
    try:
        with Session(options.show) as ftp:
            ftp.extended, ftp.active = options.extended, options.active
            ftp.open(options.host, options.port, family_of(options), options.timeout)
            ftp.login(options.user, password_of(options))
            return int(VERBS[options.verb](ftp, options))
    except ftplib.Error as error:  # a reply of 4xx or 5xx, or none at all that is one
        return report(ClientError(f"the server replied: {error}"), place)
    except EOFError:
        return report(ClientError("the server closed the control connection"), place)
    except UnicodeError as error:
        if is_of_a_name(error):
            return report(error, place)
        return report(ClientError(f"a name or a reply is no UTF-8: {error}"), place)
    except (OSError, ClientError) as error:
        return report(error, place)


def read_options(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("host", metavar="HOST")
    common.add_argument("--port", type=port_number, default=PORT, metavar="PORT", help="default %(default)s")
    common.add_argument("--user", default="anonymous", help="default %(default)s")
    common.add_argument(
        "--password",
        help=f"else ${PASSWORD}, else what {HANDOUT} says, else what is typed; it crosses the network in clear",
    )
    ways = common.add_mutually_exclusive_group()
    ways.add_argument(
        "--passive", dest="active", action="store_false", help="the client opens data connections; the default"
    )
    ways.add_argument("--active", action="store_true", help="the server opens data connections, from port 20")
    common.set_defaults(active=False)
    common.add_argument("--extended", action="store_true", help="EPSV and EPRT (RFC 2428) on IPv4 too; on IPv6 always")
    common.add_argument(
        "--show", action="store_true", help="print the control dialogue and the data connections on stderr"
    )
    families = common.add_mutually_exclusive_group()
    families.add_argument("-4", dest="ipv4", action="store_true", help="IPv4 alone")
    families.add_argument("-6", dest="ipv6", action="store_true", help="IPv6 alone")
    common.add_argument("--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help="default %(default)g")
    parser = argparse.ArgumentParser("lab ftp", description="Files over FTP (RFC 959, RFC 3659).")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, *words: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, parents=[common])
        for word in words:
            added.add_argument(
                word.strip("?").lower(), metavar=word.strip("?"), nargs="?" if word.endswith("?") else None
            )
        return added

    listing = verb("ls", "list a folder: type, size, time and name (MLSD)", "PATH?")
    listing.add_argument(
        "--long",
        action="store_true",
        help="as the server's own `ls -l` has it (LIST), or its names (NLST) where it has none",
    )
    for name, text, words in (
        ("get", "fetch a file; into LOCAL, its own name, or `-` for stdout", ("REMOTE", "LOCAL?")),
        ("put", "store a file (needs --user lab)", ("LOCAL", "REMOTE?")),
    ):
        transfer = verb(name, text, *words)
        transfer.add_argument(
            "--ascii",
            action="store_true",
            help="TYPE A: line ends cross as CR LF, whatever they are here (RFC 959 section 3.1.1.1)",
        )
        transfer.add_argument(
            "--resume", action="store_true", help="go on where the part that is there ends (REST, RFC 3659 section 5)"
        )
    verb("rm", "delete a file", "REMOTE")
    verb("mkdir", "make a folder", "REMOTE")
    verb("rmdir", "remove an empty folder", "REMOTE")
    verb("rename", "rename a file", "OLD", "NEW")
    verb("features", "what the server can (FEAT, RFC 2389), and on which system (SYST)")
    return parser.parse_args(argv)


def password_of(options: argparse.Namespace) -> str:
    """Return the password: as given, from the environment, handed out, or typed; anonymous tells who it is, by custom (RFC 1635)."""
    if options.password is not None:
        return str(options.password)
    if options.user == "anonymous":
        return "guest@client"
    if PASSWORD in os.environ:
        return os.environ[PASSWORD]
    try:
        return str(json.loads(HANDOUT.read_text())[options.user])
    except (OSError, ValueError, KeyError):
        pass  # no lab's ftp-server has been here, or it has no such account
    if not sys.stdin.isatty():
        raise ClientError(
            f"`{options.user}` needs a password", f"`--password`, or ${PASSWORD}; `labctl ps --json` shows it"
        )
    import getpass

    return getpass.getpass(f"Password for {options.user} (it crosses the network in clear): ")


def list_folder(ftp: Session, options: argparse.Namespace) -> int:
    """`ls`: a line a name, the folder itself and its parent left out."""
    path = options.path or ""
    if options.long:
        ftp.retrlines(f"LIST {path}".rstrip(), lambda line: print(line))
        return 0
    for name, facts in sorted(ftp.mlsd(path, ["type", "size", "modify"])):
        kind = facts.get("type", "file")
        if kind not in ("cdir", "pdir"):
            size = "-" if kind == "dir" else facts.get("size", "?")
            print(f"{kind:4} {size:>10}  {facts.get('modify', ''):14}  {name}{'/' if kind == 'dir' else ''}")
    return 0


def get(ftp: Session, options: argparse.Namespace) -> int:
    """`get`: fetch, and tell what came."""
    local = options.local or options.remote.rpartition("/")[2]
    return tell(
        fetch(
            ftp, options.remote, None if local == "-" else Path(local), ascii_type=options.ascii, resume=options.resume
        )
    )


def put(ftp: Session, options: argparse.Namespace) -> int:
    """`put`: store, and tell what went."""
    remote = options.remote or Path(options.local).name
    return tell(store(ftp, Path(options.local), remote, ascii_type=options.ascii, resume=options.resume))


def tell(copy: Copy) -> int:
    """Print one line about a transfer: on stderr where stdout is the file."""
    began = f", from {copy.offset}" if copy.offset else ""
    line = f"{copy.name}: {copy.octets} octets on the wire{began}, TYPE {copy.type}, {copy.way}, {copy.seconds:.3f} s, sha256 {copy.digest}"
    print(line, file=sys.stderr if copy.to_stdout else sys.stdout)
    return 0


def features(ftp: Session, options: argparse.Namespace) -> int:  # noqa: ARG001 - all verbs take the same
    """`features`: the system, then a line a feature."""
    print(ftp.sendcmd("SYST").removeprefix("215 "))
    for line in ftp.sendcmd("FEAT").splitlines()[1:-1]:
        print(line.strip())
    return 0


VERBS = {
    "ls": list_folder,
    "get": get,
    "put": put,
    "rm": lambda ftp, options: _say(ftp.delete(options.remote)),
    "mkdir": lambda ftp, options: _say(ftp.mkd(options.remote)),
    "rmdir": lambda ftp, options: _say(ftp.rmd(options.remote)),
    "rename": lambda ftp, options: _say(ftp.rename(options.old, options.new)),
    "features": features,
}


def _say(reply: str) -> int:
    print(reply)
    return 0
