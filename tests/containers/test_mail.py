"""The mailbox host and the lessons' programs, between real hosts; what the scenarios do not show."""

import json
import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.containers.conftest import Inside

ROOT = Path(__file__).parents[2]
SEND = "import smtplib,sys; smtplib.LMTP('mail-server',24).sendmail('a@lab.test',sys.argv[1:2],sys.stdin.buffer.read())"


@pytest.fixture(scope="module")
def lab(up):
    """The three mail hosts in one lab, for all tests that break nothing and find no fault with another's mail to bob."""
    return up("mail-demo")


@pytest.fixture
def own(labctl):
    """A lab of a test's own."""
    name = labctl.name("mail")
    labctl("up", "mail-demo", "--lab", name)
    return Inside(labctl, name)


def test_the_lessons_programs_send_and_fetch_across_hosts(own):
    assert own("client", "python3", "examples/mail_send.py").stdout == "Successfully sent email\n"
    own("client", "lab", "mail", "pop", "list", "--user", "bob@lab.test", "--wait", "20")
    by_imap = own("client", "python3", "examples/mail_imap.py", "bob@lab.test").stdout
    assert by_imap.startswith("1 new messages\n")
    by_pop = own("client", "python3", "examples/mail_pop.py").stdout
    assert by_pop.startswith("1 messages, ")
    for said in (by_pop, by_imap):
        assert "From: alice@lab.test\nSubject: A first mail\n" in said
        assert "written by email.message and sent by smtplib" in said
    refused = own("client", "python3", "examples/mail_send.py", "eve@elsewhere.test", code=1)
    assert refused.stdout.startswith("Error: unable to send email\n")


def test_ps_shows_the_passwords_of_the_lab_and_how_the_queue_is(lab):
    hosts = {host["name"]: host for host in lab.run.json("ps", lab.lab)["hosts"]}
    passwords = hosts["mail-server"]["credentials"]
    assert set(passwords) == {"alice@lab.test", "bob@lab.test"}
    assert hosts["smtp-relay"]["summary"] == "queue: empty"
    assert hosts["client"]["credentials"] is None
    shown = lab.run("ps", lab.lab).stdout
    assert "queue: empty" in shown
    assert not any(password in shown for password in passwords.values())
    argv = ["lab", "mail", "imap", "list", "--user", "alice@lab.test", "--password"]
    assert lab("client", *argv, passwords["alice@lab.test"]).stdout == "0 messages\n"
    assert "Authentication failed" in lab("client", *argv, "guess", code=1).stderr


def test_the_image_holds_no_password_and_no_key():
    import docker

    image = f"{os.environ.get('LAB_IMAGES', 'labctl')}/mail-server"
    find = "find / -xdev '(' -name '*.key' -o -name 'credentials*' -o -name mail.json ')' -not -path '/usr/*'"
    with closing(docker.from_env()) as engine:
        found = engine.containers.run(
            image, ["-c", find], entrypoint="sh", user="root", remove=True, network_mode="none"
        )
    assert found == b""


def test_no_process_of_the_mailbox_host_has_root_or_a_capability(lab):
    lab("client", "lab", "mail", "imap", "list", "--user", "bob@lab.test")  # so that its login process runs too
    told = lab(
        "mail-server", "sh", "-c", "grep -h -e ^Uid -e ^CapEff -e ^CapPrm -e ^NoNewPrivs /proc/[0-9]*/status | sort -u"
    ).stdout
    assert set(told.replace("\t", " ").splitlines()) == {
        "Uid: 1000 1000 1000 1000", "CapEff: 0000000000000000", "CapPrm: 0000000000000000", "NoNewPrivs: 1",
    }  # fmt: skip
    lab("mail-server", "sh", "-c", "touch /etc/x", code=1)


def test_keys_are_for_servers_alone_and_clients_cannot_change_what_they_are_handed(lab):
    assert lab("client", "ls", "/tls/").stdout.split() == ["ca.crt", "mail.json"]
    lab("client", "sh", "-c", "echo x > /handouts/ca.crt", code=2)
    assert lab("mail-server", "stat", "-c", "%a", "/tls/mail-server.key", "/tls/ca.key").stdout.split() == [
        "600",
        "600",
    ]


def test_a_full_mailbox_refuses_and_the_sender_hears_of_it(own):
    own("client", "sh", "-c", "head -c 11000000 /dev/zero >/tmp/big && "
        "lab mail send --from alice@lab.test --to bob@lab.test --subject Big --body x --attach /tmp/big")  # fmt: skip
    told = own("client", "lab", "mail", "imap", "show", "1", "--wait", "30", "--user", "alice@lab.test").stdout
    assert "Quota exceeded" in told
    assert own("client", "lab", "mail", "imap", "list", "--user", "bob@lab.test").stdout == "0 messages\n"


def test_what_was_delivered_and_the_passwords_outlive_a_crash(own):
    letter = "Subject: kept\n\nstill here\n"
    own("client", "sh", "-c", f"printf '{letter}' | python3 -c \"{SEND}\" bob@lab.test")
    before = own("mail-server", "cat", "/mail/credentials.json").stdout
    container = f"lab-{own.lab}-mail-server-1"
    subprocess.run(["docker", "kill", "-s", "KILL", container], check=True, capture_output=True)
    subprocess.run(["docker", "start", container], check=True, capture_output=True)
    own("client", "lab", "wait", "mail-server:143")
    assert "still here" in own("client", "lab", "mail", "imap", "show", "1", "--user", "bob@lab.test").stdout
    assert own("mail-server", "cat", "/mail/credentials.json").stdout == before
    assert set(json.loads(before)) == {"alice@lab.test", "bob@lab.test"}


def test_the_healthcheck_speaks_all_three_protocols(own):
    own("mail-server", "python3", "-m", "services.mail", "--check")
    own("mail-server", "doveadm", "-c", "/app/services/mail/dovecot.conf", "service", "stop", "pop3-login")
    told = own("mail-server", "python3", "-m", "services.mail", "--check", code=1)
    assert told.stderr.startswith("not healthy: POP3: ")


class TestStrangers:
    """curl speaks all three protocols; the relay, the mailbox host and the lab's CA are good enough for it."""

    MAIL = "From: alice@lab.test\r\nTo: bob@lab.test\r\nSubject: by curl\r\n\r\n.one dot\r\n"

    def test_curl_sends_over_starttls_and_fetches_by_pop3_and_imap(self, lab):
        passwords = {host["name"]: host for host in lab.run.json("ps", lab.lab)["hosts"]}["mail-server"]["credentials"]
        who = f"bob@lab.test:{passwords['bob@lab.test']}"
        lab("client", "sh", "-c", f"printf '{self.MAIL}' > mail && curl -sS --ssl-reqd smtp://smtp-relay --mail-from alice@lab.test "
                                  "--mail-rcpt bob@lab.test -T mail")  # fmt: skip
        lab("client", "lab", "mail", "pop", "list", "--user", "bob@lab.test", "--wait", "20")
        by_pop = lab("client", "curl", "-sS", "--ssl-reqd", "-u", who, "pop3://mail-server/1").stdout
        by_imap = lab("client", "curl", "-sS", "--ssl-reqd", "-u", who, "imap://mail-server/INBOX;MAILINDEX=1").stdout
        for said in (by_pop, by_imap):
            assert "Subject: by curl\n" in said
            assert "\n\n.one dot\n" in said
        assert "EXISTS" in lab("client", "curl", "-sS", "-u", who, "imap://mail-server", "-X", "EXAMINE INBOX").stdout

    def test_curl_is_refused_what_is_not_the_labs(self, lab):
        lab("client", "sh", "-c", f"printf '{self.MAIL}' > mail")
        argv = [
            "curl",
            "-sS",
            "smtp://smtp-relay",
            "--mail-from",
            "eve@elsewhere.test",
            "--mail-rcpt",
            "bob@elsewhere.test",
            "-T",
            "mail",
        ]
        assert "550" in lab("client", *argv, code=55).stderr
