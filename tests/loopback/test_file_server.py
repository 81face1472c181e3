"""The host `file-server`: files come and go whole, and nothing else can be reached through it."""

import hashlib
import os
import random
import select
import socket
import threading
import time

import pytest

from services.client.errors import ClientError
from services.client.file_client import FileClient, FileRefusedError
from services.file.grammar import error_line

MEBI = 1 << 20


def sha(octets):
    return hashlib.sha256(octets).hexdigest()


def client(server, **how):
    return FileClient("127.0.0.1", server.port, timeout=10, **how)


def dial(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=5)


def talk(server, octets):
    """Send octets and FIN, and return all that is answered."""
    with dial(server) as conn:
        conn.sendall(octets)
        conn.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: conn.recv(65536), b""))


def put_line(name, octets, *offset):
    return " ".join(["PUT", name, str(len(octets)), sha(octets), *map(str, offset)]).encode() + b"\r\n"


def stored(server):
    return {path.name: path.read_bytes() for path in (server.root / "files").iterdir()}


def uploads(server):
    return sorted(path.suffix for path in (server.root / "uploads").iterdir())


def wait_for(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
class TestEveryRequest:
    def test_comes_back_as_it_went(self, start_file, tmp_path, loop):
        server = start_file(loop=loop)
        octets = random.Random(1).randbytes(3 * MEBI + 7)
        (tmp_path / "mine").write_bytes(octets)
        with client(server) as files:
            assert files.list() == []
            moved = files.upload(tmp_path / "mine", "ü und mehr.bin")
            assert (moved.size, moved.offset, moved.digest) == (len(octets), 0, sha(octets))
            [entry] = files.list()
            assert (entry.name, entry.size) == ("ü und mehr.bin", len(octets))
            assert abs(entry.modified - time.time()) < 60
            assert files.stat(entry.name) == entry
            assert files.hash(entry.name) == sha(octets)
            files.download(entry.name, tmp_path / "back")
            files.delete(entry.name)
            assert files.list() == []
        assert (tmp_path / "back").read_bytes() == octets
        assert stored(server) == {}
        assert server.stop() == 0

    @pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5 * MEBI])
    def test_any_part_of_any_size_can_be_got(self, start_file, loop, size):
        server = start_file(loop=loop)
        octets = random.Random(size).randbytes(size)
        (server.root / "files" / "f").write_bytes(octets)
        with client(server) as files:
            for offset, length in [
                (0, None),
                (0, 0),
                (size, None),
                (size // 2, None),
                (size // 3, 100_000),
                (0, 1),
                (0, size + 5),
            ]:
                part = bytearray()
                files.get("f", part.extend, offset, length)
                assert part == octets[offset : None if length is None else offset + length]
            with pytest.raises(FileRefusedError, match=rf"has {size} octets \(416\)"):
                files.get("f", print, size + 1)
            assert files.hash("f") == sha(octets)

    def test_many_requests_in_one_segment_are_answered_in_their_order(self, start_file, loop):
        server = start_file(loop=loop)
        for n in range(10):
            (server.root / "files" / f"f{n}").write_bytes(bytes([n]) * 50_000)
        asked = b"".join(b"GET f%d\r\nHASH f%d\r\n" % (n % 10, n % 10) for n in range(200))
        answers = talk(server, asked)
        expected = b"".join(b"OK 50000 50000\r\n" + bytes([n % 10]) * 50_000 + b"OK " + sha(bytes([n % 10]) * 50_000).encode() + b"\r\n"
                            for n in range(200))  # fmt: skip
        assert answers == expected


class TestPut:
    """Whole and right, or not at all."""

    def test_the_old_file_is_seen_until_the_new_one_is_whole(self, start_file):
        server = start_file()
        (server.root / "files" / "f").write_bytes(b"old")
        new = b"n" * 100_000
        with dial(server) as conn, client(server) as files:
            conn.sendall(put_line("f", new) + new[:-1])
            wait_for(lambda: uploads(server) == [".tmp"])
            assert files.hash("f") == sha(b"old")
            conn.sendall(new[-1:])
            assert conn.recv(200) == f"OK {sha(new)}\r\n".encode()
            assert files.hash("f") == sha(new)
        assert uploads(server) == []

    def test_a_reader_of_the_old_file_reads_it_to_its_end(self, start_file, tmp_path):
        server = start_file()
        old = b"\0" * (32 * MEBI)
        (server.root / "files" / "f").write_bytes(old)
        (tmp_path / "new").write_bytes(b"new")
        with dial(server) as conn, client(server) as files:
            conn.sendall(b"GET f\r\nQUIT\r\n")
            assert conn.recv(10).startswith(b"OK")
            files.upload(tmp_path / "new", "f")
            rest = b"".join(iter(lambda: conn.recv(1 << 20), b""))
        assert rest.count(b"\0") == len(old)

    def test_the_wrong_digest_stores_nothing(self, start_file):
        server = start_file()
        (server.root / "files" / "f").write_bytes(b"old")
        answer = talk(server, put_line("f", b"hello") + b"hellx")
        assert answer == error_line(422, f"the digest of the octets is {sha(b'hellx')}")
        assert stored(server) == {"f": b"old"}
        assert uploads(server) == []

    def test_a_longer_body_than_told_is_read_as_requests(self, start_file):
        server = start_file()
        answer = talk(server, put_line("f", b"hello") + b"hello, and more\r\n")
        assert answer.startswith(f"OK {sha(b'hello')}\r\nERR 400 ".encode())
        assert stored(server) == {"f": b"hello"}

    def test_a_shorter_body_than_told_is_kept_to_be_resumed(self, start_file):
        server = start_file()
        octets = b"x" * 100_000
        assert talk(server, put_line("f", octets) + octets[:60_000]) == b""
        wait_for(lambda: uploads(server) == [".part"])
        assert talk(server, put_line("f", octets, "?")) == b"OK 60000\r\n"
        assert talk(server, put_line("f", octets, 50_000) + octets[50_000:]) == f"OK {sha(octets)}\r\n".encode()
        assert stored(server) == {"f": octets}
        assert uploads(server) == []

    def test_more_than_is_held_cannot_be_resumed(self, start_file):
        server = start_file()
        octets = b"x" * 100_000
        assert talk(server, put_line("f", octets, 5) + octets[5:]).startswith(b"ERR 416 0 octets are held")
        talk(server, put_line("f", octets) + octets[:100])
        wait_for(lambda: uploads(server) == [".part"])
        assert talk(server, put_line("f", octets, 101) + octets[101:]).startswith(b"ERR 416 100 octets are held")

    def test_what_was_kept_of_other_octets_is_not_taken_for_these(self, start_file):
        server = start_file()
        talk(server, put_line("f", b"x" * 100) + b"x" * 50)
        wait_for(lambda: uploads(server) == [".part"])
        for other in (put_line("f", b"y" * 100, "?"), put_line("f", b"x" * 101, "?"), put_line("g", b"x" * 100, "?")):
            assert talk(server, other) == b"OK 0\r\n"

    def test_whoever_resumes_takes_over_from_a_connection_that_hangs(self, start_file, tmp_path):
        server = start_file()
        octets = random.Random(2).randbytes(MEBI)
        (tmp_path / "f").write_bytes(octets)
        with dial(server) as hanging, client(server) as files:
            hanging.sendall(put_line("f", octets) + octets[: MEBI // 2])
            wait_for(lambda: any(path.stat().st_size == MEBI // 2 for path in (server.root / "uploads").iterdir()))
            assert files.upload(tmp_path / "f", resume=True).offset == MEBI // 2
            hanging.sendall(b"more")
            assert hanging.recv(200) == error_line(409)
        assert stored(server) == {"f": octets}

    def test_puts_of_one_name_at_once_never_mix(self, start_file, tmp_path):
        server = start_file()
        contents = [bytes([n]) * (MEBI + n) for n in range(6)]

        def work(number):
            path = tmp_path / f"in{number}"
            path.write_bytes(contents[number % 6])
            with client(server) as files:
                for _ in range(5):
                    files.upload(path, "f")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]  # two bring the same octets
        for thread in threads:
            thread.start()
        with client(server) as files:
            while any(thread.is_alive() for thread in threads):
                seen = bytearray()
                try:
                    files.get("f", seen.extend)
                except FileRefusedError:
                    continue
                assert bytes(seen) in contents
        for thread in threads:
            thread.join()
        assert stored(server)["f"] in contents
        assert uploads(server) == []

    def test_a_refused_body_is_skipped_and_the_connection_goes_on(self, start_file):
        server = start_file("--room-largest", "1000")
        answer = talk(server, put_line("f", b"x" * 2000) + b"x" * 2000 + b"LIST\r\n")
        assert answer == error_line(413, "a file has at most 1000 octets here") + b"OK 0\r\n"

    def test_a_client_that_is_refused_in_mid_body_hears_why(self, start_file, tmp_path):
        server = start_file("--room-largest", str(MEBI))
        with (tmp_path / "big").open("wb") as file:
            file.truncate(200 * MEBI)
        with client(server) as files:
            with pytest.raises(FileRefusedError, match="413"):
                files.upload(tmp_path / "big")
            assert files.list() == []


class TestRoom:
    def test_the_quota_is_kept_and_the_old_file_stays(self, start_file, tmp_path):
        server = start_file("--room-octets", "1000")
        (tmp_path / "small").write_bytes(b"s" * 600)
        with client(server) as files:
            files.upload(tmp_path / "small", "f")
            with pytest.raises(FileRefusedError, match=r"quota of 1000 octets is used up \(507\)"):
                files.upload(tmp_path / "small", "g")
            files.delete("f")
            files.upload(tmp_path / "small", "g")
        assert stored(server) == {"g": b"s" * 600}

    def test_the_number_of_files_is_kept_but_one_that_is_there_can_be_replaced(self, start_file, tmp_path):
        server = start_file("--room-files", "2")
        (tmp_path / "f").write_bytes(b"x")
        with client(server) as files:
            for name in ("a", "b", "a"):
                files.upload(tmp_path / "f", name)
            with pytest.raises(FileRefusedError, match=r"2 files are here.*\(507\)"):
                files.upload(tmp_path / "f", "c")

    def test_what_broken_puts_left_makes_room(self, start_file, tmp_path):
        server = start_file("--room-octets", "1000")
        talk(server, put_line("broken", b"x" * 800) + b"x" * 700)
        wait_for(lambda: uploads(server) == [".part"])
        (tmp_path / "f").write_bytes(b"y" * 900)
        with client(server) as files:
            files.upload(tmp_path / "f")
        assert (uploads(server), list(stored(server))) == ([], ["f"])

    def test_the_count_is_right_after_any_history(self, start_file, tmp_path):
        """A thousand octets of room, filled and emptied by every way out: whole, wrong, broken, resumed, replaced, deleted."""
        server = start_file("--room-octets", "1000")
        (tmp_path / "f").write_bytes(b"f" * 500)
        with client(server) as files:
            for _ in range(5):
                files.upload(tmp_path / "f")
                talk(server, put_line("f", b"w" * 400) + b"?" * 400)
                talk(server, put_line("g", b"g" * 400) + b"g" * 300)
                wait_for(lambda: uploads(server) == [".part"])
                talk(server, put_line("g", b"g" * 400, 200) + b"g" * 200)
                files.delete("g")
                files.delete("f")
            (tmp_path / "full").write_bytes(b"x" * 1000)
            files.upload(tmp_path / "full")


class TestNames:
    """Nothing outside the folder can be named or reached."""

    @pytest.fixture
    def server(self, start_file, tmp_path):
        server = start_file()
        (tmp_path / "secret").write_text("secret")
        files = server.root / "files"
        (files / "link").symlink_to(tmp_path / "secret")
        (files / "folder").mkdir()
        (files / "folder" / "inner").write_text("inner")
        os.mkfifo(files / "pipe")
        return server

    @pytest.mark.parametrize(
        "name", ["..", "../secret", "/etc/passwd", "%2e%2e%2fsecret", "folder/inner", "folder%2Finner", "a%00", "%252e"]
    )
    @pytest.mark.parametrize("verb", ["GET", "STAT", "HASH", "DELETE"])
    def test_a_name_with_a_way_in_it_is_refused(self, server, verb, name):
        answer = talk(server, f"{verb} {name}\r\n".encode())
        assert answer.startswith((b"ERR 403 ", b"ERR 404 "))

    @pytest.mark.parametrize("name", ["link", "folder", "pipe"])
    @pytest.mark.parametrize("verb", ["GET", "STAT", "HASH", "DELETE"])
    def test_what_is_no_plain_file_is_not_there(self, server, verb, name):
        assert talk(server, f"{verb} {name}\r\n".encode()).startswith((b"ERR 403 ", b"ERR 404 "))
        assert talk(server, b"LIST\r\n") == b"OK 0\r\n"

    def test_a_put_replaces_a_link_itself_and_not_what_it_names(self, server, tmp_path):
        assert talk(server, put_line("link", b"new") + b"new").startswith(b"OK")
        assert (tmp_path / "secret").read_text() == "secret"
        assert not (server.root / "files" / "link").is_symlink()

    def test_a_put_over_a_folder_is_refused(self, server):
        assert talk(server, put_line("folder", b"new") + b"new").startswith(b"ERR 409 ")
        assert uploads(server) == []

    def test_a_name_that_becomes_a_link_meanwhile_leads_nowhere(self, server, tmp_path):
        """A thread swaps a file for a link to the secret and back, as fast as it can; no reply ever holds the secret."""
        place, done = server.root / "files", threading.Event()
        (place / "swap").write_text("public")

        def swap():
            while not done.is_set():
                (place / "tmp-link").symlink_to(tmp_path / "secret")
                (place / "tmp-link").replace(place / "swap")
                (place / "tmp-file").write_text("public")
                (place / "tmp-file").replace(place / "swap")

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            answers = talk(server, b"GET swap\r\nHASH swap\r\n" * 2000)
        finally:
            done.set()
            thread.join()
        assert b"public" in answers
        assert b"secret" not in answers
        assert sha(b"secret").encode() not in answers


class TestCrash:
    @pytest.mark.parametrize("seed", range(4))
    def test_a_server_killed_in_mid_put_shows_nothing_half_and_the_put_is_resumed(self, start_file, tmp_path, seed):
        rng = random.Random(seed)
        octets = rng.randbytes(8 * MEBI)
        (tmp_path / "f").write_bytes(octets)
        server = start_file()
        (server.root / "files" / "f").write_bytes(b"old")
        with client(server, rate=16_000_000) as files:
            upload = threading.Thread(target=self.upload, args=(files, tmp_path / "f"))
            upload.start()
            time.sleep(rng.uniform(0.05, 0.25))
            server.kill()
            upload.join()
        assert stored(server)["f"] in (b"old", octets)
        server = start_file()
        assert ".tmp" not in uploads(server)
        with client(server) as files:
            files.upload(tmp_path / "f", resume=True)
        assert stored(server) == {"f": octets}
        assert uploads(server) == []

    def upload(self, files, path):
        with pytest.raises((OSError, ClientError)):
            files.upload(path)

    def test_a_server_that_is_stopped_keeps_what_came(self, start_file):
        server = start_file()
        octets = b"x" * MEBI
        with dial(server) as conn:
            conn.sendall(put_line("f", octets) + octets[: MEBI // 2])
            wait_for(lambda: uploads(server) == [".tmp"])
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 2
        assert uploads(server) == [".part"]
        assert stored(server) == {}


class TestLimits:
    def test_the_silent_are_told_and_closed_and_the_others_are_served(self, start_file):
        server = start_file("--idle", "1.5")
        (server.root / "files" / "f").write_bytes(b"hello")
        silent = [dial(server) for _ in range(1000)]
        try:
            with client(server) as files:
                files.get("f", lambda data: data)
            poll = select.poll()
            for conn in silent:
                poll.register(conn, select.POLLIN)
            said = {conn.recv(200) for conn in silent}
            assert said == {error_line(408, "silent for 1.5 s")}
        finally:
            for conn in silent:
                conn.close()

    def test_too_many_are_told_so(self, start_file):
        server = start_file("--max-connections", "2")
        with dial(server), dial(server):
            wait_for(lambda: sum(e["event"] == "connected" for e in server.log) == 2)
            with dial(server) as third:
                assert third.recv(200) == error_line(503, "2 connections are open, no more are allowed")

    def test_a_client_that_does_not_read_ends_and_holds_nobody_up(self, start_file):
        server = start_file("--idle", "1")
        with (server.root / "files" / "big").open("wb") as file:
            file.truncate(500 * MEBI)
        (server.root / "files" / "f").write_bytes(b"hello")
        stuck = [dial(server) for _ in range(20)]
        for conn in stuck:
            conn.sendall(b"GET big\r\n")
        with client(server) as files:
            assert files.get("f", lambda data: data) == 5
        server.event("closed", timeout=10, reason="silent for 1 s")
        for conn in stuck:
            conn.close()

    def test_memory_stays_bounded_whatever_is_sent_at_once(self, start_file, tmp_path):
        server = start_file()
        with (server.root / "files" / "big").open("wb") as file:
            file.truncate(300 * MEBI)
        path = tmp_path / "in"
        path.write_bytes(random.Random(3).randbytes(24 * MEBI))
        most = []

        def up(number):
            with client(server) as files:
                files.upload(path, f"up{number}")

        def down():
            with client(server) as files:
                files.get("big", len)

        threads = [threading.Thread(target=up, args=(n,)) for n in range(12)] + [
            threading.Thread(target=down) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most.append(server.rss)
            time.sleep(0.02)
        assert len(stored(server)) == 13
        assert max(most) <= 64 * MEBI, f"{max(most) / MEBI:.1f} MiB"


class TestHostile:
    """Octets from nowhere: the server answers or closes, stays up, keeps its size, and writes nothing where it should not."""

    def test_3000_random_sessions(self, start_file, tmp_path):
        server = start_file("--idle", "2")
        rng = random.Random(7)
        words = b"LIST,GET ,PUT ,HASH ,DELETE ,QUIT,STAT ,x,..,%2e%2e%2f,/etc/passwd, , 5,\r\n,\n,\0,?,hello,-1"
        pieces = [*words.split(b","), sha(b"hello").encode(), b"9" * 30, b"A" * 2000]
        around = sorted(path.name for path in tmp_path.iterdir())
        talk(server, put_line("x", b"hello") + b"hello")
        before = 0
        for number in range(3000):
            octets = b"".join(
                rng.choice(pieces) if rng.random() < 0.9 else rng.randbytes(20) for _ in range(rng.randrange(1, 40))
            )
            with dial(server) as conn:
                conn.sendall(octets)
                if rng.random() < 0.7:
                    conn.shutdown(socket.SHUT_WR)
                    for line in b"".join(iter(lambda: conn.recv(65536), b"")).split(b"\r\n")[:1]:
                        assert not line or line.startswith((b"OK", b"ERR "))
            if number == 1000:
                before = server.rss
        assert server.process.poll() is None
        assert server.rss - before < 8 * MEBI
        assert sorted(path.name for path in tmp_path.iterdir()) == around
        assert {path.name for path in server.root.iterdir()} == {"files", "uploads"}
        assert not any(event["event"] == "end of log" for event in server.log)
