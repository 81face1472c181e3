"""Gopher between hosts that are really apart: each item type, what is refused, limits, other people's clients, fuzz."""

import hashlib
import subprocess
import time
from pathlib import Path

import pytest

CONTENT = Path(__file__).parents[2] / "services" / "gopher" / "content"
PICTURE = hashlib.sha256((CONTENT / "pictures" / "gradient.png").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def lab(up):
    return up("gopher-demo")


class TestItems:
    @pytest.mark.parametrize("family", ["-4", "-6"])
    def test_every_item_of_the_menus_can_be_had(self, lab, family):
        menus, seen = [""], set()
        while menus:
            menu = menus.pop()
            for line in lab.sh(f"lab gopher ls gopher-server '{menu}' --raw {family}").splitlines():
                if "\t" not in line or line[0] == "i":
                    continue
                kind, selector = line[0], line.split("\t")[1]
                if selector in seen:
                    continue
                seen.add(selector)
                if kind == "1":
                    menus.append(selector)
                elif kind != "7":
                    told = lab.sh(
                        f"lab gopher get gopher-server '{selector}' - {family} | head -c 7 | tr -dc '[:print:]'"
                    )
                    assert not told.startswith("Error: "), selector
        assert len(seen) >= 7

    def test_a_text_comes_as_it_lies_there(self, lab):
        for path in (CONTENT / "texts").glob("*.txt"):
            assert lab.sh(f"lab gopher cat gopher-server '/texts/{path.name}'") == path.read_text()

    def test_a_binary_comes_octet_for_octet(self, lab):
        assert PICTURE in lab.sh(
            "lab gopher get gopher-server /pictures/gradient.png /tmp/g.png && sha256sum /tmp/g.png"
        )
        assert PICTURE in lab.sh("lab gopher open gopher://gopher-server/I/pictures/gradient.png - | sha256sum")

    @pytest.mark.parametrize(
        ("words", "found", "lacks"),
        [
            ("pocket", "burrow.txt", "about"),
            ("GRÜSSE", "größe.txt", "burrow"),
            ("dot lone", "dots-and-lines.txt", "burrow"),
        ],
    )
    def test_the_search_searches(self, lab, words, found, lacks):
        told = lab.sh(f"lab gopher search gopher-server /cgi-bin/search {words} --raw")
        assert f"/texts/{found}\tgopher-server\t70" in told
        assert lacks not in told

    def test_a_search_that_finds_nothing_says_so(self, lab):
        assert "0 with `qqqq`" in lab.sh("lab gopher search gopher-server /cgi-bin/search qqqq")

    @pytest.mark.parametrize("words", ["'$(id)'", "'`id`'", "'; id'", "'| id'", "'-e /etc/passwd'"])
    def test_words_are_words_to_the_shell_too(self, lab, words):
        assert "uid=" not in lab.sh(f"lab gopher search gopher-server /cgi-bin/search {words}")


class TestRefusals:
    @pytest.mark.parametrize(
        "selector",
        [
            "/../../etc/passwd",
            "../etc/passwd",
            "/texts/../../../etc/passwd",
            "//etc/passwd",
            "/texts/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/#056#056/#056#056/etc/passwd",
            "/cgi-bin/../../../etc/passwd",
            "/cgi-bin/search/../../../../etc/passwd",
            "/~lab/x",
            "/server-status",
        ],
    )
    def test_nothing_outside_the_root(self, lab, selector):
        assert "root:" not in lab("client", "lab", "gopher", "get", "gopher-server", selector, "-", code=None).stdout

    def test_a_symbolic_link_cannot_be_made(self, lab):
        assert "Read-only" in lab("gopher-server", "ln", "-s", "/etc/passwd", "/srv/gopher/x", code=1).stderr

    def test_what_is_not_there_is_an_error_for_the_client(self, lab):
        lab("client", "lab", "gopher", "cat", "gopher-server", "/none", code=1)
        lab("client", "lab", "gopher", "ls", "gopher-server", "/none", code=1)
        told = lab("client", "lab", "gopher", "get", "gopher-server", "/none.bin", "/tmp/none", code=1)
        assert "the server says: Error: File or directory not found" in told.stderr
        lab.sh("test ! -e /tmp/none")


class TestHost:
    def test_it_runs_without_root_and_rights_on_a_read_only_root(self, lab):
        config = lab.container("gopher-server")
        assert (config["Config"]["User"], config["HostConfig"]["CapDrop"], config["HostConfig"]["ReadonlyRootfs"]) == (
            "lab",
            ["ALL"],
            True,
        )

    def test_five_hundred_who_say_nothing_do_not_stop_the_others(self, lab):
        silent = (
            "import socket; s=[socket.create_connection(('gopher-server',70)) for _ in range(500)]; "
            "print('there',flush=True); input()"
        )
        argv = ["docker", "exec", "-i", f"lab-{lab.lab}-client-1", "python3", "-c", silent]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
            assert crowd.stdout.readline() == "there\n"
            began = time.monotonic()
            lab.sh("lab gopher cat gopher-server /texts/burrow.txt")
            assert time.monotonic() - began < 3
            assert int(lab.sh("ls /proc | grep -c '^[0-9]'", "gopher-server")) < 12, "silence costs no process"
            crowd.communicate("\n", timeout=30)

    def test_more_than_it_allows_are_told_so(self, lab):
        told = lab.sh(
            "python3 -c \"import socket,time; s=[socket.create_connection(('gopher-server',70)) for _ in range(540)]; time.sleep(1); "
            'print(s[-1].recv(200).decode())"'
        )
        assert told.startswith("3512 connections are open")

    def test_it_stops_at_once(self, lab):
        name = f"lab-{lab.lab}-gopher-server-1"
        began = time.monotonic()
        subprocess.run(["docker", "stop", "-t", "10", name], check=True, capture_output=True)
        assert time.monotonic() - began < 5
        assert lab.container("gopher-server")["State"]["ExitCode"] == 0
        subprocess.run(["docker", "start", name], check=True, capture_output=True)
        lab.sh("lab wait gopher-server:70")


class TestStrangers:
    """Other people's clients."""

    def test_curl(self, lab):
        assert "0About this server\t/texts/about-gopher.txt\tgopher-server\t70" in lab.sh(
            "curl -sS gopher://gopher-server/"
        )
        assert lab.sh("curl -sS gopher://gopher-server/I/pictures/gradient.png | sha256sum").split()[0] == PICTURE
        assert "/texts/burrow.txt" in lab.sh("curl -sS 'gopher://gopher-server/7/cgi-bin/search%09pocket'")

    def test_lynx(self, lab, stranger):
        told = stranger(lab.lab, "lynx -dump gopher://gopher-server/1/")
        assert "About this server" in told
        assert "gopher://gopher-server/0/texts/about-gopher.txt" in told
        assert "digs a tunnel" in stranger(lab.lab, "lynx -dump gopher://gopher-server/0/texts/burrow.txt")
        assert "burrow" in stranger(lab.lab, "lynx -dump 'gopher://gopher-server/7/cgi-bin/search?pocket'")

    def test_netcat(self, lab):
        assert r"T   h   e       b   u   r   r   o   w  \r  \n" in lab.sh(
            "printf '/texts/burrow.txt\\r\\n' | nc -N gopher-server 70 | od -c"
        )


class TestFuzz:
    def test_hostile_sessions(self, lab):
        before = lab.container("gopher-server")["State"]["StartedAt"]
        told = lab.fuzz("gopher", "gopher-server", 70)
        assert told["answered"] > 0.6 * told["done"], told
        lab.sh("lab gopher cat gopher-server /texts/burrow.txt")
        state = lab.container("gopher-server")
        assert (state["State"]["StartedAt"], state["RestartCount"]) == (before, 0)
        log = lab.logs("gopher-server")
        assert "ended by signal" not in log, "gophernicus crashed"
        assert "Traceback" not in log
        assert lab.busy("gopher-server") < 0.3, "it works on something, and nobody asked"
