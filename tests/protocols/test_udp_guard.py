"""What the UDP services never answer."""

from collections.abc import Callable

import pytest

from services.udp.protocol import Chargen, Responder, daytime, discard, echo, greeting, time_now

ANSWERS: dict[str, Callable[[bytes], bytes | None]] = {
    "greeting": greeting,
    "echo": echo,
    "discard": discard,
    "daytime": daytime(lambda: 0),
    "chargen": Chargen(),
    "time": time_now(lambda: 0),
}


class TestAmplificationGuard:
    """CA-1996-01: two services that answer each other never end; a forged source makes us hit somebody else."""

    @pytest.mark.parametrize("name", ANSWERS)
    @pytest.mark.parametrize("port", [0, 7, 19, 53, 123, 1023, 12345])
    def test_a_service_port_is_never_answered(self, name: str, port: int) -> None:
        core = Responder(ANSWERS[name])
        core.receive_datagram(b"x", ("10.0.0.2", port))
        core.receive_datagram(b"x", ("fd00::2", port, 0, 0))
        assert core.datagrams_to_send() == []

    def test_the_first_port_that_is_not_well_known_is_answered(self) -> None:
        core = Responder(echo)
        core.receive_datagram(b"x", ("10.0.0.2", 1024))
        assert core.datagrams_to_send() == [(b"x", ("10.0.0.2", 1024))]

    def test_ports_of_this_very_server_are_not(self) -> None:
        core = Responder(echo, own={7007})
        core.receive_datagram(b"x", ("10.0.0.2", 7007))
        assert core.datagrams_to_send() == []
