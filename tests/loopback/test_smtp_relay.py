"""The relay as a process, the standard library's client before it and a foreign next host behind it."""

import os
import re
import resource
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.loopback.relay import ROOT, Relay
from tests.loopback.sink import Sink

TEXT = b"From: <alice@lab.test>\r\nSubject: hello\r\n\r\nA line.\r\n.A dot.\r\n..\r\n"


@pytest.fixture
def sink():
    with Sink() as sink:
        yield sink


@pytest.fixture
def relay(tmp_path, sink):
    """A relay whose `lab.test` goes to the sink; ended with the test."""
    relay = Relay(tmp_path / "queue", routes={"lab.test": sink})
    yield relay
    relay.stop()


@pytest.fixture
def begin(tmp_path):
    """Start relays with flags of the test's own; ended with the test."""
    started = []

    def run(*flags, **facts):
        started.append(Relay(tmp_path / "queue", *flags, **facts))
        return started[-1]

    yield run
    for relay in started:
        relay.stop()


def closed_port():
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def raw(relay, wire=b"", *, greeting=True, end=b""):
    """Send octets and return all that is said until the relay closes, or until `end` is."""
    with socket.create_connection(("127.0.0.1", relay.port), timeout=10) as conn:
        said = b""
        while greeting and not said.endswith(b"\r\n"):
            said += conn.recv(1000)
        conn.sendall(wire)
        said = b""
        while not (end and end in said) and (data := conn.recv(65536)):
            said += data
        return said


class TestDelivery:
    def test_what_smtplib_sends_arrives_octet_for_octet_below_the_trace(self, relay, sink):
        relay.send(TEXT)
        (taken,) = sink.wait(1)
        assert (taken.sender, taken.recipients) == ("alice@lab.test", ["bob@lab.test"])
        assert taken.text.endswith(TEXT)
        message = message_from_bytes(taken.text, policy=policy.default)
        assert message.keys()[:3] == ["Received", "Date", "Message-ID"]
        relay.wait_empty()

    @pytest.mark.parametrize("lmtp", [True, False], ids=["lmtp", "smtp"])
    @pytest.mark.parametrize(
        "extensions", [(), ("PIPELINING",), ("PIPELINING", "CHUNKING")], ids=["plain", "pipelining", "chunking"]
    )
    def test_several_recipients_go_in_one_transaction(self, begin, lmtp, extensions):
        with Sink(lmtp=lmtp, extensions=extensions) as sink:
            relay = begin(routes={"lab.test": sink})
            relay.send(TEXT, to=[f"u{n}@lab.test" for n in range(5)])
            (taken,) = sink.wait(1)
            assert taken.recipients == [f"u{n}@lab.test" for n in range(5)]
            assert taken.text.endswith(TEXT)
            relay.wait_empty()
            assert relay.stop() == 0

    def test_the_connection_is_used_again(self, relay, sink):
        with relay.smtp() as client:
            for _ in range(20):
                client.sendmail("alice@lab.test", ["bob@lab.test"], TEXT)
                relay.wait_empty()
        assert len(sink.wait(20)) == 20
        assert sink.connections == 1

    def test_a_refused_recipient_does_not_hinder_the_others_and_the_sender_gets_a_report(self, relay, sink):
        sink.replies["no@lab.test"] = "550 5.1.1 who is that?"
        relay.send(TEXT, to=["bob@lab.test", "no@lab.test"])
        first, second = sorted(sink.wait(2), key=lambda taken: taken.sender, reverse=True)
        assert first.recipients == ["bob@lab.test"]
        assert (second.sender, second.recipients) == ("", ["alice@lab.test"])
        report = message_from_bytes(second.text, policy=policy.default)
        about = list(report.iter_parts())[1].get_payload()[1]
        assert (about["Final-Recipient"], about["Status"]) == ("rfc822; no@lab.test", "5.1.1")
        assert about["Diagnostic-Code"] == "smtp; 550 5.1.1 who is that?"
        relay.wait_empty()

    def test_lmtp_may_refuse_one_recipient_after_the_text(self, relay, sink):
        sink.replies["TEXT full@lab.test"] = "552 5.2.2 quota exceeded"
        relay.send(TEXT, to=["bob@lab.test", "full@lab.test"])
        assert {taken.sender for taken in sink.wait(2)} == {"alice@lab.test", ""}
        relay.wait_empty()

    def test_the_null_sender_gets_no_report(self, relay, sink):
        """RFC 5321 section 4.5.5: reports about reports would never end."""
        sink.replies["no@lab.test"] = "550 5.1.1 who is that?"
        relay.send(TEXT, to=["no@lab.test"], sender="")
        relay.event("dropped", reason="the null sender gets no report")
        relay.wait_empty()
        assert sink.taken == []

    def test_a_sender_without_a_route_gets_no_report(self, relay, sink):
        sink.replies["no@lab.test"] = "550 5.1.1 who is that?"
        relay.send(TEXT, to=["no@lab.test"], sender="x@outside.test")
        relay.event("dropped", reason="there is no route to its sender")
        relay.wait_empty()

    def test_a_text_beyond_memory_goes_through_a_file_and_arrives_whole(self, relay, sink):
        big = b"Subject: big\r\n\r\n" + b"".join(b".%07d " % n + b"x" * 900 + b"\r\n" for n in range(6000))
        relay.send(big)
        assert sink.wait(1, timeout=30)[0].text.endswith(big)
        relay.wait_empty()
        assert list((relay.folder / "spool").iterdir()) == []

    def test_a_big_text_that_is_taken_back_while_it_is_written_makes_room_for_the_next(self, relay, sink):
        chunk = b"x" * 78 + b"\r\n"
        big = b"BDAT %d\r\n" % (len(chunk) * 8000) + chunk * 8000 + b"RSET\r\n"
        begin = b"MAIL FROM:<a@lab.test>\r\nRCPT TO:<b@lab.test>\r\n"
        last = b"BDAT %d LAST\r\n" % len(TEXT) + TEXT
        said = raw(relay, b"EHLO c\r\n" + (begin + big) * 5 + begin + last + b"QUIT\r\n")
        assert said.count(b"Queued as") == 1
        assert sink.wait(1)[0].text.endswith(TEXT)
        relay.wait_empty()
        assert list((relay.folder / "spool").iterdir()) == []

    def test_smtputf8_and_8bit_are_asked_of_the_next_host(self, relay, sink):
        with relay.smtp() as client:
            client.sendmail(
                "ü@lab.test",
                ["bob@lab.test"],
                "Subject: ü\r\n\r\nü\r\n".encode(),
                mail_options=["SMTPUTF8", "BODY=8BITMIME"],
            )
        taken = sink.wait(1)[0]
        assert taken.sender == "ü@lab.test"
        assert "SMTPUTF8" in taken.mail
        assert "BODY=8BITMIME" in taken.mail
        assert b"with UTF8SMTP id" in taken.text

    def test_a_next_host_without_8bitmime_gets_no_8bit_text(self, begin):
        with Sink(extensions=("PIPELINING",)) as sink:
            relay = begin(routes={"lab.test": sink})
            relay.send("Subject: x\r\n\r\nü\r\n".encode(), options=["BODY=8BITMIME"])
            report = sink.wait(1)[0]
            assert report.sender == ""
            assert b"Status: 5.6.3" in report.text
            relay.stop()


class TestRetries:
    def test_a_4xx_is_tried_again_until_it_is_taken(self, relay, sink):
        sink.replies["bob@lab.test"] = "451 4.3.0 come back"
        relay.send(TEXT)
        relay.event("not delivered")
        (entry,) = relay.messages()
        assert "451 4.3.0 come back" in entry["reply"] or entry["tries"] == 0
        del sink.replies["bob@lab.test"]
        sink.wait(1)
        relay.wait_empty()

    def test_after_the_last_try_comes_the_report(self, begin, sink):
        sink.replies["bob@lab.test"] = "451 4.3.0 come back"
        relay = begin("--tries", "3", routes={"lab.test": sink})
        relay.send(TEXT)
        (report,) = sink.wait(1)
        about = list(message_from_bytes(report.text, policy=policy.default).iter_parts())[1].get_payload()[1]
        assert about["Status"] == "4.3.0"
        assert "451 4.3.0 come back" in about["Diagnostic-Code"]
        assert "after 3 tries" in report.text.decode()

    def test_mail_for_a_host_that_is_away_waits_and_goes_when_it_is_back(self, begin):
        port = closed_port()
        relay = begin(routes={"lab.test": {"host": "127.0.0.1", "port": port, "protocol": "lmtp"}})
        for n in range(5):
            relay.send(TEXT + b"%d\r\n" % n)
        relay.event("unreachable")
        assert len(relay.messages()) == 5
        assert "5 messages" in relay.queue("summary")
        with Sink(port=port) as sink:
            assert {taken.text[-3:-2] for taken in sink.wait(5)} == {b"0", b"1", b"2", b"3", b"4"}
            relay.event("reachable")
            relay.wait_empty()
            assert relay.stop() == 0

    def test_a_host_that_never_comes_back_is_given_up(self, begin, sink):
        away = {"host": "127.0.0.1", "port": closed_port(), "protocol": "smtp"}
        relay = begin("--tries", "3", routes={"away.test": away, "lab.test": sink})
        relay.send(TEXT, to=["x@away.test"])
        (report,) = sink.wait(1)
        assert b"Status: 4.4.1" in report.text
        relay.wait_empty()

    def test_a_name_that_does_not_resolve_is_a_host_that_is_away(self, begin):
        relay = begin(routes={"lab.test": {"host": "nowhere.invalid", "port": 24, "protocol": "lmtp"}})
        relay.send(TEXT)
        assert "nowhere.invalid" in relay.event("unreachable")["to"]
        assert len(relay.messages()) == 1

    def test_a_host_that_turns_us_away_is_tried_again(self, begin, sink):
        sink.replies["GREETING"] = "554 5.3.2 not now"
        relay = begin(routes={"lab.test": sink})
        relay.send(TEXT)
        relay.event("unreachable")
        del sink.replies["GREETING"]
        sink.wait(1)

    def test_a_kept_connection_that_the_next_host_closed_costs_no_try(self, begin):
        with Sink() as sink:
            relay = begin(routes={"lab.test": sink})
            relay.send(TEXT)
            sink.wait(1)
            sink.replies["MAIL"] = "421 4.3.2 restarting"
            relay.send(TEXT)
            relay.event("not delivered")
            del sink.replies["MAIL"]
            sink.wait(2)
            relay.stop()


class TestRoutes:
    def test_a_fault_stands_for_the_delivery(self, begin, sink):
        fault = {"host": "nobody", "fault": "552 5.2.2 the mailbox is full"}
        relay = begin(routes={"full.test": fault, "lab.test": sink})
        relay.send(TEXT, to=["x@full.test"])
        assert b"552 5.2.2 the mailbox is full" in sink.wait(1)[0].text

    def test_sighup_reads_the_table_again(self, relay, sink):
        with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.7\.1"):
            relay.send(TEXT, to=["x@new.test"])
        relay.set_routes({"lab.test": sink, "new.test": sink})
        relay.process.send_signal(signal.SIGHUP)
        relay.event("routes read", domains=2)
        relay.send(TEXT, to=["x@new.test"])
        assert sink.wait(1)[0].recipients == ["x@new.test"]

    def test_a_wrong_table_is_told_of_and_the_old_one_stays(self, relay, sink):
        (relay.folder / "routes.yaml").write_text("routes: {lab.test: 5}")
        relay.queue("reload")
        assert "routes.lab.test" in relay.event("routes kept")["reason"]
        relay.send(TEXT)
        sink.wait(1)

    def test_queued_mail_follows_the_new_table(self, begin, sink):
        relay = begin(routes={"lab.test": {"host": "127.0.0.1", "port": closed_port(), "protocol": "lmtp"}})
        relay.send(TEXT)
        relay.event("unreachable")
        relay.set_routes({"lab.test": sink})
        relay.queue("reload")
        sink.wait(1)

    def test_mail_whose_route_was_taken_away_waits_for_another(self, begin, sink):
        relay = begin(
            routes={"lab.test": {"host": "127.0.0.1", "port": closed_port(), "protocol": "lmtp"}, "other.test": sink}
        )
        relay.send(TEXT)
        relay.event("unreachable")
        relay.set_routes({"other.test": sink})
        relay.queue("reload")
        relay.event("not delivered", reply="451 4.4.4 there is no route to this domain any more")
        relay.set_routes({"lab.test": sink})
        relay.queue("reload")
        sink.wait(1)

    def test_a_wrong_table_at_start_is_an_error(self, tmp_path):
        (tmp_path / "routes.yaml").write_text("routes: 5")
        told = subprocess.run(
            [sys.executable, "-m", "services.smtp_relay", "--port", "0", "--queue", str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 1
        assert "routes.yaml" in told.stdout


class TestQueueCommand:
    @pytest.fixture
    def stuck(self, begin):
        relay = begin("--retry-first", "1.5", "--retry-factor", "40", "--retry-longest", "60",
                      routes={"lab.test": {"host": "127.0.0.1", "port": closed_port(), "protocol": "lmtp"}})  # fmt: skip
        relay.send(TEXT)
        relay.send(TEXT, to=["bob@lab.test", "carol@lab.test"], sender="")
        while any(entry["tries"] == 0 for entry in relay.messages()):
            time.sleep(0.05)
        return relay

    def test_list_and_summary(self, stuck):
        first, second = stuck.messages()
        assert (first["sender"], first["first"], first["recipients"]) == ("alice@lab.test", "bob@lab.test", 1)
        assert (second["sender"], second["recipients"], second["tries"] > 0) == ("", 2, True)
        listed = stuck.queue("list").splitlines()
        assert listed[1].startswith(first["id"])
        assert "<alice@lab.test> -> <bob@lab.test>" in listed[1]
        assert "cannot be reached" in listed[1]
        assert stuck.queue("summary").startswith("queue: 2 messages, 3 deferred; oldest ")
        assert len(stuck.queue("list", "carol@lab.test", "--json")["messages"]) == 1
        assert stuck.queue("summary", "--json")["messages"] == 2

    def test_show_has_the_envelope_and_the_text(self, stuck):
        shown = stuck.queue("show", stuck.messages()[0]["id"])
        assert re.search(r"to <bob@lab\.test>: \d tries, next try in ", shown)
        assert "Subject: hello" in shown
        assert ".A dot." in shown
        assert stuck.queue("show", stuck.messages()[1]["id"], "--json")["recipients"][1]["address"] == "carol@lab.test"

    def test_hold_leaves_alone_and_retry_lets_go(self, stuck, sink):
        held, free = (entry["id"] for entry in stuck.messages())
        stuck.queue("hold", held)
        stuck.set_routes({"lab.test": sink})
        stuck.queue("reload")
        stuck.queue("retry", free)
        sink.wait(1)
        stuck.wait_left(1)
        assert [(entry["id"], entry["held"]) for entry in stuck.messages()] == [(held, True)]
        assert "1 held" in stuck.queue("summary")
        stuck.queue("retry", "--all")
        assert len(sink.wait(2)) == 2
        stuck.wait_empty()
        assert stuck.queue("summary") == "queue: empty\n"

    def test_drop_throws_away_without_a_report(self, stuck):
        stuck.queue("drop", "--all")
        assert stuck.messages() == []
        with sqlite3.connect(stuck.folder / "queue.db") as db:
            assert db.execute("SELECT count(*) FROM bodies").fetchone() == (0,)
        db.close()

    def test_what_is_not_there_is_told_and_nothing_is_done(self, stuck):
        there = stuck.messages()[0]["id"]
        assert "`ABC`" in stuck.queue("drop", there, "ABC", code=1)
        assert "`XYZ`" in stuck.queue("show", "XYZ", code=1)
        assert len(stuck.messages()) == 2
        assert "say which" in stuck.queue("hold", code=1)

    def test_without_a_queue(self, tmp_path):
        env = os.environ | {"LAB_QUEUE": str(tmp_path / "none")}
        told = subprocess.run(
            [sys.executable, "-m", "services.smtp_relay.mailq", "list"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 1
        assert str(tmp_path / "none") in told.stderr


class TestBadInput:
    HEAD = b"EHLO c\r\nMAIL FROM:<a@lab.test>\r\nRCPT TO:<b@lab.test>\r\nDATA\r\n"

    def test_a_message_cut_off_by_a_close_is_not_queued(self, relay, sink):
        for size in (100, 500_000):
            with socket.create_connection(("127.0.0.1", relay.port)) as conn:
                conn.recv(100)
                conn.sendall(self.HEAD + b"x" * 70 + b"\r\n" * 10)
                conn.sendall((b"y" * 70 + b"\r\n") * (size // 72))
                time.sleep(0.1)
        relay.send(TEXT)
        assert len(sink.wait(1)) == 1
        relay.wait_empty()
        assert list((relay.folder / "spool").iterdir()) == []

    def test_who_talks_before_the_greeting_is_554(self, relay, sink):
        said = raw(relay, self.HEAD + b"x\r\n.\r\nQUIT\r\n", greeting=False)
        assert said.startswith(b"554 ")
        assert b"250" not in said
        assert relay.messages() == []

    def test_smuggling_is_refused_and_the_connection_ends(self, relay, sink):
        said = raw(
            relay, self.HEAD + b"hi\n.\r\nMAIL FROM:<evil@lab.test>\r\nRCPT TO:<b@lab.test>\r\nDATA\r\nx\r\n.\r\n"
        )
        assert said.splitlines()[-2].startswith(b"554 5.6.0 ")
        assert b"Queued" not in said
        assert relay.messages() == []
        assert sink.taken == []

    def test_a_size_over_the_limit_is_refused_before_data(self, begin, sink):
        relay = begin("--max-size", "1000", routes={"lab.test": sink})
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            relay.send(b"x\r\n" * 500)
        assert refused.value.smtp_code == 552

    def test_a_loop_is_found_by_its_received_fields(self, relay):
        """RFC 5321 section 6.3."""
        with pytest.raises(smtplib.SMTPDataError) as refused:
            relay.send(b"Received: from x by y; z\r\n" * 100 + TEXT)
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (554, b"5.4.6")
        relay.send(b"Received: from x by y; z\r\n" * 99 + TEXT)

    def test_two_relays_that_route_to_each_other_end_it(self, begin, tmp_path, sink):
        port = closed_port()
        loop = {"host": "127.0.0.1", "port": port, "protocol": "smtp"}
        relay = begin("--max-hops", "10", port=port, routes={"loop.test": loop, "lab.test": sink})
        relay.send(TEXT, to=["x@loop.test"])
        assert b"5.4.6" in sink.wait(1)[0].text
        relay.wait_empty()

    def test_a_slow_loris_is_ended_with_421_though_it_never_falls_silent(self, begin, sink):
        relay = begin("--idle", "0.6", routes={"lab.test": sink})
        with socket.create_connection(("127.0.0.1", relay.port)) as conn:
            conn.recv(100)
            conn.settimeout(0.05)
            said, began = b"", time.monotonic()
            while not said.startswith(b"421 4.4.2 "):
                assert time.monotonic() - began < 10
                try:
                    conn.sendall(b"E")
                    said += conn.recv(1000)
                except TimeoutError:
                    continue

    def test_a_slow_text_is_ended_too(self, begin, sink):
        relay = begin("--idle", "0.6", routes={"lab.test": sink})
        with socket.create_connection(("127.0.0.1", relay.port)) as conn:
            conn.recv(100)
            conn.sendall(self.HEAD)
            conn.settimeout(0.05)
            said, began = b"", time.monotonic()
            while b"421 4.4.2 " not in said:
                assert time.monotonic() - began < 10
                try:
                    conn.sendall(b"x\r\n")
                    said += conn.recv(1000)
                except TimeoutError:
                    continue
        assert relay.messages() == []

    def test_10_000_recipients(self, relay):
        lines = b"".join(b"RCPT TO:<u%d@lab.test>\r\n" % n for n in range(10_000))
        said = raw(relay, b"EHLO c\r\nMAIL FROM:<>\r\n" + lines + b"QUIT\r\n")
        assert said.count(b"\r\n452 4.5.3 ") == 9_000
        assert said.count(b"\r\n250 2.1.5 ") == 1_000

    def test_noise_leaves_it_working_and_the_queue_empty(self, relay, sink):
        import random

        noise = random.Random(5)
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", relay.port)) as conn:
                conn.recv(100)
                conn.sendall(noise.randbytes(noise.randrange(1, 5000)))
        assert relay.messages() == []
        relay.send(TEXT)
        sink.wait(1)


class TestDiskFull:
    """The kernel is told to let the relay write no file beyond a size: for it that is a full disk."""

    def limit(self, relay, octets):
        resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))

    def test_a_big_text_is_refused_with_452_and_leaves_no_file(self, relay, sink):
        self.limit(relay, 300_000)
        with pytest.raises(smtplib.SMTPDataError) as refused:
            relay.send(b"x" * 70 + b"\r\n" * 1_000_000)
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (452, b"4.3.1")
        assert list((relay.folder / "spool").iterdir()) == []
        relay.send(TEXT)
        assert len(sink.wait(1)) == 1

    def test_what_cannot_be_committed_is_refused_and_taken_again_when_there_is_room(self, begin):
        relay = begin(routes={"lab.test": {"host": "127.0.0.1", "port": closed_port(), "protocol": "lmtp"}})
        self.limit(relay, 200_000)
        accepted = 0
        with pytest.raises(smtplib.SMTPDataError) as refused:
            for _ in range(100):
                relay.send(TEXT + b"y" * 70 + b"\r\n" * 10_000)
                accepted += 1
        assert refused.value.smtp_code == 452
        assert 0 < accepted < 100
        self.limit(relay, resource.RLIM_INFINITY)
        relay.send(TEXT)
        assert len(relay.messages()) == accepted + 1

    def test_an_outcome_that_cannot_be_written_is_not_delivered_again_and_again(self, relay, sink):
        sink.gate.clear()
        relay.send(TEXT)
        sink.wait(1)
        self.limit(relay, 1)  # from here on nothing can be written
        sink.gate.set()
        relay.event("not written")
        time.sleep(1.5)  # several tries' time
        assert len(sink.taken) == 1
        self.limit(relay, resource.RLIM_INFINITY)
        relay.wait_empty()
        assert len(sink.taken) == 1

    def test_a_big_message_is_never_in_memory_as_a_whole(self, relay, sink):
        def peak():
            return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{relay.process.pid}/status").read_text())[1]) / 1024

        relay.send(TEXT)
        sink.wait(1)
        before = peak()
        big = b"Subject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * ((50 << 20) // 78)
        relay.send(big)
        assert sink.wait(2, timeout=60)[1].text.endswith(big)
        assert peak() - before < 32  # MiB, of 128 that it may have


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path):
        cert, key = tmp_path / "relay.crt", tmp_path / "relay.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=smtp-relay", "-addext", "subjectAltName=IP:127.0.0.1,DNS:smtp-relay", "-keyout", str(key), "-out", str(cert)],
            check=True, capture_output=True,
        )  # fmt: skip
        return cert, key

    def test_starttls_with_a_certificate_that_the_client_checks(self, begin, sink, certificate):
        cert, key = certificate
        relay = begin(routes={"lab.test": sink}, env={"LAB_TLS_CERT": str(cert), "LAB_TLS_KEY": str(key)})
        big = TEXT + b"z" * 70 + b"\r\n" * 10_000
        with relay.smtp() as client:
            client.starttls(context=ssl.create_default_context(cafile=str(cert)))
            client.sendmail("alice@lab.test", ["bob@lab.test"], TEXT)
            client.sendmail("alice@lab.test", ["bob@lab.test"], big)
        texts = [taken.text for taken in sink.wait(2)]
        assert all(b"with ESMTPS id" in text for text in texts)
        assert any(text.endswith(big) for text in texts)
        assert relay.stop() == 0

    def test_it_is_offered_as_soon_as_the_files_are_there(self, begin, sink, certificate, tmp_path):
        cert, key = certificate
        later = tmp_path / "later.crt"
        relay = begin(routes={"lab.test": sink}, env={"LAB_TLS_CERT": str(later), "LAB_TLS_KEY": str(key)})
        with relay.smtp() as client:
            client.ehlo()
            assert not client.has_extn("STARTTLS")
        later.write_bytes(cert.read_bytes())
        with relay.smtp() as client:
            client.ehlo()
            assert client.has_extn("STARTTLS")

    def test_a_handshake_that_fails_ends_the_connection_and_no_other(self, begin, sink, certificate):
        cert, key = certificate
        relay = begin(routes={"lab.test": sink}, env={"LAB_TLS_CERT": str(cert), "LAB_TLS_KEY": str(key)})
        assert raw(relay, b"EHLO c\r\nSTARTTLS\r\n", end=b"220 2.0.0").endswith(b"220 2.0.0 Ready to start TLS\r\n")
        with socket.create_connection(("127.0.0.1", relay.port)) as conn:
            conn.recv(100)
            conn.sendall(b"EHLO c\r\nSTARTTLS\r\n")
            while b"220 2.0.0" not in conn.recv(1000):
                pass
            conn.sendall(b"this is no handshake\r\n" * 10)
            conn.settimeout(5)
            with pytest.raises(ConnectionError):
                while conn.recv(1000):
                    pass
                raise ConnectionError
        relay.send(TEXT)
        sink.wait(1)
        assert relay.stop() == 0


class TestProcess:
    def test_sigterm_says_421_and_exits_with_0(self, relay):
        with socket.create_connection(("127.0.0.1", relay.port)) as conn:
            conn.recv(100)
            relay.process.send_signal(signal.SIGTERM)
            assert conn.recv(100).startswith(b"421 4.3.2 ")
        assert relay.process.wait(5) == 0

    def test_the_healthcheck_speaks_smtp(self, relay):
        def check(port):
            return subprocess.run(
                [sys.executable, "-m", "services.smtp_relay", "--check", str(port)],
                cwd=ROOT,
                capture_output=True,
                check=False,
            ).returncode

        assert check(relay.port) == 0
        assert check(closed_port()) == 1

    def test_every_commit_is_synced_to_the_disk(self, tmp_path):
        from services.smtp_relay.store import Store, connect

        store = Store(tmp_path)
        db = connect(tmp_path)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        db.close()
        store.close()

    @pytest.mark.parametrize("flags", [["--tries", "0"], ["--retry-jitter", "2"], ["--port", "x"], ["--tls-cert", "x"]])
    def test_a_setting_that_makes_no_sense_is_a_usage_error(self, flags):
        told = subprocess.run(
            [sys.executable, "-m", "services.smtp_relay", *flags], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert told.returncode == 2
        assert "error:" in told.stderr

    def test_a_second_relay_on_the_same_queue_is_refused(self, relay):
        told = subprocess.run(
            [sys.executable, "-m", "services.smtp_relay", "--port", "0", "--queue", str(relay.folder)],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
        assert told.returncode == 1
        assert "another relay works on the queue" in told.stdout

    def test_messages_of_many_sessions_share_a_commit(self, relay, sink):
        """Group commit: 20 at once are accepted, all of them arrive."""

        def work():
            with relay.smtp() as client:
                for _ in range(10):
                    client.sendmail("alice@lab.test", ["bob@lab.test"], TEXT)

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(sink.wait(200, timeout=30)) == 200
        relay.wait_empty()
