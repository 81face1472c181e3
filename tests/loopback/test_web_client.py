"""`lab web` against a server that does what each test wants of it."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.client.errors import ClientError
from services.client.web_client import WebClient

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
PAGE = b'<a href="/two#part">2</a><img src="pic.png"><a href="mailto:x@lab.test">m</a><a name="n">'


class Handler(BaseHTTPRequestHandler):
    """Replies as `server.replies[path]` says: (status, headers, body); ranges where it has an entity tag."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, body = self.server.replies.get(self.path, (404, {}, b"nothing"))
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and self.headers.get("If-Range") == headers.get("ETag"):
            start = int(wanted[1])
            status, body = (206, body[start:]) if start < len(body) else (416, b"")
        self.send_response(status)
        for name, value in ({"Content-Length": len(body)} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.replies = {
            "/": (200, {"Content-Type": "text/html; charset=utf-8"}, PAGE),
            "/pic.png": (200, {"Content-Type": "image/png", "ETag": '"v1"'}, PNG),
            "/moved": (301, {"Location": "/"}, b""),
            "/round": (302, {"Location": "/round"}, b""),
            "/short": (200, {"Content-Type": "text/plain", "Content-Length": 50, "ETag": '"v1"'}, b"short"),
            "/lie.png": (200, {"Content-Type": "image/png"}, b"<html>no picture</html>"),
        }
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def lab(site, tmp_path):
    def run(verb, path, *argv, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "services.client", "web", verb, f"{site.url}{path}", *argv], cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done

    run.folder = tmp_path
    return run


class TestSource:
    def test_prints_the_body_as_it_came(self, lab):
        assert lab("source", "/").stdout == PAGE.decode()
        assert lab("source", "/", "--headers").stdout.startswith("200 OK\n")

    @pytest.mark.parametrize(
        ("written", "asked"),
        [
            ("/Gr\u00fc\u00dfe 1.txt", "/Gr%C3%BC%C3%9Fe%201.txt"),
            ("/Gr%C3%BC%C3%9Fe%201.txt", "/Gr%C3%BC%C3%9Fe%201.txt"),
            ("/a?q=\u00fc b&c=%20", "/a?q=%C3%BC%20b&c=%20"),
        ],
    )
    def test_letters_and_blanks_of_an_address_are_sent_as_octets(self, lab, site, written, asked):
        site.replies[asked] = (200, {"Content-Type": "text/plain"}, b"it is here")
        assert lab("source", written).stdout == "it is here"

    def test_goes_where_it_is_sent(self, lab, site):
        assert lab("source", "/moved").stdout == PAGE.decode()
        assert [path for path, _ in site.asked] == ["/moved", "/"]

    def test_does_not_go_round_for_ever(self, lab, site):
        assert "more than 5 redirects" in lab("source", "/round", code=1).stderr
        assert len(site.asked) == 6

    def test_an_error_page_is_printed_and_told(self, lab):
        done = lab("source", "/none", code=1)
        assert done.stdout == "nothing"
        assert "404 Not Found" in done.stderr

    def test_stats_tell_what_it_cost(self, lab):
        told = lab("source", "/", "--stats").stderr
        assert re.match(r"2 round trips, \d+ octets out, \d+ in, segments \d+ out, \d+ in", told)


def test_links_are_resolved_and_told_once(lab, site):
    assert lab("links", "/").stdout == f"{site.url}/two\n{site.url}/pic.png\nmailto:x@lab.test\n"
    assert "image/png" in lab("links", "/pic.png", code=1).stderr


class TestGet:
    def test_a_picture(self, lab):
        assert f"got pic.png: {len(PNG)} octets, image/png" in lab("get", "/pic.png").stdout
        assert (lab.folder / "pic.png").read_bytes() == PNG
        assert [path.name for path in lab.folder.iterdir()] == ["pic.png"]

    def test_a_page_without_a_name(self, lab):
        assert "got index.html" in lab("get", "/").stdout

    def test_to_stdout(self, lab):
        assert lab("get", "/", "-o", "-").stdout == PAGE.decode()

    def test_an_error_page_is_not_taken_for_the_file(self, lab):
        assert "404" in lab("get", "/none.png", code=1).stderr
        assert list(lab.folder.iterdir()) == []

    def test_a_body_shorter_than_told_is_kept_as_a_part(self, lab):
        assert "closed before all had come" in lab("get", "/short", code=1).stderr
        assert not (lab.folder / "short").exists()
        assert (lab.folder / "short.part").read_bytes() == b"short"

    def test_what_is_no_picture_is_found_out(self, lab):
        assert "calls it image/png, and it is none" in lab("get", "/lie.png", code=1).stderr
        assert not (lab.folder / "lie.png").exists()


class TestResume:
    @pytest.fixture
    def broken(self, site, tmp_path):
        """A download that broke off in its middle."""
        whole = site.replies["/pic.png"]
        site.replies["/pic.png"] = (200, whole[1] | {"Content-Length": len(PNG)}, PNG[:1000])
        with pytest.raises(ClientError):
            WebClient().download(f"{site.url}/pic.png", tmp_path / "pic.png")
        site.replies["/pic.png"] = whole
        site.asked.clear()
        return tmp_path / "pic.png"

    def test_goes_on_where_it_was(self, site, broken):
        moved = WebClient().download(f"{site.url}/pic.png", broken, resume=True)
        assert (moved.offset, moved.size, moved.digest) == (1000, len(PNG), hashlib.sha256(PNG).hexdigest())
        assert site.asked[0][1]["Range"] == "bytes=1000-"
        assert broken.read_bytes() == PNG

    def test_another_version_is_fetched_from_its_beginning(self, site, broken):
        other = PNG[:500] + b"other"
        site.replies["/pic.png"] = (200, {"Content-Type": "image/png", "ETag": '"v2"'}, other)
        assert WebClient().download(f"{site.url}/pic.png", broken, resume=True).offset == 0
        assert broken.read_bytes() == other

    def test_a_part_that_is_whole_is_fetched_anew(self, site, broken):
        broken.with_name("pic.png.part").write_bytes(PNG)
        WebClient().download(f"{site.url}/pic.png", broken, resume=True)
        assert broken.read_bytes() == PNG

    def test_a_part_of_another_address_is_not_used(self, site, broken):
        site.replies["/other.png"] = site.replies["/pic.png"]
        assert WebClient().download(f"{site.url}/other.png", broken, resume=True).offset == 0


@pytest.mark.parametrize("url", ["https://x/", "ftp://x/", "http://", "http://x:99999/", "http://[x/"])
def test_an_address_that_is_none_of_http_is_refused(url):
    with pytest.raises(ClientError, match="no address"):
        WebClient().get(url, print)


def test_a_server_that_speaks_something_else_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            conn, _ = listener.accept()
            with conn:
                conn.recv(1000)
                conn.sendall(b"Thank you for connecting\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ClientError, match="no reply of HTTP"):
            WebClient().get(f"http://127.0.0.1:{listener.getsockname()[1]}/", print)
        thread.join()
