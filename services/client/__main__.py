"""`lab TOPIC VERB …`: the clients of the lab, each topic imported when it is asked for."""

import sys

TOPICS = {
    "tcp": "greet, echo, chat, time, daytime, discard, chargen over TCP",
    "udp": "greet, echo, time, daytime, discard, chargen over UDP",
    "ip": "this host's name and addresses, and those of a name",
    "wait": "wait until HOST:PORT answers",
}
USAGE = "usage: lab TOPIC …\n\n" + "\n".join(f"  {topic:6}{text}" for topic, text in TOPICS.items())
USAGE += "\n\n`lab TOPIC --help` tells more. The first lessons' programs are in ~/examples.\n"


def main(argv: list[str]) -> int:
    """Run one command; exits with 0 done, 1 failed, 2 usage, 130 interrupted."""
    topic, rest = (argv[0], argv[1:]) if argv else ("", [])
    try:
        if topic == "wait":  # asked for each lab that comes up: first, and light
            from services.client import wait

            return wait.main(rest)
        if topic in TOPICS:
            from importlib import import_module

            return int(import_module(f"services.client.{topic}").main(rest))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `lab tcp chargen … | head`
        sys.stderr.close()
        return 1
    if topic in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0
    known = ", ".join(TOPICS)
    sys.stderr.write(f"error: there is no topic `{topic}`; known: {known}\n" if topic else USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
