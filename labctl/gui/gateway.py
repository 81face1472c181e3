"""The browser's way in: an HTTP server on 127.0.0.1 that hands out noVNC and joins WebSockets to the container's screen.

    browser ── ws://127.0.0.1:PORT/screen?token=… ──▶ this gateway ── docker exec -i ──▶ services.desktop.pipe ──▶ VNC socket

The container publishes no port. Refused are: a `Host` that is no loopback name (421: DNS rebinding), an `Origin` that is not ours and a
wrong token (403), any path that is not in the table of files (404), any method but GET (405). The token stands in the address's
fragment, which browsers do not send, and the page removes it from the history. Another version of WebSocket than 13 gets 426.
"""

import asyncio
import hmac
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from labctl.gui.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    VERSION,
    Reader,
    WebSocketError,
    accept_key,
    encode,
    is_key,
)

CHUNK = 65536
PATIENCE = 10.0  # seconds for a request to arrive
LONGEST = 16 << 10  # octets of a request's head
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self' ws:"
)


@dataclass(frozen=True)
class Request:
    """A request's method, path, query and headers (names in small letters)."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]

    @property
    def host(self) -> str:
        """The host that the browser thinks it speaks to, without its port."""
        return self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")


def read_request(head: bytes) -> Request:
    """Read a request's head.

    Raises:
        ValueError: it is none.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    parts = urlsplit(target)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    return Request(method, unquote(parts.path), parse_qs(parts.query), headers)


def refuse(request: Request, token: str) -> str | None:
    """Return the status with which a request is refused, or None."""
    if request.host not in LOOPBACK:
        return "421 Misdirected Request"
    if request.method != "GET":
        return "405 Method Not Allowed"
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return "403 Forbidden"
    if request.path == "/screen" and not hmac.compare_digest(
        request.query.get("token", [""])[0].encode(), token.encode()
    ):
        return "403 Forbidden"
    return None


def asks_for_websocket(headers: Mapping[str, str]) -> bool:
    """Tell whether a request wants to go on as a WebSocket of the version that we speak (RFC 6455 sections 4.2.1, 4.4)."""
    wants = "upgrade" in headers.get("connection", "").lower().replace(" ", "").split(",")
    return (
        wants and headers.get("upgrade", "").lower() == "websocket" and headers.get("sec-websocket-version") == VERSION
    )


class Gateway:
    """The server.

    Args:
        files: path → content; `/` is the page.
        pipe: the command that joins stdin and stdout to the screen.
    """

    def __init__(self, files: Mapping[str, bytes], pipe: Sequence[str], token: str) -> None:
        self._files = files
        self._pipe = pipe
        self._token = token
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.subprocess.Process] = set()
        self.port = 0

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.port}/#{self._token}"

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1.

        Raises:
            OSError: the port is taken.
        """
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=LONGEST)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and end what is open."""
        if self._server:
            self._server.close()
        for process in list(self._pipes):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            request = read_request(head)
            refused = refuse(request, self._token)
            if refused:
                await _reply(writer, refused, f"{refused}\n".encode(), "text/plain")
            elif request.path == "/screen":
                await self._join(request, reader, writer)
            else:
                body = self._files.get(request.path)
                kind = TYPES.get(
                    "." + request.path.rpartition(".")[2], TYPES[".html"] if request.path == "/" else "text/plain"
                )
                if body is None:
                    await _reply(writer, "404 Not Found", b"404 Not Found\n", "text/plain")
                else:
                    await _reply(writer, "200 OK", body, kind)
        except (ValueError, asyncio.LimitOverrunError):
            with suppress(ConnectionError):
                await _reply(writer, "400 Bad Request", b"400 Bad Request\n", "text/plain")
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _join(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = request.headers.get("sec-websocket-key", "")
        if not asks_for_websocket(request.headers):
            spoken = f"Upgrade: websocket\r\nSec-WebSocket-Version: {VERSION}\r\n"
            await _reply(writer, "426 Upgrade Required", b"426 Upgrade Required\n", "text/plain", spoken)
            return
        if not is_key(key):
            raise ValueError(key)
        spoken = (
            "Sec-WebSocket-Protocol: binary\r\n"
            if "binary" in request.headers.get("sec-websocket-protocol", "")
            else ""
        )
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\n{spoken}\r\n".encode()
        )
        process = await asyncio.create_subprocess_exec(
            *self._pipe, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._pipes.add(process)
        assert process.stdin and process.stdout  # noqa: S101 - both are pipes
        down = asyncio.create_task(_to_browser(process.stdout, writer))
        up = asyncio.create_task(_to_screen(reader, process.stdin, writer))
        try:
            await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (down, up):
                task.cancel()
            process.stdin.close()
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            self._pipes.discard(process)


async def _to_browser(screen: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await screen.read(CHUNK):
            writer.write(encode(data))
            await writer.drain()
        writer.write(encode(struct.pack(">H", 1000), CLOSE))
        await writer.drain()


async def _to_screen(reader: asyncio.StreamReader, screen: asyncio.StreamWriter, writer: asyncio.StreamWriter) -> None:
    frames = Reader()
    try:
        while data := await reader.read(CHUNK):
            for frame in frames.receive_data(data):
                if frame.opcode == CLOSE:
                    writer.write(encode(frame.payload[:2], CLOSE))
                    return
                if frame.opcode == PING:
                    writer.write(encode(frame.payload, PONG))
                elif frame.opcode in (CONTINUATION, TEXT, BINARY):
                    screen.write(frame.payload)
                    await screen.drain()
    except WebSocketError as error:
        writer.write(encode(struct.pack(">H", error.code), CLOSE))
    except ConnectionError:
        pass


async def _reply(writer: asyncio.StreamWriter, status: str, body: bytes, kind: str, more: str = "") -> None:
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nCache-Control: no-cache\r\n"
        f"X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
        f"Content-Security-Policy: {POLICY}\r\n{more}Connection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
