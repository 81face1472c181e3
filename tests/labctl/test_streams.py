"""Channels: what came in one piece with the reply's head is not lost, wherever the pieces are cut."""

import http.client
import io
import itertools
import socket
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.engine.streams import Channel

HEAD = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
SAID = [(1, b"first words"), (2, b"trouble"), (1, b"x" * 100_000)]


def framed(parts):
    return b"".join(struct.pack(">BxxxI", stream, len(octets)) + octets for stream, octets in parts)


def joined(frames):
    out = {1: b"", 2: b""}
    for stream, octets in frames:
        out[stream] += octets
    return out


class Wire:
    """A socket that hands over what it was given, piece by piece, and keeps what is sent; for `http.client` and the SDK alike."""

    def __init__(self, pieces):
        self.pieces = [piece for piece in pieces if piece]
        self.sent, self.timeout, self.closed = b"", 5, False

    def recv(self, most):
        if not self.pieces:
            return b""
        piece, rest = self.pieces[0][:most], self.pieces[0][most:]
        self.pieces[:1] = [rest] if rest else []
        return piece

    def recv_into(self, place):
        piece = self.recv(len(place))
        place[: len(piece)] = piece
        return len(piece)

    def sendall(self, octets):
        self.sent += octets

    def settimeout(self, seconds):
        self.timeout = seconds

    def gettimeout(self):
        return self.timeout

    def makefile(self, mode, *_):
        return io.BufferedReader(socket.SocketIO(self, "r"))

    def _decref_socketios(self):
        pass

    def close(self):
        self.closed = True


def channel(*pieces):
    """Return a channel as the SDK leaves it: the reply's head has been read, and what came with it is in the reader's buffer."""
    wire = Wire(pieces)
    reply = http.client.HTTPResponse(wire, method="POST")
    reply.begin()
    conn = reply.fp.raw
    conn._response = SimpleNamespace(raw=SimpleNamespace(_fp=reply), close=reply.close)
    return Channel(conn), wire


class TestChannel:
    def test_first_words_that_come_with_the_head_are_read(self):
        """At the socket they would be missing: the reader of the head holds them."""
        conn, wire = channel(HEAD + framed(SAID[:1]), framed(SAID[1:]))
        assert framed(SAID[:1]) not in b"".join(wire.pieces)
        assert joined(conn.frames()) == joined(SAID)

    @given(st.lists(st.integers(0, len(HEAD + framed(SAID))), max_size=6))
    def test_what_is_read_does_not_depend_on_where_it_is_cut(self, cuts):
        data = HEAD + framed(SAID)
        places = [0, *sorted(cuts), len(data)]
        conn, _ = channel(*(data[a:b] for a, b in itertools.pairwise(places)))
        assert joined(conn.frames()) == joined(SAID)

    @pytest.mark.parametrize("left", [0, 1, 7, 8, 12])
    def test_one_that_is_broken_off_ends(self, left):
        conn, _ = channel(HEAD + framed(SAID[:1])[:left])
        assert joined(conn.frames()) == {1: SAID[0][1][: max(0, left - 8)], 2: b""}

    def test_sends_waits_for_ever_and_is_closed(self):
        conn, wire = channel(HEAD)
        with conn:
            conn.sendall(b"question\n")
            assert wire.timeout is None
        assert (wire.sent, wire.closed) == (b"question\n", True)
