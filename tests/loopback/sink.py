"""A next host for the relay's tests, written without any of its code: takes mail by SMTP or LMTP, and answers as the test says."""

import contextlib
import socketserver
import threading
from dataclasses import dataclass


@dataclass
class Taken:
    sender: str
    recipients: list[str]
    text: bytes
    connection: int
    mail: str = ""


class Sink(socketserver.ThreadingTCPServer):
    """`replies` maps an address, or a verb (`MAIL`, `DATA`, `TEXT`, `GREETING`), to what is said instead of yes."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, lmtp=True, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"), port=0):
        self.lmtp, self.extensions = lmtp, extensions
        self.replies = {}
        self.taken = []
        self.connections = 0
        self.news = threading.Condition()
        self.gate = threading.Event()  # while it is closed, texts are taken and not answered
        self.gate.set()
        super().__init__(("127.0.0.1", port), Session)
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join(5)
        self.server_close()

    def wait(self, count, timeout=15):
        """Wait until so many messages were taken, and return them."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.taken) >= count, timeout), f"{len(self.taken)} of {count} came"
            return list(self.taken)


class Session(socketserver.StreamRequestHandler):
    def say(self, verb, yes):
        reply = self.server.replies.get(verb, yes)
        self.wfile.write(reply.encode() + b"\r\n")
        return reply[0] in "23"

    def handle(self):
        with contextlib.suppress(ConnectionError, ValueError):
            self.talk()

    def talk(self):
        server = self.server
        with server.news:
            server.connections += 1
            self.number = server.connections
        self.say("GREETING", "220 sink")
        sender, recipients, text, mail = "", [], b"", ""
        while (line := self.rfile.readline()).endswith(b"\r\n"):
            verb = line[:4].decode().upper()
            argument = line.decode()[4:].strip()
            if verb in ("LHLO", "EHLO"):
                assert (verb == "LHLO") == server.lmtp
                lines = ["sink", *server.extensions]
                for n, word in enumerate(lines, 1):
                    self.wfile.write(f"250{'-' if n < len(lines) else ' '}{word}\r\n".encode())
            elif verb == "MAIL":
                sender, recipients, text, mail = argument[6 : argument.index(">")], [], b"", argument
                self.say("MAIL", "250 2.1.0 ok")
            elif verb == "RCPT":
                address = argument[4:-1]
                if self.say(address, "250 2.1.5 ok"):
                    recipients.append(address)
            elif verb == "DATA":
                if not recipients:
                    self.wfile.write(b"503 5.5.1 no recipients\r\n")
                elif self.say("DATA", "354 go"):
                    lines = []
                    while (part := self.rfile.readline()) != b".\r\n":
                        if not part.endswith(b"\r\n"):
                            return  # cut off: no message
                        lines.append(part[1:] if part.startswith(b".") else part)
                    text = b"".join(lines)
                    self.take(sender, recipients, text, mail)
            elif verb == "BDAT":
                octets, _, last = argument.partition(" ")
                chunk = self.rfile.read(int(octets))
                if len(chunk) < int(octets):
                    return  # cut off: no message
                text += chunk
                if not recipients:
                    self.wfile.write(b"503 5.5.1 no recipients\r\n")
                elif last:
                    self.take(sender, recipients, text, mail)
                else:
                    self.wfile.write(b"250 2.0.0 go on\r\n")
            elif verb == "QUIT":
                self.wfile.write(b"221 2.0.0 bye\r\n")
                return
            else:
                self.wfile.write(b"250 2.0.0 ok\r\n")

    def take(self, sender, recipients, text, mail):
        good = [to for to in recipients if self.server.replies.get(f"TEXT {to}", "250")[0] == "2"]
        if self.server.replies.get("TEXT", "250")[0] == "2" and good:
            with self.server.news:
                self.server.taken.append(Taken(sender, good, text, self.number, mail))
                self.server.news.notify_all()
        self.server.gate.wait(20)
        for to in recipients if self.server.lmtp else [""]:
            self.say(f"TEXT {to}" if f"TEXT {to}" in self.server.replies else "TEXT", "250 2.0.0 taken")
