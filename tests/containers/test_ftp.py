"""FTP between hosts that are really apart: both ways of data connections, what is refused, other people's clients, fuzz."""

import hashlib
import json
import re
import subprocess
import time

import pytest

PICTURE = "06e10c325ad449d3cd5d91d75d2d2d2c70d57acbd608f6a237e11adeb735983c"
LOGIN = "USER anonymous\\r\\nPASS guest@client\\r\\n"


@pytest.fixture(scope="module")
def lab(up):
    return up("ftp-demo")


@pytest.fixture(scope="module")
def password(lab):
    """The password of `lab`, as `labctl ps` would show it: by the command in the host's label."""
    command = lab.container("ftp-server")["Config"]["Labels"]["labctl.credentials"]
    return json.loads(lab.sh(command, "ftp-server"))["lab"]


# Asks for a passive port, tells which, and never goes there.
OWNER = """
import re, socket
control = socket.create_connection(("ftp-server", 21), 10)
file = control.makefile("rwb", 0)
for line in (b"USER anonymous", b"PASS x", b"EPSV"):
    file.readline()
    file.write(line + b"\\r\\n")
print(re.search(rb"\\|(\\d+)\\|", file.readline())[1].decode())
file.write(b"RETR readme.txt\\r\\n")
print(file.readline().decode(), file.readline().decode())
"""


def say(lab, *commands, login=True):
    """Send commands over a control connection, and return the replies."""
    lines = "".join(f"{command}\\r\\n" for command in commands)
    return lab.sh(f"printf '{LOGIN if login else ''}{lines}QUIT\\r\\n' | nc -N -w 5 ftp-server 21")


class TestConnections:
    @pytest.mark.parametrize("family", ["-4", "-6"])
    @pytest.mark.parametrize("way", ["--passive", "--active", "--passive --extended", "--active --extended"])
    def test_a_file_comes_whole_over_every_kind_of_data_connection(self, lab, family, way):
        done = lab("client", "sh", "-c", f"lab ftp get ftp-server pub/picture.png - {way} {family} --show | sha256sum")
        assert done.stdout.split()[0] == PICTURE
        extended = "extended" in way or family == "-6"
        expected = {(0, 0): "C: PASV", (0, 1): "C: EPSV", (1, 0): "C: PORT", (1, 1): "C: EPRT"}[
            "active" in way, extended
        ]
        assert expected in done.stderr
        if "active" in way:
            assert "active, ftp-server:20 to our" in done.stderr

    def test_twenty_active_transfers_in_a_row_each_from_port_20(self, lab):
        told = lab.sh("for i in $(seq 20); do lab ftp get ftp-server readme.txt /tmp/x --active || exit 1; done")
        assert told.count("ftp-server:20 to our") == 20

    def test_a_port_that_was_asked_for_is_the_clients_alone(self, lab, stranger):
        """RFC 2577 section 8: somebody else who finds the passive port first gets nothing."""
        owner = subprocess.Popen(
            ["docker", "exec", "-i", f"lab-{lab.lab}-client-1", "python3", "-u", "-c", OWNER],
            stdout=subprocess.PIPE,
            text=True,
        )
        with owner:
            port = int(owner.stdout.readline())
            assert stranger(lab.lab, f"nc -d -w 3 ftp-server {port} | wc -c").strip() == "0"
            assert "425 Rejected data connection from foreign address" in owner.stdout.read()


class TestTransfers:
    def test_resume_both_ways(self, lab):
        told = lab.sh(
            "cd /tmp && lab ftp get ftp-server pub/numbers.bin n && head -c 300000 n > part && "
            "lab ftp put ftp-server part up.bin --user lab && "
            "lab ftp put ftp-server n up.bin --user lab --resume && head -c 700000 n > back && "
            "lab ftp get ftp-server up.bin back --resume && cmp n back && lab ftp rm ftp-server up.bin --user lab"
        )
        assert "748576 octets on the wire, from 300000" in told
        assert "348576 octets on the wire, from 700000" in told

    def test_a_part_that_is_longer_than_the_whole_is_not_resumed(self, lab):
        done = lab(
            "client",
            "sh",
            "-c",
            "head -c 999 /dev/zero > /tmp/z; lab ftp get ftp-server readme.txt /tmp/z --resume",
            code=1,
        )
        assert "it is another file" in done.stderr

    def test_ascii_both_ways_keeps_a_text(self, lab):
        told = lab.sh(
            "cd /tmp && printf 'one\\ntwo\\n' > t && lab ftp put ftp-server t t.txt --user lab --ascii && "
            "lab ftp get ftp-server t.txt u --ascii && cmp t u && lab ftp get ftp-server t.txt v && cmp t v; "
            "lab ftp rm ftp-server t.txt --user lab"
        )
        assert told.count("10 octets on the wire, TYPE A") == 2
        assert "8 octets on the wire, TYPE I" in told

    def test_folders_and_names(self, lab):
        told = lab.sh(
            "lab ftp mkdir ftp-server 'a b' --user lab && lab ftp rename ftp-server 'a b' 'ü c' --user lab && lab ftp ls ftp-server; "
            "lab ftp rmdir ftp-server 'ü c' --user lab; lab ftp ls ftp-server pub --long; lab ftp get ftp-server 'pub/grüße.txt' -"
        )
        assert "ü c/" in told
        assert "a name with spaces.txt" in told
        assert "你好" in told

    def test_features(self, lab):
        told = lab.sh("lab ftp features ftp-server")
        for feature in ("EPRT", "EPSV", "MLST", "REST STREAM", "SIZE", "UTF8", "MDTM", "TVFS"):
            assert feature in told


class TestRefusals:
    @pytest.mark.parametrize(
        "command",
        [
            "PORT 10,9,8,7,80,80",
            "PORT 127,0,0,1,31,144",
            "EPRT |1|10.9.8.7|8080|",
            "EPRT |2|fd00::9|8080|",
            "EPRT |1|ftp-server|8080|",
            "PORT 1,2,3",
            "PORT 256,1,1,1,1,1",
        ],
    )
    def test_a_data_connection_to_anybody_else(self, lab, command):
        assert re.search(r"^5[02]\d ", say(lab, command), re.MULTILINE)

    def test_a_privileged_port_even_of_the_client_itself(self, lab):
        mine = lab.sh("getent ahostsv4 client | awk '{print $1; exit}'").strip().replace(".", ",")
        replies = lab.sh(f"printf '{LOGIN}PORT {mine},0,22\\r\\nQUIT\\r\\n' | nc -4 -N -w 5 ftp-server 21")
        assert 'privileged port "22" refused' in replies

    @pytest.mark.parametrize(
        "command",
        [
            "CWD ../../etc",
            "CWD /etc",
            "RETR ../credentials.json",
            "SIZE /srv/ftp/credentials.json",
            "MLST ../credentials.json",
            "NLST ..%2f",
            "RETR a\\0b",
            "STAT ../..",
        ],
    )
    def test_a_path_outside_the_root(self, lab, command):
        replies = say(lab, "TYPE I", command)
        # `..` of the root is the root; a folder may be shown, and nothing that lies outside of it
        assert "550" in replies or "501" in replies or "readme.txt" in replies or "250 " in replies
        assert "550" in replies or "credentials" not in replies
        assert "root:" not in replies

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("RETR out/passwd", "550"),
            ("CWD out", "550"),
            ("MLST link", "550"),
            ("SIZE link", "550"),
            ("DELE link", "550"),
            ("STOU out/x", "450"),
            ("RNFR link", "550"),
        ],
    )
    def test_a_symbolic_link_out_of_the_root(self, lab, password, command, code):
        lab.sh(
            "cd /srv/ftp/files && ln -sfn /tmp out && ln -sf /etc/passwd link && cp /etc/passwd /tmp/passwd",
            "ftp-server",
        )
        try:
            replies = say(lab, "USER lab", f"PASS {password}", "TYPE I", command, login=False)
            assert f"\n{code}" in replies.replace("\r", ""), replies
        finally:
            lab.sh("cd /srv/ftp/files && rm -f out link; test ! -e /tmp/x*", "ftp-server")

    @pytest.mark.parametrize(
        "command",
        [
            "STOR x",
            "APPE x",
            "DELE readme.txt",
            "MKD d",
            "RNFR readme.txt",
            "STOU",
            "MFMT 20200101000000 readme.txt",
            "SITE CHMOD 777 readme.txt",
        ],
    )
    def test_anonymous_writes_nothing(self, lab, command):
        assert "550 Not enough privileges" in say(lab, command) or command == "STOU"
        assert lab.sh("ls /srv/ftp/files", "ftp-server").split() == ["pub", "readme.txt"]

    def test_a_wrong_password_is_refused_late_and_never_logged(self, lab, password):
        began = time.monotonic()
        lab("client", "lab", "ftp", "rm", "ftp-server", "readme.txt", "--user", "lab", "--password", "Sesame42", code=1)
        assert time.monotonic() - began >= 1
        lab.sh("lab ftp ls ftp-server --user lab")
        log = lab.logs("ftp-server")
        assert "wrong password" in log
        assert "Sesame42" not in log
        assert password not in log

    def test_names_cannot_forge_a_line_of_a_list(self, lab, password):
        assert "550" in say(lab, "USER lab", f"PASS {password}", "MKD a\\nb", login=False)


class TestHost:
    def test_it_runs_without_root_and_rights_on_a_read_only_root(self, lab):
        config = lab.container("ftp-server")
        assert (config["Config"]["User"], config["HostConfig"]["CapDrop"], config["HostConfig"]["ReadonlyRootfs"]) == (
            "lab",
            ["ALL"],
            True,
        )
        assert [mount["Destination"] for mount in config["Mounts"] if mount["RW"]] == ["/handouts", "/srv/ftp"] or len(
            config["Mounts"]
        ) == 2

    def test_the_password_is_in_no_image_and_each_lab_has_its_own(self, lab, password, up):
        assert len(password) >= 16
        other = up("ftp-demo")
        assert json.loads(other.sh("cat /srv/ftp/credentials.json", "ftp-server"))["lab"] != password
        assert lab.sh("stat -c '%a %U' /srv/ftp/credentials.json", "ftp-server") == "600 lab\n"

    def test_it_stops_at_once_and_what_was_stored_is_there_again(self, lab, password):
        lab.sh("echo kept > /tmp/k && lab ftp put ftp-server /tmp/k kept.txt --user lab")
        name = f"lab-{lab.lab}-ftp-server-1"
        began = time.monotonic()
        subprocess.run(["docker", "stop", "-t", "10", name], check=True, capture_output=True)
        assert time.monotonic() - began < 4
        assert lab.container("ftp-server")["State"]["ExitCode"] == 0
        subprocess.run(["docker", "start", name], check=True, capture_output=True)
        lab.sh("lab wait ftp-server:21")
        assert lab.sh(
            "lab ftp get ftp-server kept.txt - --user lab && lab ftp rm ftp-server kept.txt --user lab"
        ).startswith("kept\n")
        assert json.loads(lab.sh("cat /srv/ftp/credentials.json", "ftp-server"))["lab"] == password


class TestStrangers:
    """Other people's clients."""

    def test_curl(self, lab):
        assert (
            hashlib.sha256(lab.sh("curl -sS ftp://ftp-server/readme.txt").encode()).hexdigest()
            == lab.sh("lab ftp get ftp-server readme.txt - 2>/dev/null | sha256sum").split()[0]
        )
        assert lab.sh("curl -sS -P - ftp://ftp-server/pub/picture.png | sha256sum").split()[0] == PICTURE
        assert lab.sh("curl -sS -r 100-199 ftp://ftp-server/pub/numbers.bin | wc -c").strip() == "100"

    def test_curl_uploads(self, lab, password):
        told = lab.sh(f"head -c 5000 /dev/urandom > /tmp/c; curl -sS -T /tmp/c ftp://lab:{password}@ftp-server/c.bin && "
                      "curl -sS ftp://ftp-server/c.bin | cmp - /tmp/c && echo same; lab ftp rm ftp-server c.bin --user lab")  # fmt: skip
        assert "same" in told

    def test_lftp(self, lab, stranger, password):
        told = stranger(
            lab.lab,
            "cd /tmp && lftp -c 'open ftp-server; mirror pub; cls -1 pub' && sha256sum pub/picture.png && ls pub && "
            f"lftp -u lab,{password} -e 'set ftp:passive-mode off; put pub/picture.png -o l.png; rm l.png; quit' ftp-server",
        )
        assert PICTURE in told
        assert "grüße.txt" in told

    def test_wget(self, lab, stranger):
        told = stranger(
            lab.lab,
            "cd /tmp && wget -q -r -nH ftp://ftp-server/ && find . -name '*.png' -o -name readme.txt && sha256sum pub/picture.png",
        )
        assert PICTURE in told
        assert "./readme.txt" in told
        assert "250" in stranger(
            lab.lab, "cd /tmp && wget --no-passive-ftp -d ftp://ftp-server/readme.txt 2>&1; cat readme.txt && echo 250"
        )


class TestFuzz:
    def test_hostile_sessions(self, lab):
        before = lab.container("ftp-server")["State"]["StartedAt"]
        told = lab.fuzz("ftp", "ftp-server", 21)
        assert told["answered"] > 0.8 * told["done"], told
        # those that left in silence are still there for a moment
        lab.sh(
            "for _ in 1 2 3 4 5 6 7 8 9; do lab ftp get ftp-server pub/picture.png /tmp/p && exit; sleep 0.5; done; false"
        )
        state = lab.container("ftp-server")
        assert (state["State"]["StartedAt"], state["RestartCount"]) == (before, 0)
        assert " error " not in lab.logs("ftp-server")
        assert lab.busy("ftp-server") < 0.3, "it works on something, and nobody asked"
