"""Servers on loopback that say what a test tells them to: the peers of `lab mail`."""

import re
import socket
import ssl
import threading
from contextlib import ExitStack, suppress


class Scripted:
    """Answers each line by the first pattern that matches it, one thread a connection.

    Args:
        greeting: what is said first; None for nothing at all.
        script: (pattern, reply); a reply may be octets, several one after the other, or a function of the match that
            returns them; None closes the connection.
        tls: a context; the reply `TLS` is then followed by a handshake.
    """

    def __init__(self, greeting, script, tls=None):
        self.greeting, self.script, self.tls = greeting, script, tls
        self.lines = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        with suppress(OSError), ExitStack() as held:
            held.enter_context(conn)
            conn.settimeout(20)
            if self.greeting is None:
                conn.recv(1)
                return
            conn.sendall(self.greeting)
            stream = held.enter_context(conn.makefile("rb"))
            while line := stream.readline():
                self.lines.append(line)
                word = line.rstrip(b"\r\n")
                reply = self._reply(word)
                if reply is None:
                    return
                for part in (reply,) if isinstance(reply, bytes) else reply:
                    conn.sendall(part)
                if self.tls and word.upper().endswith((b"STARTTLS", b"STLS")):
                    stream.close()
                    conn = held.enter_context(
                        self.tls.wrap_socket(conn, server_side=True, do_handshake_on_connect=False)
                    )
                    conn.do_handshake()
                    stream = held.enter_context(conn.makefile("rb"))

    def _reply(self, word):
        for pattern, reply in self.script:
            if match := re.fullmatch(pattern, word, re.DOTALL | re.IGNORECASE):
                return reply(match) if callable(reply) else reply
        return b""

    def close(self):
        self.listener.close()


def server_context(folder):
    """Return the context of a server that has its certificate in `folder`, made by `lab-tls`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail-server.crt", folder / "mail-server.key")
    return context
