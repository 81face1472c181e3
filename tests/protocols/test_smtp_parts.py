"""The relay's smaller pure parts: what goes on top of a message, reports, back-off, the route table."""

import random
from email import message_from_bytes, policy

import pytest

from services.smtp_relay.backoff import Backoff
from services.smtp_relay.envelope import Envelope, Reply
from services.smtp_relay.header import date, read_header, trace
from services.smtp_relay.report import Failure, failure_report
from services.smtp_relay.routes import Route, parse_routes

NOW = 1_795_000_000.0


def on_top(text, **facts):
    envelope = Envelope("a@lab.test", {"b@lab.test": "lab.test"}, helo="client", protocol="ESMTP", **facts)
    return trace(read_header(text), envelope, name="smtp-relay", queue_id="1F", peer="10.1.2.3", now=NOW)


class TestTrace:
    def test_received_is_on_top_with_all_its_clauses(self):
        """RFC 5321 section 4.4."""
        message = message_from_bytes(on_top(b"Subject: x\r\n\r\n") + b"Subject: x\r\n\r\nbody", policy=policy.default)
        assert message.keys()[0] == "Received"
        words = (
            "from client ([10.1.2.3]) by smtp-relay with ESMTP id 1F for <b@lab.test>; Wed, 18 Nov 2026 11:06:40 +0000"
        )
        assert " ".join(message["Received"].split()) == words

    def test_missing_date_and_message_id_are_added(self):
        """RFC 6409 section 8."""
        top = on_top(b"Subject: x\r\n\r\n")
        assert b"\r\nDate: Wed, 18 Nov 2026 11:06:40 +0000\r\n" in top
        assert b"\r\nMessage-ID: <1F@smtp-relay>\r\n" in top

    @pytest.mark.parametrize("names", [("Date", "Message-ID"), ("DATE", "message-id"), ("date ", "Message-Id\t")])
    def test_those_that_are_there_stay_as_they_are(self, names):
        top = on_top("".join(f"{name}: x\r\n" for name in names).encode() + b"\r\nDate: in the body\r\n")
        assert top.count(b"\r\n") == 3
        assert b"Date" not in top

    def test_a_date_in_the_body_is_none_in_the_header(self):
        assert b"Date:" in on_top(b"Subject: x\r\n\r\nDate: y\r\n")

    @pytest.mark.parametrize("text", [b"no header here\r\n", b"", b" : x\r\n"])
    def test_a_text_without_a_header_gets_one(self, text):
        message = message_from_bytes(on_top(text) + text)
        assert message["Date"]
        assert message.get_payload() == text.decode()

    def test_an_empty_header_ends_where_it_ended(self):
        assert message_from_bytes(on_top(b"\r\nbody\r\n") + b"\r\nbody\r\n").get_payload() == "body\r\n"

    def test_ipv6_is_written_as_a_literal(self):
        top = trace(read_header(b""), Envelope(""), name="r", queue_id="1", peer="fd00::1", now=NOW)
        assert b"([IPv6:fd00::1])" in top

    def test_received_fields_are_counted_in_the_header_alone(self):
        """RFC 5321 section 6.3."""
        assert read_header(b"Received: x\r\n" * 7 + b"received : y\r\nX-Received: z\r\n\r\nReceived: no\r\n").hops == 8

    def test_dates_are_as_the_standard_library_reads_them(self):
        from email.utils import parsedate_to_datetime

        for now in (0.0, NOW, NOW + 86400 * 40.5, 2_000_000_000.9):
            assert parsedate_to_datetime(date(now)).timestamp() == int(now)


class TestReport:
    """RFC 3464, RFC 6522."""

    def report(self, *failures, header=b"Subject: hi\r\nFrom: a@lab.test\r\n"):
        text = failure_report(
            "a@lab.test",
            failures,
            name="smtp-relay",
            queue_id="2A",
            about="1F",
            arrived=NOW - 60,
            header=header,
            now=NOW,
        )
        return text, message_from_bytes(text, policy=policy.default)

    def test_has_its_three_parts(self):
        _, message = self.report(Failure("b@lab.test", Reply(550, "5.1.1", "who?"), "mail-server"))
        assert message.get_content_type() == "multipart/report"
        assert message.get_param("report-type") == "delivery-status"
        kinds = [part.get_content_type() for part in message.iter_parts()]
        assert kinds == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
        assert message["Auto-Submitted"] == "auto-replied"
        assert message["To"] == "a@lab.test"
        assert not message.defects

    def test_tells_programs_of_each_recipient(self):
        _, message = self.report(
            Failure("b@lab.test", Reply(550, "5.1.1", "who?"), "mail-server"),
            Failure("c@lab.test", Reply(451, "4.4.1", "no answer"), "", 9),
        )
        about, first, second = list(message.iter_parts())[1].get_payload()
        assert about["Reporting-MTA"] == "dns; smtp-relay"
        assert about["Arrival-Date"] == date(NOW - 60)
        assert (first["Final-Recipient"], first["Action"], first["Status"]) == ("rfc822; b@lab.test", "failed", "5.1.1")
        assert first["Diagnostic-Code"] == "smtp; 550 5.1.1 who?"
        assert first["Remote-MTA"] == "dns; mail-server"
        assert (second["Final-Recipient"], second["Status"]) == ("rfc822; c@lab.test", "4.4.1")
        assert second["Remote-MTA"] is None

    def test_tells_people_and_gives_the_header_back(self):
        text, message = self.report(Failure("b@lab.test", Reply(550, "5.1.1", "who?"), "mail-server"))
        plain, _, returned = message.iter_parts()
        assert "<b@lab.test>" in plain.get_content()
        assert "550 5.1.1 who?" in plain.get_content()
        assert "Subject: hi" in returned.get_payload()
        assert text.replace(b"\r\n", b"").count(b"\n") == 0

    def test_beyond_ascii_it_is_global(self):
        """RFC 6533."""
        text, message = self.report(Failure("ü@lab.test", Reply(550, "5.1.1", "wer?"), "mail-server"))
        kinds = [part.get_content_type() for part in message.iter_parts()]
        assert kinds[1:] == ["message/global-delivery-status", "message/global-headers"]
        assert "Final-Recipient: utf-8; ü@lab.test".encode() in text

    def test_a_long_header_is_cut_at_a_line(self):
        text, _ = self.report(Failure("b@lab.test", Reply(550, "", "no")), header=b"X-Long: yes\r\n" * 5000)
        assert len(text) < 20_000
        assert b"X-Long: yes\r\n\r\n--" in text

    def test_replies_of_many_lines_stay_one_field(self):
        _, message = self.report(Failure("b@lab.test", Reply(550, "5.0.0", "one\ntwo: three"), "x"))
        assert list(message.iter_parts())[1].get_payload()[1]["Diagnostic-Code"] == "smtp; 550 5.0.0 one two: three"


class TestBackoff:
    def test_waits_grow_to_the_longest(self):
        backoff = Backoff(first=1, factor=2, longest=20, jitter=0)
        assert [backoff.wait(n, lambda *_: 1.0) for n in (1, 2, 3, 4, 5, 6, 1000)] == [1, 2, 4, 8, 16, 20, 20]

    def test_jitter_is_within_its_share_and_the_same_for_the_same_seed(self):
        backoff = Backoff(first=10, longest=10, jitter=0.25)
        one, other = ([backoff.wait(1, random.Random(3).uniform) for _ in range(1)] for _ in range(2))
        assert one == other
        uniform = random.Random(4).uniform
        waits = [backoff.wait(1, uniform) for _ in range(500)]
        assert 7.5 <= min(waits) < 8
        assert 12 < max(waits) <= 12.5

    def test_is_over_after_the_last_try(self):
        assert [Backoff(tries=3).is_over(n) for n in (1, 2, 3, 4)] == [False, False, True, True]


class TestRoutes:
    def test_a_table(self):
        routes = parse_routes(
            "postmaster: alice@lab.test\nroutes:\n  Lab.Test: {host: mail-server, port: 2424, protocol: lmtp}\n"
            "  far.test: {host: far}\n  full.test: {host: x, protocol: lmtp, fault: 452 4.2.2 mailbox full}\n"
        )
        assert routes.postmaster == "alice@lab.test"
        assert routes.by_domain == {
            "lab.test": Route("mail-server", 2424, "lmtp"), "far.test": Route("far", 25, "smtp"),
            "full.test": Route("x", 24, "lmtp", Reply(452, "4.2.2", "mailbox full")),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[", "no YAML"), ("", "expected `routes:`"), ("routes: 5", "expected `routes:`"), ("routes: {}\nother: 1", "expected"),
            ("routes: {lab.test: x}", "routes.lab.test: expected"), ("routes: {lab.test: {}}", "routes.lab.test.host"),
            ("routes: {lab.test: {host: x, port: 0}}", "routes.lab.test.port: `0`"), ("routes: {a b: {host: x}}", "not a domain"),
            ("routes: {lab.test: {host: x, protocol: uucp}}", "`uucp` is not one of smtp, lmtp"),
            ("routes: {lab.test: {host: x, prot: 25}}", "routes.lab.test.prot: not one of"),
            ("routes: {lab.test: {host: x, fault: 250 ok}}", "routes.lab.test.fault"), ("routes: {}\npostmaster: x", "postmaster: `x`"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_told_with_its_place(self, text, said):
        with pytest.raises(ValueError, match=r".") as told:
            parse_routes(text)
        assert said in str(told.value)

    def test_all_that_is_wrong_is_told_at_once(self):
        with pytest.raises(ValueError, match=r"a\.test.*; .*b\.test"):
            parse_routes("routes: {a.test: {}, b.test: 5}")

    def test_the_table_that_the_relay_brings_is_one(self):
        from services.smtp_relay.server import ROUTES

        assert parse_routes(ROUTES.read_text()).by_domain["lab.test"] == Route("mail-server", 24, "lmtp")
