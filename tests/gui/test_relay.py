"""The X relay's rules: which first packet passes, and what it becomes. No X server, no container."""

import asyncio
import json
import socket
import struct

import pytest

from labctl.gui.agent import HEAD, new_cookie
from labctl.gui.display import Display
from labctl.gui.relay import Relay, SetupError, refusal, swap_cookie
from labctl.gui.xauth import COOKIE, LOCAL, WILD, find_cookie, read_records
from services.desktop.xauth import Record, dump

FAKE, REAL = bytes(range(16)), bytes(range(100, 116))


def setup(order="<", name=COOKIE, data=FAKE):
    mark = b"l" if order == "<" else b"B"
    padded = [text + bytes(-len(text) % 4) for text in (name, data)]
    return mark + b"\0" + struct.pack(order + "HHHHxx", 11, 0, len(name), len(data)) + b"".join(padded)


class TestSwap:
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_the_real_cookie_takes_the_place_of_the_fake_one(self, order):
        assert swap_cookie(setup(order) + b"more", FAKE, REAL) == setup(order, data=REAL) + b"more"

    @pytest.mark.parametrize("cut", range(len(setup())))
    def test_a_packet_that_is_cut_waits_for_its_rest(self, cut):
        assert swap_cookie(setup()[:cut], FAKE, REAL) is None

    def test_a_server_that_asks_for_no_cookie_gets_none(self):
        assert swap_cookie(setup() + b"more", FAKE, None) == b"l\0" + struct.pack("<HHHHxx", 11, 0, 0, 0) + b"more"

    @pytest.mark.parametrize(
        "packet",
        [
            setup(data=bytes(16)),
            setup(data=b""),
            setup(name=b"XDM-AUTHORIZATION-1"),
            setup(name=b"", data=b""),
            setup(data=FAKE + b"x"),
        ],
    )
    def test_any_other_cookie_is_refused(self, packet):
        with pytest.raises(SetupError, match="cookie"):
            swap_cookie(packet, FAKE, REAL)

    def test_what_is_no_x_client_is_refused_at_its_first_octet(self):
        with pytest.raises(SetupError, match="no X client"):
            swap_cookie(b"GET / HTTP/1.1", FAKE, REAL)

    def test_nobody_makes_us_wait_for_a_long_packet(self):
        with pytest.raises(SetupError, match="too long"):
            swap_cookie(b"l\0" + struct.pack("<HHHHxx", 11, 0, 18, 65000), FAKE, REAL)

    @pytest.mark.parametrize(("first", "order"), [(b"l", "<"), (b"B", ">")])
    def test_a_refusal_is_one_that_xlib_reads(self, first, order):
        answer = refusal(first, "labctl: no")
        status, size, major, _, words = struct.unpack_from(order + "BBHHH", answer)
        assert (status, major, answer[8 : 8 + size]) == (0, 11, b"labctl: no")
        assert len(answer) == 8 + 4 * words


class TestCarrying:
    """The relay between an agent and an X server, both played by the test over real sockets."""

    def run(self, tmp_path, frames, reply=b"welcome"):
        path = str(tmp_path / "X7")
        got = bytearray()

        async def server(reader, writer):
            got.extend(await reader.read(4096))
            writer.write(reply)
            await writer.drain()
            writer.close()

        async def play():
            listening = await asyncio.start_unix_server(server, path)
            ours, theirs = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=ours)
            agent_reader, agent_writer = await asyncio.open_connection(sock=theirs)
            relay = Relay(Display(":7", 7, path=path), REAL, new_cookie())
            task = asyncio.create_task(relay.carry(reader, writer))
            for stream, body in frames(relay):
                agent_writer.write(HEAD.pack(stream, len(body)) + body)
            back = []
            while not back or back[-1][1]:  # until the stream is closed
                stream, size = HEAD.unpack(await agent_reader.readexactly(HEAD.size))
                back.append((stream, await agent_reader.readexactly(size)))
            body = json.dumps({"exit": 3}).encode()
            agent_writer.write(HEAD.pack(0, len(body)) + body)
            code = await task
            for each in (writer, agent_writer):
                each.close()
                await each.wait_closed()
            listening.close()
            return relay, back, code

        relay, back, code = asyncio.run(play())
        return relay, bytes(got), back, code

    def test_a_client_with_the_cookie_is_joined(self, tmp_path):
        relay, got, back, code = self.run(tmp_path, lambda relay: [(1, setup(data=relay.fake) + b"request")])
        assert got == setup(data=REAL) + b"request"
        assert back == [(1, b"welcome"), (1, b"")]
        assert (relay.counts.connections, relay.counts.denied, code) == (1, 0, 3)

    def test_a_packet_in_pieces_is_joined_too(self, tmp_path):
        _, got, _, _ = self.run(
            tmp_path, lambda relay: [(4, setup(data=relay.fake)[:9]), (4, setup(data=relay.fake)[9:])]
        )
        assert got == setup(data=REAL)

    def test_a_client_without_it_never_reaches_the_display(self, tmp_path):
        relay, got, back, _ = self.run(tmp_path, lambda _relay: [(1, setup(data=bytes(16)))])
        assert got == b""
        assert b"labctl: it does not have the cookie" in back[0][1]
        assert (relay.counts.connections, relay.counts.denied) == (0, 1)

    def test_each_relay_has_a_cookie_of_its_own(self):
        assert len({new_cookie() for _ in range(5)}) == 5


class TestXauthority:
    def test_what_the_container_writes_is_read_back(self):
        octets = dump([Record(WILD, b"", b"9", FAKE), Record(LOCAL, b"desktop", b"9", FAKE)])
        assert [(r.family, r.address, r.number, r.data) for r in read_records(octets)] == [
            (WILD, b"", b"9", FAKE),
            (LOCAL, b"desktop", b"9", FAKE),
        ]

    def test_this_hosts_own_record_goes_first(self):
        octets = dump(
            [Record(WILD, b"", b"0", FAKE), Record(LOCAL, b"here", b"0", REAL), Record(LOCAL, b"there", b"0", FAKE)]
        )
        assert find_cookie(octets, 0, "here") == REAL

    def test_another_displays_cookie_is_none_for_this(self):
        assert find_cookie(dump([Record(WILD, b"", b"1", FAKE)]), 0, "here") is None

    @pytest.mark.parametrize("cut", range(1, 60))
    def test_a_file_that_is_cut_off_is_no_error(self, cut):
        octets = dump([Record(LOCAL, b"here", b"0", FAKE), Record(LOCAL, b"there", b"0", REAL)])
        for record in read_records(octets[:cut]):
            assert record.address == b"here"
