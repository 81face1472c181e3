"""`lab TOPIC VERB …`: the clients of the lab, each topic imported when it is asked for."""

import sys
from collections.abc import Callable

TOPICS = {
    "tcp": "greet, echo, chat, time, daytime, discard, chargen over TCP",
    "udp": "greet, echo, time, daytime, discard, chargen over UDP",
    "file": "ls, get, put, stat, hash, rm, mirror: files over the lab's own protocol",
    "web": "source, get, links: pages and images over HTTP",
    "rpc": "list, call: procedures over HTTP, by XML-RPC",
    "ftp": "files over FTP: ls, get, put, rm, mkdir, features; active or passive",
    "gopher": "menus, texts, files and searches over Gopher",
    "news": "groups and articles over NNTP: groups, list, read, post, newnews",
    "telnet": "a terminal on another host, at the keyboard or by script",
    "mail": "send mail; list, show, fetch and delete it by POP3 and IMAP4",
    "ip": "this host's name and addresses, and those of a name",
    "wait": "wait until HOST:PORT answers",
}
USAGE = "usage: lab TOPIC …\n\n" + "\n".join(f"  {topic:8}{text}" for topic, text in TOPICS.items())
USAGE += "\n\n`lab TOPIC --help` tells more. The first lessons' programs are in ~/examples.\n"


def main(argv: list[str]) -> int:
    """Run one command; exits with 0 done, 1 failed, 2 usage, 130 interrupted."""
    from services.client.errors import NO_NAME, ReaderGoneError, is_of_a_name

    topic, rest = (argv[0], argv[1:]) if argv else ("", [])
    try:
        if topic == "wait":  # asked for each lab that comes up: first, and light
            from services.client import wait

            return wait.main(rest)
        if topic in TOPICS:
            from importlib import import_module

            module = import_module(f"services.client.{topic}")
            return tell_modules(topic, module.main) if rest in (["-h"], ["--help"]) else int(module.main(rest))
    except KeyboardInterrupt:
        return 130
    except (BrokenPipeError, ReaderGoneError):  # `lab tcp chargen … | head`
        sys.stderr.close()
        return 1
    except UnicodeError as error:
        if not is_of_a_name(error):
            raise
        sys.stderr.write(f"error: {NO_NAME}\n")
        return 1
    if topic in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    known = ", ".join(TOPICS)
    sys.stderr.write(f"error: there is no topic `{topic}`; known: {known}\n" if topic else USAGE)
    return 2


def tell_modules(topic: str, run: Callable[[list[str]], int]) -> int:
    """Print a topic's help, and after it what became of Python's modules for its protocols."""
    from services.client.topics import modules

    try:
        code = run(["--help"])
    except SystemExit as done:  # argparse's way to end
        code = int(done.code or 0)
    told = modules(topic)
    sys.stdout.write(f"\n{told}\n" if told else "")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
