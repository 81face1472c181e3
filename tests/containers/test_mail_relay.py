"""The relay between real hosts: its queue seen from outside, its volume, kill -9."""

import json
import os
import subprocess
import sys
import time

import pytest

SEND = """
import smtplib, sys
with smtplib.SMTP("smtp-relay", 25, timeout=20) as relay:
    for n in range(100000):
        relay.sendmail("alice@lab.test", ["bob@lab.test"], f"Subject: k{sys.argv[1]}-{n}\\r\\n\\r\\n{n}\\r\\n")
        print(f"k{sys.argv[1]}-{n}", flush=True)
"""


@pytest.fixture(scope="module")
def lab(up):
    """The three mail hosts in one lab, which every test leaves with an empty queue."""
    return up("mail-demo")


def container(lab, host):
    return f"lab-{lab.lab}-{host}-1"


def docker(*argv):
    subprocess.run(["docker", *argv], check=True, capture_output=True)


def queue(lab):
    return json.loads(lab("smtp-relay", "lab-queue", "list", "--json").stdout)["messages"]


def wait_empty(lab):
    deadline = time.monotonic() + 60
    while queue(lab):
        assert time.monotonic() < deadline, queue(lab)
        time.sleep(0.3)


def test_the_queue_from_outside_while_the_mailbox_host_is_away(lab):
    docker("kill", container(lab, "mail-server"))
    lab(
        "client",
        "lab",
        "mail",
        "send",
        "--from",
        "alice@lab.test",
        "--to",
        "bob@lab.test",
        "--subject",
        "Hi",
        "--body",
        "x",
    )
    (waiting,) = queue(lab)
    assert (waiting["sender"], waiting["first"]) == ("alice@lab.test", "bob@lab.test")
    hosts = {host["name"]: host for host in lab.run.json("ps", lab.lab)["hosts"]}
    assert hosts["smtp-relay"]["summary"].startswith("queue: 1 message")
    assert "Subject: Hi" in lab("smtp-relay", "lab-queue", "show", waiting["id"]).stdout
    assert lab("smtp-relay", "lab-queue", "hold", waiting["id"]).stdout == "hold: 1 message\n"
    assert "1 held" in lab.run("ps", lab.lab).stdout
    docker("start", container(lab, "mail-server"))
    lab("client", "lab", "wait", "mail-server:24")
    lab("smtp-relay", "lab-queue", "retry", "--all")
    wait_empty(lab)
    assert "x" in lab("client", "lab", "mail", "imap", "show", "1", "--wait", "20", "--user", "bob@lab.test").stdout


def test_the_route_table_on_the_volume_is_read_again(lab):
    full = "  full.test: {host: mail-server, port: 24, protocol: lmtp, fault: 552 5.2.2 full}"
    table = "/var/spool/smtp-relay/routes.yaml"
    send = ["lab", "mail", "send", "--from", "alice@lab.test", "--to", "x@full.test", "--subject", "Hi", "--body", "x"]
    assert "5.7.1" in lab("client", *send, code=1).stderr
    lab("smtp-relay", "sh", "-c", f"echo '{full}' >> {table} && lab-queue reload")
    lab("client", *send)
    assert (
        "552 5.2.2 full"
        in lab("client", "lab", "mail", "imap", "show", "1", "--wait", "20", "--user", "alice@lab.test").stdout
    )


def test_a_killed_relay_delivers_what_it_accepted(lab):
    accepted = set()
    for turn in range(3):
        with subprocess.Popen(
            [sys.executable, "-m", "labctl", "exec", "--lab", lab.lab, "client", "--", "python3", "-c", SEND, str(turn)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, env=os.environ,
        ) as sender:  # fmt: skip
            for count, line in enumerate(sender.stdout):
                accepted.add(line.strip())
                if count == 20:
                    docker("kill", "-s", "KILL", container(lab, "smtp-relay"))
        docker("start", container(lab, "smtp-relay"))
        lab("client", "lab", "wait", "smtp-relay:25")
    wait_empty(lab)
    assert len(accepted) > 60
    found = lab("mail-server", "sh", "-c", "grep -rhoE '^Subject: k[0-9]+-[0-9]+' /mail | sort -u").stdout
    assert accepted <= {line.removeprefix("Subject: ") for line in found.split("\n")}


def test_it_runs_without_root_or_a_capability(lab):
    told = lab("smtp-relay", "sh", "-c", "grep -h -e ^Uid -e ^CapEff -e ^CapPrm /proc/[0-9]*/status | sort -u").stdout
    assert set(told.replace("\t", " ").splitlines()) == {
        "Uid: 1000 1000 1000 1000", "CapEff: 0000000000000000", "CapPrm: 0000000000000000",
    }  # fmt: skip
    lab("smtp-relay", "sh", "-c", "touch /etc/x", code=1)
