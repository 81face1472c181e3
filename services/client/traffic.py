"""What a TCP connection cost: octets, segments, round trips; from the kernel (tcp(7), `TCP_INFO`) and from our own turns."""

import socket
import struct
from dataclasses import dataclass

# Where `struct tcp_info` of linux/tcp.h has them: it begins with 8 octets and 24 words of four.
_RTT = 8 + 15 * 4
_RECEIVED = 128
_SEGMENTS = 136  # out, in
_SENT = 200  # and sent again, since Linux 4.19
_LENGTH = 216


@dataclass
class Traffic:
    """Counts of one conversation, over as many connections as it took.

    Args:
        sent: octets that the client sent, of what TCP carries.
        received: octets that it received.
        turns: how often it waited for an answer, the handshakes among them.
        segments_out: TCP segments sent, with SYN and acknowledgments.
        segments_in: TCP segments received.
        rtt: seconds of a round trip, as the kernel smoothed it; of the last connection.
    """

    sent: int = 0
    received: int = 0
    turns: int = 0
    segments_out: int = 0
    segments_in: int = 0
    rtt: float = 0.0

    def add_kernel_counts(self, conn: socket.socket, *, octets: bool = False) -> None:
        """Read what the kernel counted; before the connection is closed.

        Args:
            octets: take octets from there too, where nobody here counted them.
        """
        facts = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if len(facts) < _LENGTH:
            return
        out, into = struct.unpack_from("=II", facts, _SEGMENTS)
        self.segments_out += out
        self.segments_in += into
        self.rtt = struct.unpack_from("=I", facts, _RTT)[0] / 1e6
        if octets:
            sent, again = struct.unpack_from("=QQ", facts, _SENT)
            self.sent += sent - again
            self.received += struct.unpack_from("=Q", facts, _RECEIVED)[0]

    def add(self, other: "Traffic") -> None:
        """Add another conversation's counts."""
        self.sent += other.sent
        self.received += other.received
        self.turns += other.turns
        self.segments_out += other.segments_out
        self.segments_in += other.segments_in
        self.rtt = self.rtt or other.rtt

    def __str__(self) -> str:
        return (
            f"{self.turns} round trips, {self.sent} octets out, {self.received} in, "
            f"segments {self.segments_out} out, {self.segments_in} in, round trip {self.rtt * 1000:.3f} ms"
        )
