"""The small services over TCP: octets in, octets out."""

from services.tcp.protocol import Chargen, Collector, Daytime, Discard, Echo, EchoCheck, Greeting, Time
from services.wire import small


class TestGreeting:
    def test_says_its_24_octets_once_and_closes(self):
        core = Greeting()
        assert core.data_to_send() == b"Thank you for connecting"
        assert core.data_to_send() == b""
        assert core.closing

    def test_what_the_peer_sends_changes_nothing(self):
        core = Greeting()
        core.receive_data(b"GET / HTTP/1.0\r\n\r\n")
        core.receive_eof()
        assert core.data_to_send() == small.GREETING


class TestDaytimeAndTime:
    """RFC 867 and RFC 868: say it, then close."""

    def test_say_the_time_that_they_are_given(self):
        assert Daytime(0).data_to_send() == small.daytime(0)
        assert Time(0).data_to_send() == small.time_now(0)
        assert Daytime(0).closing
        assert Time(0).closing


class TestEcho:
    """RFC 862."""

    def test_sends_back_what_came_in_its_order(self):
        core = Echo()
        core.receive_data(b"one")
        core.receive_data(b"two")
        assert core.data_to_send() == b"onetwo"
        assert core.data_to_send() == b""

    def test_closes_only_after_the_peer_did_and_the_rest_is_still_echoed(self):
        core = Echo()
        core.receive_data(b"last")
        assert not core.closing
        core.receive_eof()
        assert core.closing
        assert core.data_to_send() == b"last"


class TestDiscard:
    """RFC 863."""

    def test_says_nothing(self):
        core = Discard()
        core.receive_data(b"x" * 1000)
        assert core.data_to_send() == b""
        assert not core.closing
        core.receive_eof()
        assert core.closing


class TestChargen:
    """RFC 864."""

    def test_has_always_more_to_say_until_the_peer_closes(self):
        core = Chargen()
        core.receive_data(b"ignored")
        assert core.data_to_send() == core.data_to_send() == small.CYCLE
        core.receive_eof()
        assert core.data_to_send() == b""


class TestCollector:
    def test_is_complete_when_the_server_closes(self):
        core = Collector()
        core.receive_data(b"Thank you ")
        core.receive_data(b"for connecting")
        assert not core.complete
        core.receive_eof()
        assert core.complete
        assert core.data == small.GREETING

    def test_keeps_no_more_than_its_limit(self):
        core = Collector(limit=10)
        core.receive_data(b"x" * 25)
        assert (len(core.data), core.overflow, core.complete) == (10, 15, True)


class TestEchoCheck:
    def test_joined_to_the_server_it_gets_its_octets_back(self):
        client, server = EchoCheck(b"hello"), Echo()
        server.receive_data(client.data_to_send())
        client.receive_data(server.data_to_send())
        assert client.complete
        assert client.matches

    def test_sees_an_octet_that_differs(self):
        client = EchoCheck(b"hello")
        client.receive_data(b"hexlo")
        assert not client.matches
