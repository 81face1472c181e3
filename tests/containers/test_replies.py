"""Faults of the application on real hosts: what clients hear, what servers see, and that nothing of it stays."""

import json
import subprocess
import time

import pytest

from services.tools.proxy.rules import predict

BUSY = "451 4.7.1 Try again later"
RECIPIENTS = """
import smtplib, sys
count = int(sys.argv[1])
with smtplib.SMTP("smtp-relay", 25, timeout=30) as server:
    server.ehlo()
    for _ in range(count):
        server.mail("alice@lab.test")
        print(server.rcpt("bob@lab.test")[0])
        server.rset()
"""
TRANSFER = """
import ftplib, sys
got = []
with ftplib.FTP("ftp-server", timeout=30) as ftp:
    ftp.login()
    ftp.set_pasv(sys.argv[1] == "passive")
    try:
        print(ftp.retrbinary("RETR pub/numbers.bin", got.append)[:3], sum(map(len, got)))
    except ftplib.error_temp as error:
        print(error, sum(map(len, got)))
    print(ftp.sendcmd("NOOP")[:3])
"""
STAYS = r"""
import socket, sys
conn = socket.create_connection(("smtp-relay", 25), 30)
conn.recv(1000)
print("open", flush=True)
for line in sys.stdin:
    conn.sendall(b"NOOP\r\n")
    print(conn.recv(1000).decode().strip() or "closed", flush=True)
"""
STREAM = """
import socket, sys, time, threading
if sys.argv[1] == "serve":
    server = socket.create_server(("", 4000), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ready", flush=True)
    conn, peer = server.accept()
    total = 0
    while part := conn.recv(1 << 18):
        total += len(part)
    print(total, peer[0], flush=True)
else:
    conn = socket.create_connection(("tcp-server", 4000), 30)
    block, left, began = bytes(1 << 18), 64 << 20, time.monotonic()
    while left > 0:
        conn.sendall(block)
        left -= len(block)
    conn.shutdown(socket.SHUT_WR)
    conn.recv(1)
    print((64 << 23) / (time.monotonic() - began) / 1e6)
"""
POP3 = """
import json, poplib, sys
pop = poplib.POP3("mail-server", timeout=20)
pop.user("bob@lab.test"), pop.pass_(json.load(open("/handouts/mail.json"))["bob@lab.test"])
for name in sys.argv[1:]:
    try:
        told = getattr(pop, name)()
        print(told[0].decode().split(" ")[0] if name == "list" else "TOP" in told)
    except poplib.error_proto as error:
        told = error.args[0]
        print(told.decode() if isinstance(told, bytes) else told)
"""
SAY = """
import socket, sys
conn = socket.create_connection(("news-server", 119), timeout=20)
file = conn.makefile("rwb")
def ask(line):
    if line:
        file.write(line.encode() + b"\\r\\n"), file.flush()
    status = file.readline().decode().strip()
    text = []
    if status[:3] in ("220", "221", "222", "224"):
        while (line := file.readline().decode().strip()) != ".":
            text.append(line)
    return status, text
"""
ASK = (
    SAY
    + """
ask("")
for line in sys.argv[1:]:
    print(ask(line)[0])
"""
)
NNTP = (
    SAY
    + """
for subject in sys.argv[1:]:
    conn = socket.create_connection(("news-server", 119), timeout=20)
    file = conn.makefile("rwb")
    ask(""), ask("MODE READER"), ask("POST")
    status, _ = ask(f"Newsgroups: lab.test\\r\\nFrom: a@lab.test\\r\\nSubject: {subject}\\r\\n\\r\\nhello\\r\\n.")
    print(status if status[0] != "2" else status[:3])
_, _, first, last, _ = ask("GROUP lab.test")[0].split()
print(*[line.split("\\t")[1] for line in ask(f"OVER {first}-{last}")[1] if line.split("\\t")[1] in sys.argv])
"""
)


class Lab:
    """A lab that stays up for the module, whole before each test."""

    def __init__(self, run, name):
        self.run, self.name = run, name

    def __call__(self, *argv, code=0):
        return self.run(*argv, "--lab", self.name, code=code)

    def argv(self, host, *argv):
        return ["docker", "exec", "-i", f"lab-{self.name}-{host}-1", *argv]

    def sh(self, host, command, *, fails=False):
        done = subprocess.run(
            self.argv(host, "sh", "-c", command), capture_output=True, text=True, check=False, timeout=120
        )
        assert fails or not done.returncode, done
        return done.stdout + done.stderr

    def python(self, host, script, *argv):
        done = subprocess.run(
            self.argv(host, "python3", "-c", script, *argv), capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout.split("\n")[:-1]

    def faults(self):
        return json.loads(self("faults", "--json").stdout)["faults"]

    def helper(self, host, command):
        return self.sh(f"shaper-{host}", command)

    def rules(self, host):
        return self.helper(host, "nft list tables; ip rule; ip -6 rule; ip route show table all; ss -Hltn | wc -l")

    def until(self, holds, what):
        deadline = time.monotonic() + 30
        while not (value := holds()):
            assert time.monotonic() < deadline, what
            time.sleep(0.1)
        return value


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
    """Mail, web, FTP and news hosts in one lab."""
    from tests.containers.conftest import Labctl

    path = tmp_path_factory.mktemp("replies") / "replies.yaml"
    path.write_text(
        "scenario: replies\ntitle: x\nsteps: []\n"
        "hosts: [smtp-relay, mail-server, web-server, ftp-server, news-server, tcp-server, client]\n"
    )
    run = Labctl()
    name = run.name("replies")
    run("up", str(path), "--lab", name, "--quiet")
    yield Lab(run, name)
    run("down", name, "--quiet", code=None)


@pytest.fixture
def lab(tour):
    yield tour
    tour("heal")


class TestSmtp:
    def test_exactly_the_predicted_replies_and_the_server_knows_its_client(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT", "--probability", "30%", "--seed", "7")
        said = lab.python("client", RECIPIENTS, "90") + lab.python("client", RECIPIENTS, "60")
        hit = predict(0.3, 7, "smtp|client|smtp-relay", 150)
        assert said == ["451" if hits else "250" for hits in hit]
        (fault,) = lab.faults()
        assert fault["measured"] | {"seen": 150, "answered": sum(hit), "connections": 2} == fault["measured"]
        own = lab.sh("client", "hostname -i").split()
        log = lab.run("logs", "--lab", lab.name, "smtp-relay").stdout.splitlines()
        assert any(f"peer={address}:" in log[-1] or f"peer=[{address}]:" in log[-1] for address in own), log[-3:]

    def test_merging_replacing_and_healing_leave_what_they_say(self, lab):
        lab("impair", "client", "smtp-relay", "--greeting", "1s", "--port", "25")
        before = lab.rules("smtp-relay")
        began = time.monotonic()
        assert lab.python("client", RECIPIENTS, "1") == ["250"]
        assert time.monotonic() - began >= 1
        lab("impair", "client", "smtp-relay", "--reply", "550 5.1.1 Nobody", "--port", "25", "--at", "RCPT")
        lab(
            "impair",
            "client",
            "smtp-relay",
            "--probability",
            "100%",
            "--nth",
            "2",
            "--reply",
            "551 x",
            "--at",
            "RCPT",
            "--port",
            "25",
        )
        assert len(lab.faults()) == 3
        assert lab.python("client", RECIPIENTS, "2") == ["550", "551"]
        lab("impair", "client", "smtp-relay", "--greeting", "0s", "--port", "25")
        assert [fault["kind"] for fault in lab.faults()] == ["reply", "reply"]
        lab("heal", "client", "smtp-relay")
        assert lab.faults() == []
        assert lab.python("client", RECIPIENTS, "1") == ["250"]
        after = lab.rules("smtp-relay")
        assert "proxy_labctl" in before
        assert "7162" in before
        assert "proxy_labctl" not in after
        assert "7162" not in after
        assert after == lab.until(lambda: lab.rules("smtp-relay"), "")

    def test_a_connection_that_is_open_when_it_is_healed_goes_on(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", "450 4.2.1 no", "--at", "NOOP")
        client = subprocess.Popen(
            lab.argv("client", "python3", "-c", STAYS), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with client:
            say = client.stdin.write
            assert client.stdout.readline() == "open\n"
            say("x\n"), client.stdin.flush()
            assert client.stdout.readline() == "450 4.2.1 no\n"
            lab("heal")
            say("x\n"), client.stdin.flush()
            assert client.stdout.readline().startswith("250")
            client.stdin.close()
        lab.until(lambda: "proxy_labctl" not in lab.rules("smtp-relay"), "the proxy outlives its last connection")

    def test_a_proxy_that_is_killed_lets_connections_through(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT")
        assert lab.python("client", RECIPIENTS, "1") == ["451"]
        told = json.loads(lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT", "--json").stdout)
        lab.helper("smtp-relay", f"kill -9 {told['shapers']['smtp-relay']['proxy']}")
        lab.until(lambda: lab.python("client", RECIPIENTS, "1") == ["250"], "connections do not get through")
        assert any("the proxy ended by itself" in fault["told"] for fault in lab.faults())

    def test_a_helper_that_is_killed_leaves_what_heal_lifts(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT")
        subprocess.run(
            ["docker", "kill", "-s", "KILL", f"lab-{lab.name}-shaper-smtp-relay-1"], check=True, capture_output=True
        )
        assert lab.python("client", RECIPIENTS, "1") == ["250"]
        lab("heal")
        assert lab.faults() == []
        assert "proxy_labctl" not in lab.rules("smtp-relay")

    def test_a_host_that_is_started_again_has_its_fault_again(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT")
        lab("restart", "smtp-relay")
        lab.sh("client", "lab wait --timeout 30 smtp-relay:25")
        assert lab.python("client", RECIPIENTS, "1") == ["451"]

    def test_it_ends_by_itself(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT", "--for", "1s")
        lab.until(lambda: lab.python("client", RECIPIENTS, "1") == ["250"], "it does not end")
        assert lab.faults() == []

    def test_inside_tls_nothing_is_changed_and_that_is_said(self, lab):
        lab("impair", "client", "smtp-relay", "--reply", BUSY, "--at", "RCPT", "--port", "25")
        out = lab.sh("client", "lab mail send --starttls --from alice@lab.test --to bob@lab.test --subject x --body y")
        assert "Successfully" in out
        assert (
            "1 of 1 connections unreadable (TLS, or no such protocol): nothing inside can be changed"
            in lab("faults").stdout
        )


class TestFtp:
    def test_a_transfer_breaks_off_with_426(self, lab):
        lab(
            "impair",
            "client",
            "ftp-server",
            "--reply",
            "426 Connection closed; transfer aborted",
            "--at",
            "RETR",
            "--after",
            "100000",
        )
        assert lab.python("client", TRANSFER, "passive") == ["426 Connection closed; transfer aborted 100000", "200"]
        assert lab.python("client", TRANSFER, "active") == ["426 Connection closed; transfer aborted 0", "200"]
        lab("heal")
        assert lab.python("client", TRANSFER, "passive") == ["226 1048576", "200"]


class TestWeb:
    def test_503_a_stalled_body_and_a_cut_one(self, lab):
        get = "curl -sS -m 20 -w '%{http_code} %{size_download}' -o /dev/null http://web-server/long.txt"
        lab(
            "impair",
            "client",
            "web-server",
            "--port",
            "80",
            "--at",
            "GET",
            "--reply",
            "503 Service Unavailable",
            "--nth",
            "1",
        )
        assert lab.sh("client", get).startswith("503 ")
        assert lab.sh("client", get) == "200 408000"
        lab("heal")
        lab("impair", "client", "web-server", "--at", "GET", "--stall", "30s", "--after", "1000")
        out = lab.sh("client", get.replace("-m 20", "-m 2"), fails=True)
        assert "1000 out of 408000 bytes received" in out
        lab("heal")
        lab("impair", "client", "web-server", "--at", "GET", "--truncate", "5000")
        assert "200 5000" in lab.sh("client", get, fails=True)


class TestImap:
    def test_bye_at_a_verb_and_in_place_of_the_greeting(self, lab):
        lab("impair", "client", "mail-server", "--reply", "* BYE the server goes down", "--at", "EXAMINE")
        show = "lab mail imap list --user bob@lab.test"
        assert "the server goes down" in lab.sh("client", show, fails=True)
        lab("heal")
        lab("impair", "client", "mail-server", "--reply", "* BYE full", "--at", "GREETING", "--port", "143")
        assert "full" in lab.sh("client", show, fails=True)
        assert lab.faults()[0]["measured"]["answered"] == 1


class TestPop3:
    def test_a_refused_list_and_a_text_that_ends(self, lab):
        lab("impair", "client", "mail-server", "--reply", "-ERR [SYS/TEMP] later", "--at", "LIST", "--nth", "1")
        assert lab.python("client", POP3, "list", "list", "capa") == [
            "-ERR [SYS/TEMP] later",
            "+OK",
            "True",
        ]
        lab("heal")
        lab("impair", "client", "mail-server", "--port", "110", "--at", "LIST", "--truncate", "7")
        assert lab.python("client", POP3, "list") == ["-ERR EOF"]


class TestNntp:
    def test_an_article_that_is_refused_at_its_end_does_not_exist(self, lab):
        lab("impair", "client", "news-server", "--reply", "441 Posting failed", "--at", ".", "--nth", "1")
        assert lab.python("client", NNTP, "first", "second") == ["441 Posting failed", "240", "second"]

    def test_a_refused_article_and_a_group_that_is_as_it_was(self, lab):
        lab("impair", "client", "news-server", "--reply", "430 No such article", "--at", "ARTICLE", "--port", "119")
        said = lab.python("client", ASK, "GROUP lab.test", "ARTICLE 1", "HEAD 1", "DATE")
        assert [line[:3] for line in said] == ["211", "430", "221", "111"]
        assert said[1] == "430 No such article"


def test_what_it_does_not_touch_flows(lab):
    """A connection through the proxy to which nothing is done keeps pace: 300 Mbit/s on a quiet machine; a tenth is the floor here."""
    lab("impair", "client", "tcp-server", "--greeting", "1ms")
    server = subprocess.Popen(
        lab.argv("tcp-server", "python3", "-c", STREAM, "serve"), stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdout.readline() == "ready\n"
        (rate,) = lab.python("client", STREAM, "send")
        total, peer = server.stdout.readline().split()
    assert int(total) == 64 << 20
    assert peer.removeprefix("::ffff:") in lab.sh("client", "hostname -i")
    assert float(rate) > 30, rate


def test_a_lab_is_removed_with_its_fault(labctl):
    """The fixture asserts that nothing is left."""
    name = labctl.name()
    labctl("up", "tcp-demo", "--lab", name, "--quiet")
    labctl("impair", "client", "tcp-server", "--greeting", "1s", "--lab", name)
    labctl("down", name, "--quiet")
    assert name in labctl("faults", "--lab", name, code=2).stderr
