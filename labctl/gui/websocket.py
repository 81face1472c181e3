"""Frames of RFC 6455, as far as a gateway for binary streams needs them. Pure.

first octet          second octet       then
FIN 1, opcode 4      mask 1, length 7   length 16 or 64, mask 32, payload
"""

import base64
import hashlib
import struct
from dataclasses import dataclass

VERSION = "13"
MOST = 1 << 20  # octets of a frame that are taken
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class WebSocketError(Exception):
    """The peer broke the protocol; `code` is what to close with (section 7.4.1)."""

    def __init__(self, what: str, code: int = 1002) -> None:
        super().__init__(what)
        self.code = code


@dataclass(frozen=True)
class Frame:
    """One frame of a client's, unmasked."""

    opcode: int
    payload: bytes


def is_key(key: str) -> bool:
    """Tell whether a client's key is 16 octets in base64, as it has to be (section 4.1)."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False


def accept_key(key: str) -> str:
    """Return what `Sec-WebSocket-Accept` has to say to a client's key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - the RFC's


def encode(payload: bytes, opcode: int = BINARY) -> bytes:
    """Return a server's frame: whole, and not masked (section 5.1)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65536:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return head + payload


class Reader:
    """Cuts a client's stream into frames, wherever TCP cut it."""

    def __init__(self) -> None:
        self._inbox = b""

    def receive_data(self, data: bytes) -> list[Frame]:
        """Take octets, and return the frames that they complete.

        Raises:
            WebSocketError: a frame is not masked (section 5.1), too long, or a control frame is cut or longer than 125 octets.
        """
        self._inbox += data
        frames = []
        while frame := self._next():
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        box = self._inbox
        if len(box) < 2:
            return None
        opcode, size, at = box[0] & 15, box[1] & 127, 2
        if not box[1] & 0x80:
            raise WebSocketError("a client's frames are masked")
        if box[0] & 0x70 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise WebSocketError("an extension that was not agreed on")
        if opcode >= CLOSE and (size > 125 or not box[0] & 0x80):
            raise WebSocketError("a control frame that is cut or too long")
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(box) < at + wide:
                return None
            size = int.from_bytes(box[at : at + wide], "big")
            at += wide
        if size > MOST:
            raise WebSocketError(f"a frame of {size} octets", 1009)
        if len(box) < at + 4 + size:
            return None
        mask, masked = box[at : at + 4], box[at + 4 : at + 4 + size]
        self._inbox = box[at + 4 + size :]
        return Frame(opcode, unmask(masked, mask))


def unmask(masked: bytes, mask: bytes) -> bytes:
    """Return the payload: each octet XOR the mask's, in turn (section 5.3); as two long numbers, for speed."""
    size = len(masked)
    if not size:
        return b""
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(masked, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
