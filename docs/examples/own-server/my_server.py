"""A server of your own: greets each client and closes."""

import socketserver


class Greeting(socketserver.BaseRequestHandler):
    """One client."""

    def handle(self) -> None:
        """Say the greeting; the connection closes when this returns."""
        self.request.sendall(b"Thank you for connecting")


class Server(socketserver.ThreadingTCPServer):
    """A thread a client, and a port that can be taken again at once."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


if __name__ == "__main__":
    with Server(("", 12345), Greeting) as server:
        server.serve_forever()
