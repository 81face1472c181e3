"""`lab mail` against servers of ours that obey, refuse, lie and break off."""

import argparse
import io
import itertools
import os
import subprocess
import sys
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from services.client.errors import ClientError
from services.client.mail_login import find_password
from tests.loopback.fakes import Scripted, server_context

ROOT = Path(__file__).parents[2]
LETTER = (
    b"From: Alice <alice@lab.test>\r\nTo: bob@lab.test\r\nDate: Mon, 23 Nov 2026 18:43:05 +0200\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"\r\nHello,\r\n.dot\r\nFrom here\r\n"
)
SECRET = "secret"
SMTP = [
    (rb"EHLO .*", b"250-fake\r\n250-SIZE 1000000\r\n250-STARTTLS\r\n250 8BITMIME\r\n"),
    (rb"STARTTLS", b"220 go\r\n"),
    (rb"MAIL FROM:.*", b"250 2.1.0 ok\r\n"),
    (rb"RCPT TO:<nobody@.*", b"550 5.1.1 no such \x1b[31m mailbox\r\n"),
    (rb"RCPT TO:.*", b"250 2.1.5 ok\r\n"),
    (rb"DATA", b"354 go on\r\n"),
    (rb"RSET", b"250 ok\r\n"),
    (rb"\.", b"250 2.0.0 queued\r\n"),
    (rb"QUIT", b"221 bye\r\n"),
]
POP = [
    (rb"CAPA", b"+OK\r\nSTLS\r\n.\r\n"),
    (rb"STLS", b"+OK go\r\n"),
    (rb"USER .*", b"+OK\r\n"),
    (rb"PASS secret", b"+OK\r\n"),
    (rb"PASS .*", b"-ERR [AUTH] wrong\r\n"),
    (rb"STAT", b"+OK 1 %d\r\n" % len(LETTER)),
    (rb"LIST", b"+OK\r\n1 %d\r\n.\r\n" % len(LETTER)),
    (rb"TOP 1 0", b"+OK\r\n" + LETTER.partition(b"\r\n\r\n")[0] + b"\r\n\r\n.\r\n"),
    (rb"RETR 1", b"+OK\r\n" + LETTER.replace(b"\r\n.", b"\r\n..") + b".\r\n"),
    (rb"DELE 1", b"+OK\r\n"),
    (rb"DELE .*", b"-ERR no such message\r\n"),
    (rb"QUIT", b"+OK\r\n"),
]
IMAP = [
    (rb"(\S+) STARTTLS", lambda m: m[1] + b" OK go\r\n"),
    (rb"(\S+) CAPABILITY", lambda m: b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + m[1] + b" OK done\r\n"),
    (rb'(\S+) LOGIN "bob@lab.test" "secret"', lambda m: m[1] + b" OK done\r\n"),
    (rb"(\S+) LOGIN .*", lambda m: m[1] + b" NO [AUTHENTICATIONFAILED] wrong\r\n"),
    (rb'(\S+) (SELECT|EXAMINE) "INBOX"', lambda m: b"* 1 EXISTS\r\n" + m[1] + b" OK [READ-WRITE]\r\n"),
    (rb"(\S+) (SELECT|EXAMINE) .*", lambda m: m[1] + b" NO no such mailbox\r\n"),
    (rb"(\S+) NOOP", lambda m: m[1] + b" OK done\r\n"),
    (rb"(\S+) UID FETCH 1:\* .*", lambda m: fetched(m[1], b"FLAGS () RFC822.SIZE %d BODY[HEADER]" % len(LETTER), LETTER)),
    (rb"(\S+) UID FETCH 7 \(BODY.PEEK\[TEXT\]\)", lambda m: fetched(m[1], b"BODY[TEXT]", LETTER.partition(b"\r\n\r\n")[2])),
    (rb"(\S+) UID FETCH 7 .*", lambda m: fetched(m[1], b"BODY[]", LETTER)),
    (rb"(\S+) UID (FETCH|STORE) .*", lambda m: m[1] + b" OK done\r\n"),
    (rb"(\S+) UID SEARCH UID 7", lambda m: b"* SEARCH 7\r\n" + m[1] + b" OK done\r\n"),
    (rb"(\S+) UID SEARCH .*", lambda m: b"* SEARCH\r\n" + m[1] + b" OK done\r\n"),
    (rb"(\S+) EXPUNGE", lambda m: m[1] + b" OK done\r\n"),
    (rb"(\S+) LOGOUT", lambda m: b"* BYE\r\n" + m[1] + b" OK done\r\n"),
]  # fmt: skip


def fetched(tag, item, octets):
    return b"* 1 FETCH (UID 7 %s {%d}\r\n%s)\r\n%s OK done\r\n" % (item, len(octets), octets, tag)


def lab_mail(*argv, stdin="", env=None):
    clean = {key: value for key, value in os.environ.items() if key != "LAB_MAIL_PASSWORD"}
    return subprocess.run(
        [sys.executable, "-m", "services.client", "mail", *map(str, argv)], cwd=ROOT, input=stdin.encode(), capture_output=True,
        timeout=30, check=False, env=clean | (env or {}),
    )  # fmt: skip


@pytest.fixture
def serve():
    started = []

    def start(greeting, script, tls=None):
        started.append(Scripted(greeting, script, tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A lab's CA and a certificate, made as the servers make theirs."""
    folder = tmp_path_factory.mktemp("tls")
    env = os.environ | {"LAB_TLS": str(folder), "LAB_HANDOUTS": str(folder / "none")}
    subprocess.run([ROOT / "services/tls/lab-tls", "mail-server"], env=env, check=True)
    return folder


def send(server, *argv, to="bob@lab.test", host="127.0.0.1", **kwargs):
    at = ["--server", host, "--port", server.port, "--timeout", "5"]
    return lab_mail("send", *at, "--from", "alice@lab.test", "--to", to, *argv, **kwargs)


def read(server, topic, *argv, password=SECRET, host="127.0.0.1", **kwargs):
    at = ["--server", host, "--port", server.port, "--timeout", "5", "--user", "bob@lab.test"]
    return lab_mail(topic, argv[0], *at, *argv[1:], *(["--password", password] if password else []), **kwargs)


class TestSend:
    def test_the_message_has_its_headers_its_body_and_what_is_attached(self, serve, tmp_path):
        server = serve(b"220 fake\r\n", SMTP)
        (tmp_path / "picture.png").write_bytes(bytes(range(256)))
        copy = tmp_path / "copy.eml"
        told = send(server, "--subject", "Grüße", "--body", "Hello,\n.dot\n", "--attach", tmp_path / "picture.png",
                    "--cc", "Carol <carol@lab.test>, dave@lab.test", "--copy", copy)  # fmt: skip
        assert (told.returncode, told.stdout, told.stderr) == (0, b"Successfully sent email\n", b"")
        envelope = [line for line in server.lines if line.startswith((b"mail", b"rcpt", b"MAIL", b"RCPT"))]
        assert [line.split(b":")[1].split(b">")[0] for line in envelope] == [
            b"<alice@lab.test",
            b"<bob@lab.test",
            b"<carol@lab.test",
            b"<dave@lab.test",
        ]
        wire = b"".join(server.lines).partition(b"\r\n\r\n")[2].partition(b"\r\n.\r\n")[0] + b"\r\n"
        assert copy.read_bytes().partition(b"\r\n\r\n")[2] == wire.replace(b"\r\n..", b"\r\n.")
        message = message_from_bytes(copy.read_bytes(), policy=policy.default)
        assert (message["From"], message["To"], message["Cc"]) == (
            "alice@lab.test",
            "bob@lab.test",
            "Carol <carol@lab.test>, dave@lab.test",
        )
        assert message["Subject"] == "Grüße"
        assert message["Date"]
        assert message["Message-ID"].endswith("@lab.test>")
        assert message.get_body(("plain",)).get_content() == "Hello,\r\n.dot\r\n"
        (attached,) = message.iter_attachments()
        assert (attached.get_filename(), attached.get_content_type()) == ("picture.png", "image/png")
        assert attached.get_content() == bytes(range(256))

    def test_no_line_of_the_body_is_changed(self, serve, tmp_path):
        server = serve(b"220 fake\r\n", SMTP)
        body = "From here\n.\n..\n\n>From\nGrüße\n" + "x" * 2000 + "\n"
        assert send(server, stdin=body).returncode == 0
        wire = b"".join(server.lines).partition(b"DATA\r\n".lower())[2].partition(b"\r\n.\r\n")[0] + b"\r\n"
        message = message_from_bytes(wire.replace(b"\r\n..", b"\r\n."), policy=policy.default)
        assert message.get_content().replace("\r\n", "\n") == body
        assert all(line.isascii() and len(line) <= 1000 for line in server.lines)

    def test_an_international_address_needs_a_server_that_can(self, serve):
        done = send(serve(b"220 fake\r\n", SMTP), "--body", "x", to="jürgen@lab.test")
        assert done.returncode == 1
        assert b"SMTPUTF8" in done.stderr
        able = serve(b"220 fake\r\n", [(rb"EHLO .*", b"250-fake\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"), *SMTP])
        assert send(able, "--body", "Grüße", to="jürgen@lab.test").returncode == 0
        assert "rcpt TO:<jürgen@lab.test>\r\n".encode() in able.lines
        assert "To: jürgen@lab.test\r\n".encode() in able.lines

    def test_the_body_comes_from_stdin_where_none_is_given(self, serve):
        server = serve(b"220 fake\r\n", SMTP)
        assert send(server, stdin="typed\n").returncode == 0
        assert b"typed\r\n" in server.lines

    def test_starttls_checks_the_name_and_the_labs_ca(self, serve, tls):
        server = serve(b"220 fake\r\n", SMTP, server_context(tls))
        done = send(server, "--body", "x", "--starttls", "--ca", tls / "ca.crt", host="localhost")
        assert (done.returncode, done.stdout) == (0, b"Successfully sent email\n"), done.stderr
        assert [line[:4].upper() for line in server.lines[:3]] == [b"EHLO", b"STAR", b"EHLO"]
        strange = send(server, "--body", "x", "--starttls", host="localhost")
        assert strange.returncode == 1
        assert b"certificate is not to be trusted" in strange.stderr
        other_name = send(server, "--body", "x", "--starttls", "--ca", tls / "ca.crt", host="127.0.0.1")
        assert b"IP address mismatch" in other_name.stderr
        assert not any(line.upper().startswith(b"MAIL") for line in server.lines[6:])

    def test_starttls_never_goes_on_in_clear(self, serve):
        server = serve(b"220 fake\r\n", [(rb"EHLO .*", b"250 fake\r\n"), *SMTP])
        done = send(server, "--body", "x", "--starttls")
        assert done.returncode == 1
        assert b"STARTTLS extension not supported" in done.stderr
        assert not any(line.upper().startswith(b"MAIL") for line in server.lines)

    @pytest.mark.parametrize(
        ("greeting", "change", "reason"),
        [
            (b"220 x\r\n", (rb"MAIL FROM:.*", b"451 4.3.0 later\r\n"), "451 4.3.0 later"),
            (b"220 x\r\n", (rb"RCPT TO:.*", b"550 5.7.1 no relay\r\n"), "for bob@lab.test: 550 5.7.1 no relay"),
            (b"220 x\r\n", (rb"\.", b"554 5.6.0 bad\x07\r\n"), "554 5.6.0 bad\ufffd"),
            (b"220 x\r\n", (rb"DATA", None), "Connection unexpectedly closed"),
            (b"421 too busy\r\n", (rb".*", None), "421"),
            (b"\xff\xfe\x00\r\n", (rb".*", None), ""),
            (b"250-" + b"x" * 9000 + b"\r\n", (rb".*", None), "Line too long"),
            (b"", (rb".*", None), ""),
            (None, (rb".*", None), "timed out"),
        ],
    )
    def test_whatever_goes_wrong_is_one_line_and_its_reason(self, serve, greeting, change, reason):
        server = serve(greeting, [change, *SMTP])
        done = send(server, "--body", "x", "--timeout", "1")
        lines = done.stderr.decode().splitlines()
        assert (done.returncode, done.stdout, lines[0]) == (1, b"", "Error: unable to send email")
        assert reason in lines[1]
        assert str(server.port) in lines[1]
        assert "Traceback" not in done.stderr.decode()

    def test_who_was_refused_is_named_where_others_were_not(self, serve):
        server = serve(b"220 fake\r\n", SMTP)
        done = send(server, "--to", "nobody@lab.test", "--body", "x")
        assert done.returncode == 1
        assert "for nobody@lab.test: 550 5.1.1 no such \ufffd[31m mailbox" in done.stderr.decode()

    @pytest.mark.parametrize(
        "text",
        ["", "bob", "bob@", "@lab.test", "b\nob@lab.test", "bob@lab.test\r\nBcc: eve@lab.test", "<<>>@x", "a b@c"],
    )
    def test_what_is_no_address_is_refused_before_anything_is_sent(self, serve, text):
        server = serve(b"220 fake\r\n", SMTP)
        done = send(server, "--body", "x", to=text)
        assert done.returncode == 1
        assert b"is not an address" in done.stderr
        assert server.lines == []

    def test_a_subject_cannot_bring_headers_along(self, serve):
        server = serve(b"220 fake\r\n", SMTP)
        done = send(server, "--body", "x", "--subject", "a\r\nBcc: eve@lab.test")
        assert (done.returncode, server.lines) == (1, [])

    def test_an_attachment_that_is_not_there(self, serve):
        done = send(serve(b"220 fake\r\n", SMTP), "--body", "x", "--attach", "/none")
        assert done.returncode == 1
        assert b"No such file" in done.stderr


@pytest.mark.parametrize(("topic", "script", "number"), [("pop", POP, 1), ("imap", IMAP, 7)])
class TestMailbox:
    """Both protocols give the same answers to the same questions."""

    def server(self, serve, topic, script, tls=None):
        return serve(b"+OK ready\r\n" if topic == "pop" else b"* OK ready\r\n", script, tls)

    def test_list_has_a_line_a_message(self, serve, topic, script, number):
        done = read(self.server(serve, topic, script), topic, "list")
        head, line = done.stdout.decode().splitlines()
        assert head.startswith("1 message")
        assert line.split()[:2] == [str(number), str(len(LETTER))]
        assert line.endswith("2026-11-23 16:43  Alice <alice@lab.test>    Grüße")

    def test_show_is_for_reading(self, serve, topic, script, number):
        done = read(self.server(serve, topic, script), topic, "show", number)
        assert done.stdout.decode() == (
            "From: Alice <alice@lab.test>\nTo: bob@lab.test\nDate: Mon, 23 Nov 2026 18:43:05 +0200\nSubject: Grüße\n"
            "\nHello,\n.dot\nFrom here\n"
        )

    def test_fetch_is_octet_for_octet(self, serve, topic, script, number):
        server = self.server(serve, topic, script)
        assert read(server, topic, "fetch", number).stdout == LETTER
        assert read(server, topic, "fetch", number, "--body").stdout == LETTER.partition(b"\r\n\r\n")[2]

    def test_delete(self, serve, topic, script, number):
        server = self.server(serve, topic, script)
        assert read(server, topic, "delete", number).stdout == b"deleted 1 message\n"
        said = b" ".join(line.strip() for line in server.lines)
        assert (b"DELE 1" in said) if topic == "pop" else (b"UID STORE 7 +FLAGS.SILENT (\\Deleted)" in said)

    def test_a_message_that_is_not_there(self, serve, topic, script, number):
        server = self.server(serve, topic, script)
        for verb in (["show", "9"], ["fetch", "9", "--wait", "0.3"], ["delete", "9"]):
            done = read(server, topic, *verb)
            assert (done.returncode, done.stdout) == (1, b"")
            assert b"no" in done.stderr
            assert f"127.0.0.1:{server.port}" in done.stderr.decode()

    def test_a_wrong_password_is_told_without_it(self, serve, topic, script, number):
        done = read(self.server(serve, topic, script), topic, "list", password="guess")
        assert done.returncode == 1
        assert b"wrong" in done.stderr
        assert b"guess" not in done.stderr

    def test_the_password_of_the_environment(self, serve, topic, script, number):
        server = self.server(serve, topic, script)
        assert read(server, topic, "list", password=None, env={"LAB_MAIL_PASSWORD": "secret"}).returncode == 0
        done = read(server, topic, "list", password=None)
        assert done.returncode == 1
        assert b"no password for bob@lab.test" in done.stderr

    def test_starttls(self, serve, tls, topic, script, number):
        server = self.server(serve, topic, script, server_context(tls))
        done = read(server, topic, "fetch", number, "--starttls", "--ca", tls / "ca.crt", host="localhost")
        assert done.stdout == LETTER, done.stderr

    def test_starttls_does_not_trust_a_stranger(self, serve, tls, topic, script, number):
        done = read(
            self.server(serve, topic, script, server_context(tls)), topic, "list", "--starttls", host="localhost"
        )
        assert done.returncode == 1
        assert b"certificate is not to be trusted" in done.stderr

    @pytest.mark.parametrize("word", ["x\r\nDELE 1", "x\n"])
    def test_no_command_can_be_smuggled_in_a_password(self, serve, topic, script, number, word):
        server = self.server(serve, topic, script)
        done = read(server, topic, "list", password=word)
        assert done.returncode == 1
        assert not any(b"DELE" in line or b"PASS" in line or b"LOGIN" in line for line in server.lines)

    @pytest.mark.parametrize(
        "reply",
        [
            b"\xff\x00\xfe\r\n",
            b"x" * 3_000_000,
            b"+OK 1 99999999999999999999\r\n* 1 FETCH (UID 7 BODY[] {99}\r\nshort",
            b"\r\n" * 1000,
            None,
            b"",
        ],
        ids=["binary", "endless line", "broken off", "empty lines", "closed", "silent"],
    )
    @pytest.mark.parametrize("verb", [["list"], ["show", "7"], ["fetch", "1"], ["delete", "1"]], ids=" ".join)
    def test_a_server_that_talks_nonsense_gets_words_and_no_traceback(self, serve, topic, script, number, reply, verb):
        logged_in = [
            step for step in script if any(word in step[0] for word in (b"USER", b"PASS", b"LOGIN", b"SELECT"))
        ]
        server = self.server(serve, topic, [*logged_in, (rb".*", reply)])
        done = read(server, topic, *verb, "--timeout", "0.3")
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ")
        assert b"Traceback" not in done.stderr

    def test_an_answer_without_end_is_given_up(self, serve, topic, script, number):
        line = (b"x" * 76 + b"\r\n") * 4000
        begin = b"+OK\r\n" if topic == "pop" else b"* 1 FETCH (UID 7 BODY[] {4000000000}\r\n"
        endless = lambda _match: itertools.chain([begin], itertools.repeat(line))  # noqa: E731
        server = self.server(serve, topic, [(rb"RETR 1|\S+ UID FETCH 7 .*", endless), *script])
        done = read(server, topic, "fetch", number)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"of memory" in done.stderr

    @pytest.mark.parametrize("argv", [["show"], ["show", "0"], ["show", "-1"], ["show", "x"], ["delete"], ["sing"], []])
    def test_a_wrong_command_line_exits_with_2(self, serve, topic, script, number, argv):
        assert lab_mail(topic, *argv, "--user", "bob@lab.test").returncode == 2


class TestPassword:
    """Where it is looked for, first come first served."""

    def options(self, **facts):
        return argparse.Namespace(**{"ask": False, "password": None, "user": "bob@lab.test"} | facts)

    @pytest.fixture
    def handout(self, tmp_path, monkeypatch):
        monkeypatch.delenv("LAB_MAIL_PASSWORD", raising=False)
        path = tmp_path / "mail.json"
        path.write_text('{"bob@lab.test": "handed"}')
        return path

    def test_the_order(self, handout, monkeypatch):
        assert find_password(self.options(), handout) == "handed"
        assert find_password(self.options(user="Bob@Lab.Test"), handout) == "handed"
        monkeypatch.setenv("LAB_MAIL_PASSWORD", "from variable")
        assert find_password(self.options(), handout) == "from variable"
        assert find_password(self.options(password="given"), handout) == "given"

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"bob@lab.test": 5}', '{"eve@lab.test": "x"}', "null"])
    def test_a_handout_without_it_is_none(self, handout, text, monkeypatch):
        handout.write_text(text)
        monkeypatch.setattr("sys.stdin", io.StringIO())
        with pytest.raises(ClientError, match="no password for bob"):
            find_password(self.options(), handout)

    @pytest.mark.parametrize("script", [("pop", POP), ("imap", IMAP)], ids=["pop", "imap"])
    def test_a_terminal_is_asked_and_shows_nothing_of_it(self, serve, script):
        topic, lines = script
        server = serve(b"+OK ready\r\n" if topic == "pop" else b"* OK ready\r\n", lines)
        ours, theirs = os.openpty()
        argv = [
            "mail",
            topic,
            "list",
            "--ask",
            "--server",
            "127.0.0.1",
            "--port",
            str(server.port),
            "--user",
            "bob@lab.test",
        ]
        with subprocess.Popen(
            [sys.executable, "-m", "services.client", *argv], cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs,
            start_new_session=True,
        ) as asking:  # fmt: skip
            os.close(theirs)
            shown = os.read(ours, 1000)
            os.write(ours, b"secret\n")
            assert asking.stdout.read().startswith(b"1 message")
            assert asking.wait(10) == 0
        shown += os.read(ours, 1000)
        os.close(ours)
        assert shown.startswith(b"Password of bob@lab.test: ")
        assert b"secret" not in shown


def test_the_help_tells_what_became_of_the_standard_modules():
    told = lab_mail("--help").stdout.decode()
    for word in ("smtplib", "poplib", "imaplib", "smtpd", "3.12", "aiosmtpd"):
        assert word in told
