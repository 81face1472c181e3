"""The quick way through plain segments: it says what the thorough one says, of any capture, cut and reordered however it may be."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.paths import page_file
from labctl.wire.build import TraceBuilder, build_trace
from labctl.wire.capture import RAW_IP, Capture, Frame
from labctl.wire.explain import explain
from labctl.wire.facts import trace_facts
from labctl.wire.html import draw_html
from labctl.wire.ladder import lay_out
from labctl.wire.packet import read_packet
from labctl.wire.read import read_capture
from labctl.wire.svg import draw_svg
from labctl.wire.tcp import Way
from labctl.wire.terminal import TextLadder
from labctl.wire.write import write_pcapng
from tests.wire.frames import ACK, FIN, NAMES, PSH, RST, SYN, A, B, Talk, ether, tcp, udp

MSS, SHIFT = b"\x02\x04\x05\xb4", b"\x03\x03\x02\x00"
FLAGS = [SYN, SYN | ACK, ACK, ACK, ACK, ACK, PSH | ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, 0, ACK | 32, ACK | 64]


class World:
    """Two connections' ends, and where each stands; an action is a segment that goes on from there, or one that does not."""

    def __init__(self):
        self.now = 0
        self.next = {(port, end): 100 + 200 * end for port in (0, 1) for end in (0, 1)}
        self.frames = []

    def segment(self, port, end, flags, seq, ack, size, window, options=b"", form="plain"):
        ports = (4000 + port, 7) if end == 0 else (7, 4000 + port)
        source, target = (A, B) if end == 0 else (B, A)
        where = {"source": source, "target": target, "place": 0x2000 if form == "fragment" else 0x4000}
        octets = tcp(flags, seq, ack, b"x" * size, ports, window, options, **where)
        if form == "tagged":
            octets = ether(0x8100, struct.pack(">HH", 5, 0x0800) + octets[14:])
        kept = octets[:60] if form == "snapped" else octets[:40] if form == "cut" else octets
        note = "seen" if form == "noted" else ""
        if form == "raw":
            self.frames.append(Frame(self.now, octets[14:], len(octets) - 14, RAW_IP))
        else:
            self.frames.append(Frame(self.now, kept, len(octets), comment=note))

    def opens(self, port):
        mine, yours = self.next[port, 0], self.next[port, 1]
        for end, flags, seq, ack in ((0, SYN, mine, 0), (1, SYN | ACK, yours, mine + 1), (0, ACK, mine + 1, yours + 1)):
            self.segment(port, end, flags, seq, ack, 0, 1000, MSS + SHIFT if flags & SYN else b"")
            self.now += 1_000_000
        self.next[port, 0] += 1
        self.next[port, 1] += 1

    def goes_on(self, port, end, size, window, push):
        mine, yours = self.next[port, end], self.next[port, 1 - end]
        self.segment(port, end, ACK | PSH * push, mine, yours, size, window)
        self.next[port, end] += size

    def jumps(self, port, end, flags, back, size, window, form):
        mine, yours = self.next[port, end], self.next[port, 1 - end]
        options = MSS + SHIFT if flags & SYN else b""
        self.segment(port, end, flags, mine - back[0], yours - back[1], size, window, options, form)
        if back == (0, 0):
            self.next[port, end] += size + bool(flags & (SYN | FIN))


PORTS, ENDS = st.sampled_from([0, 0, 0, 1]), st.integers(0, 1)
SIZES, WINDOWS = st.sampled_from([0, 0, 1, 1, 100, 1000, 4000]), st.sampled_from([0, 0, 100, 1000, 1000, 1000])
WAITS = st.sampled_from([0, 10_000, 1_000_000, 30_000_000, 300_000_000])
BACK = st.sampled_from([(0, 0), (0, 0), (1, 0), (10, 0), (-100, 0), (0, 10), (0, 100), (1000, 0), (7, -50)])
FORMS = st.sampled_from(["plain"] * 6 + ["tagged", "noted", "snapped", "cut", "fragment", "raw"])
ACTIONS = st.one_of(
    st.tuples(st.just("opens"), PORTS),
    *[st.tuples(st.just("goes_on"), PORTS, ENDS, SIZES, WINDOWS, st.booleans())] * 3,
    st.tuples(st.just("jumps"), PORTS, ENDS, st.sampled_from(FLAGS), BACK, SIZES, WINDOWS, FORMS),
)


@st.composite
def captures(draw):
    """Frames of connections that mostly go on as they should; now and then two change places, one comes twice, or a datagram is between."""
    world = World()
    for _ in range(draw(st.integers(0, 1))):
        world.opens(0)
    for name, *rest in draw(st.lists(ACTIONS, max_size=40)):
        getattr(world, name)(*rest)
        world.now += draw(WAITS)
    frames = world.frames
    for place, what in draw(
        st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["swap", "twice", "lose", "udp"])), max_size=4)
    ):
        if place + 1 < len(frames):
            match what:
                case "swap":
                    one, other = frames[place], frames[place + 1]
                    frames[place : place + 2] = [
                        other._replace(time_ns=one.time_ns),
                        one._replace(time_ns=other.time_ns),
                    ]
                case "twice":
                    frames.insert(place, frames[place])
                case "lose":
                    del frames[place]
                case "udp":
                    frames.insert(place, Frame(frames[place].time_ns, udp(b"hi"), 44))
    return frames


def told(builder):
    """Return all that a trace holds, as plain values."""
    builder.finish()
    trace = builder.trace
    return [(item, item.events, item.sides, item.packets) for item in trace.conversations], trace.packets, trace.of


def thorough(frames):
    builder = TraceBuilder(NAMES)
    builder.feed(read_packet(number, frame) for number, frame in enumerate(frames, 1))
    return told(builder)


def quick(frames):
    builder = TraceBuilder(NAMES)
    builder.read(frames)
    return told(builder)


class Lessons:
    """Segments with nothing but ACK in order, of which something is to be said, or that change what is to be said of later ones."""

    def data_after_a_keep_alive(self, talk):
        talk.opened().a(3, ACK, 101, 301, b"x").b(4, ACK, 301, 102).a(5, ACK, 101, 301)
        return talk.a(6, ACK, 102, 301, b"y").b(7, ACK, 301, 102).b(8, ACK, 301, 102)

    def a_probe_of_a_closed_window(self, talk):
        talk.opened().b(3, ACK, 301, 101, window=0).a(4, ACK, 101, 301, b"x").b(5, ACK, 301, 101, window=0)
        return talk.b(6, ACK, 301, 101).a(7, ACK, 101, 301, b"xy").b(8, ACK, 301, 103)

    def a_window_filled_to_its_end(self, talk):
        talk.a(0, SYN, 100, options=MSS + SHIFT).b(1, SYN | ACK, 300, 101, options=MSS + SHIFT).a(2, ACK, 101, 301)
        return talk.a(3, ACK, 101, 301, bytes(3000)).a(4, ACK, 3101, 301, bytes(1000)).b(5, ACK, 301, 4101)

    def a_hole_that_a_fin_is_behind(self, talk):
        talk.opened().a(3, ACK, 111, 301, b"x" * 10).a(4, ACK, 121, 301, b"y").a(5, FIN | ACK, 122, 301)
        return talk.b(6, ACK, 301, 101).a(7, ACK, 101, 301, b"x" * 10).b(8, ACK, 301, 122).b(9, ACK, 301, 123)

    def acknowledgments_behind_a_fin(self, talk):
        talk.opened().a(3, FIN | ACK, 101, 301).b(4, ACK, 301, 102, b"more").a(5, ACK, 102, 305)
        return talk.b(6, FIN | ACK, 305, 102).a(7, ACK, 102, 306)

    def old_segments_behind_a_new_connection_on_the_same_ports(self, talk):
        talk.opened().b(3, ACK, 301, 101, b"old").a(4, ACK, 101, 304).a(5, SYN, 9000)
        return talk.b(6, ACK, 304, 101, b"older").b(7, SYN | ACK, 7000, 9001).a(8, ACK, 9001, 7001)

    def a_beginning_that_was_not_seen(self, talk):
        return talk.a(0, ACK, 5, 1, b"x").b(1, ACK, 0, 6, b"yy").a(2, ACK, 6, 2, b"z").b(3, ACK, 2, 7)


class TestQuick:
    @settings(max_examples=200, deadline=None)
    @given(captures())
    def test_says_what_the_thorough_way_says(self, frames):
        """Packets, states, octets, events, and which frame belongs to whom."""
        assert quick(frames) == thorough(frames)

    @settings(deadline=None)
    @given(captures(), st.lists(st.integers(0, 60), max_size=3))
    def test_does_not_depend_on_how_many_frames_come_at_once(self, frames, cuts):
        builder = TraceBuilder(NAMES)
        places = sorted({0, len(frames), *(cut for cut in cuts if cut < len(frames))})
        for one, other in itertools.pairwise(places):
            builder.read(frames[one:other], one + 1)
        assert told(builder) == quick(frames)

    @settings(deadline=None)
    @given(captures(), st.randoms(use_true_random=False))
    def test_holds_in_any_order(self, frames, chance):
        chance.shuffle(frames)
        assert quick(frames) == thorough(frames)

    @pytest.mark.parametrize("name", [name for name in dir(Lessons) if not name.startswith("_")])
    def test_holds_where_a_segment_looks_plain_and_is_not(self, name):
        talk = getattr(Lessons(), name)(Talk())
        assert quick(talk.frames) == thorough(talk.frames)

    def test_is_taken(self, monkeypatch):
        """Or the tests above would hold for want of anything to compare."""
        took = []
        take = Way.take
        monkeypatch.setattr(Way, "take", lambda way, *segment: took.append(take(way, *segment)) or took[-1])
        world = World()
        world.opens(0)
        for _ in range(50):
            world.goes_on(0, 0, 100, 1000, push=True)
            world.goes_on(0, 1, 0, 1000, push=False)
        quick(world.frames)
        assert sum(took) >= 98


def ends_of_blocks(octets):
    """Where a pcapng file's blocks end: cut there, it is a shorter file, and whole."""
    at, ends = 0, []
    while at < len(octets):
        at += int.from_bytes(octets[at + 4 : at + 8], "little")
        ends.append(at)
    return ends


class TestRuns:
    """Frames that follow each other in a pcapng file are taken at one go."""

    @settings(deadline=None)
    @given(captures(), st.data())
    def test_a_file_that_ends_anywhere_holds_the_frames_up_to_there(self, frames, data):
        octets = write_pcapng(Capture(frames))
        cut = data.draw(st.integers(4, len(octets)))
        seen = read_capture(octets[:cut])
        whole = read_capture(octets).frames
        assert seen.frames == whole[: len(seen.frames)]
        assert seen.problem or cut in ends_of_blocks(octets)

    def test_anything_between_two_frames_is_read(self):
        frames = [Frame(n, bytes([n]) * n, n) for n in range(1, 9)]
        parts = [write_pcapng(Capture(frames[:4])), write_pcapng(Capture(frames[4:], names={A: "client"}))]
        seen = read_capture(b"".join(parts))
        assert (seen.frames, seen.names) == (frames, {A: "client"})


class TestAnything:
    """A capture that is cut, in another order or damaged: an error in words, or what it still shows, and that something is amiss."""

    @settings(max_examples=60, deadline=None)
    @given(captures(), st.data())
    def test_a_cut_one_is_drawn_so_far_and_says_so(self, frames, data):
        octets = write_pcapng(Capture(frames))
        cut = data.draw(st.integers(4, len(octets)))
        capture = read_capture(octets[:cut])
        trace = build_trace(capture, NAMES)
        assert trace.problems == [capture.problem] * bool(capture.problem)
        assert all(problem in "\n".join(drawn(trace)) for problem in trace.problems)

    @settings(max_examples=60, deadline=None)
    @given(captures(), st.randoms(use_true_random=False), st.data())
    def test_a_shuffled_and_damaged_one_is_drawn(self, frames, chance, data):
        chance.shuffle(frames)
        octets = bytearray(write_pcapng(Capture(frames)))
        for _ in range(data.draw(st.integers(0, 8))):
            octets[data.draw(st.integers(4, len(octets) - 1))] = data.draw(st.integers(0, 255))
        drawn(build_trace(read_capture(bytes(octets)), NAMES))


def drawn(trace):
    """Draw a trace in every way there is; return the text."""
    ladder = lay_out(trace, everything=True)
    draw_html(trace, ladder, page_file().read_text(), "x")
    draw_svg(ladder, "x")
    trace_facts(trace)
    for item in trace.conversations:
        list(explain(item, trace))
    return list(TextLadder(4000, colour=False).draw(ladder))
