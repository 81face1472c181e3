"""The standard library's XML-RPC server, with what it lacks for strangers: limits on size, time and number.

`xmlrpc.server` reads whatever length a request tells and serves one connection at a time; here each has a thread of a bounded pool, and
ten seconds.
"""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from services.rpc.methods import METHODS, SIGNATURES
from services.runtime.log import Log, peer_name
from services.runtime.sockets import ANY, bind

PORT = 8000
PATHS = ("/", "/RPC2")


@dataclass(frozen=True)
class Config:
    """What the server is started with.

    Args:
        port: 0 lets the system choose.
        threads: calls served at once.
        waiting: connections that may wait for a thread; more are closed.
        largest: octets of a request.
        timeout: seconds that a request may take to come.
    """

    port: int = PORT
    hosts: tuple[str, ...] = ANY
    threads: int = 16
    waiting: int = 256
    largest: int = 256 << 10
    timeout: float = 10.0


class Dispatcher(SimpleXMLRPCDispatcher):
    """The methods, and what introspection tells of them."""

    def __init__(self) -> None:
        super().__init__(allow_none=True)
        for method in METHODS:
            self.register_function(method)
        self.register_introspection_functions()

    def system_methodSignature(self, method_name: str) -> Any:  # noqa: N802 - the protocol's name
        """Return a list of the method's signatures: types, the returned one first."""
        return SIGNATURES.get(method_name, "signatures not supported")


class Handler(SimpleXMLRPCRequestHandler):
    """One connection."""

    rpc_paths = PATHS
    server: "Listener"

    def setup(self) -> None:
        self.request.settimeout(self.server.config.timeout)
        super().setup()

    def do_POST(self) -> None:  # noqa: N802 - the base class's
        """Take a call, unless it is too large or its length is not told."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Encoding", "identity") != "identity":
            self.send_error(415, "Compressed requests are not taken")
        elif not length.isdecimal():
            self.send_error(411)
        elif int(length) > self.server.config.largest:
            self.send_error(413)
        else:
            super().do_POST()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's
        """Write a line of the lab's log instead of `http.server`'s."""
        if self.server.log.has_room("called"):
            self.server.log.event("called", peer=peer_name(self.client_address), said=format % args)


class Listener(SimpleXMLRPCServer):
    """One listening socket; its connections go to threads of a pool that all sockets share."""

    def __init__(self, listener: socket.socket, config: Config, log: Log, pool: ThreadPoolExecutor) -> None:
        super().__init__(
            listener.getsockname()[:2], Handler, logRequests=True, allow_none=True, bind_and_activate=False
        )
        self.socket.close()
        self.socket = listener
        self.config = config
        self.log = log
        self._pool = pool
        self._room = threading.Semaphore(config.threads + config.waiting)
        dispatcher = Dispatcher()
        self.funcs = dispatcher.funcs
        self.server_activate()
        self.socket.setblocking(True)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread, or close it where too many wait."""
        if not self._room.acquire(blocking=False):
            if self.log.has_room("ended"):
                self.log.event("refused", peer=peer_name(client_address), reason="too many wait for a thread")
            self.shutdown_request(request)
            return
        self._pool.submit(self._serve, request, client_address)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError as error:
            if self.log.has_room("ended"):
                self.log.event("closed", peer=peer_name(client_address), reason=error.strerror or str(error))
        finally:
            self._room.release()
            self.shutdown_request(request)


class RpcServer:
    """The host: a thread that accepts for each address family, and the pool."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.port = 0  # as bound

    async def start(self) -> None:
        """Bind the port and serve.

        Raises:
            OSError: the port is in use, or may not be taken.
        """
        pool = ThreadPoolExecutor(self.config.threads, thread_name_prefix="call")
        sockets = bind(socket.SOCK_STREAM, self.config.port, self.config.hosts)
        self.port = sockets[0].getsockname()[1]
        self._pool = pool
        self._listeners = [Listener(item, self.config, self.log, pool) for item in sockets]
        for listener in self._listeners:
            threading.Thread(target=listener.serve_forever, args=(0.1,), daemon=True).start()
        self.log.event("listening", port=self.port, methods=len(METHODS))

    async def stop(self, seconds: float) -> None:  # noqa: ARG002 - a call that is under way ends with the process
        """Accept no more."""
        for listener in self._listeners:
            listener.shutdown()
            listener.server_close()
        self._pool.shutdown(wait=False, cancel_futures=True)
