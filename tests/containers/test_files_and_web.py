"""file-server, web-server and rpc-server between real hosts, to strangers' clients, and on a disk that is full."""

import subprocess
import uuid
from contextlib import closing

import docker
import pytest

from tests.containers.test_lifecycle import IMAGES

FILL = """
import os, sys
sys.path.insert(0, "/app")
from pathlib import Path
from services.client.file_client import FileClient, FileRefusedError
Path("small").write_bytes(b"s" * 400_000)
Path("large").write_bytes(os.urandom(900_000))
with FileClient(sys.argv[1]) as files:
    files.upload(Path("small"), "f")
    try:
        files.upload(Path("large"), "f")
    except FileRefusedError as error:
        print(error.code, files.hash("f") == files.upload(Path("small"), "f").digest, [e.name for e in files.list()])
"""


@pytest.fixture(scope="module")
def inside(up):
    """One lab with both servers for all tests of this module."""
    return up("file-vs-http")


@pytest.fixture(scope="module")
def lab(inside):
    """Run a command in a host of it, and return what it says."""
    return lambda *argv, host="client", code=0: inside(host, *argv, code=code).stdout


class TestWebToStrangers:
    def test_curl_gets_a_range(self, lab):
        whole = lab("curl", "-sS", "http://web-server/long.txt")
        assert lab("curl", "-sS", "-r", "1000-1099", "http://web-server/long.txt") == whole[1000:1100]

    def test_curl_gets_gzip(self, lab):
        sizes = [int(lab("curl", "-sS", *extra, "-o", "/dev/null", "-w", "%{size_download}", "http://web-server/long.txt"))
                 for extra in ([], ["-H", "Accept-Encoding: gzip"])]  # fmt: skip
        assert sizes[0] == 408_000
        assert sizes[1] < 20_000

    def test_python_follows_the_redirect(self, lab):
        code = "import urllib.request as u; r = u.urlopen('http://web-server/old'); print(r.url, r.status)"
        assert lab("python3", "-c", code) == "http://web-server/second.html 200\n"

    @pytest.mark.parametrize("path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd"])
    def test_no_path_leads_out_of_the_site(self, lab, path):
        told = lab("curl", "-sS", "--path-as-is", "-w", "%{http_code}", f"http://web-server{path}")
        assert told[-3:] in ("400", "404")
        assert "root:" not in told

    @pytest.mark.parametrize("version", ["-4", "-6"])
    def test_both_families_are_served(self, lab, version):
        assert lab("curl", "-sS", version, "http://web-server/healthz") == "ok\n"


class TestHealth:
    @pytest.mark.parametrize("host", ["file-server", "web-server"])
    def test_the_healthcheck_asks_the_server_itself(self, lab, host):
        import yaml

        from labctl.paths import lab_root

        service = yaml.safe_load((lab_root() / "compose.yaml").read_text())["services"][host]
        check = [word.replace("$$", "$") for word in service["healthcheck"]["test"][1:]]
        lab(*check, host=host)


def test_a_full_disk_is_told_and_leaves_the_old_file():
    """A file system of one megabyte, which no quota of ours foresees."""
    name = f"full-{uuid.uuid4().hex[:6]}"
    with closing(docker.from_env()) as engine:
        network = engine.networks.create(name, internal=True, labels={"labctl.test": "full"})
        made = []
        try:
            made.append(engine.containers.run(f"{IMAGES}/file-server", detach=True, init=True, network=network.name, name=name,
                                              tmpfs={"/srv/lab": "size=1m,uid=1000,gid=1000"}, labels={"labctl.test": "full"}))  # fmt: skip
            said = engine.containers.run(
                f"{IMAGES}/client", ["sh", "-c", f"lab wait {name}:9000 >&2 && cd /tmp && python3 -c '{FILL}' {name}"],
                init=True, network=network.name, remove=True, labels={"labctl.test": "full"},
            )  # fmt: skip
        finally:
            for container in made:
                container.remove(force=True, v=True)
            network.remove()
    assert said.decode() == "507 True ['f']\n"


def test_the_access_log_is_shown(lab, inside):
    lab("curl", "-sS", "-o", "/dev/null", "http://web-server/second.html?logged")
    assert '"GET /second.html?logged HTTP/1.1" 200 ' in inside.logs("web-server")


def test_plain_compose_brings_them_up_healthy():
    from labctl.progress import Silent
    from labctl.provision.compose_tool import ensure_compose
    from tests.containers.test_lifecycle import ROOT

    compose = [
        *ensure_compose(Silent()).command,
        "-p",
        f"plain-{uuid.uuid4().hex[:6]}",
        "--profile",
        "file-vs-http",
        "--profile",
        "rpc-demo",
    ]
    try:
        subprocess.run([*compose, "up", "-d", "--wait"], cwd=ROOT, check=True, capture_output=True, timeout=120)
    finally:
        subprocess.run([*compose, "down", "-v"], cwd=ROOT, check=True, capture_output=True, timeout=120)
