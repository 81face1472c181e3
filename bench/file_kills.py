"""kill -9 of the file server and of its client at random moments of PUTs: what is seen afterwards, and what a resumed PUT comes to."""

import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

from file_lab import FileLab

OCTETS = 128 << 20
SERVER, NAME, SOURCE = "kill-server", "target.bin", "/tmp/version.bin"  # noqa: S108 - the container's own
WRITE = f"""
import hashlib, random, sys
numbers, total = random.Random(int(sys.argv[1])), hashlib.sha256()
with open({SOURCE!r}, "wb") as file:
    for _ in range({OCTETS >> 20}):
        piece = numbers.randbytes(1 << 20)
        total.update(piece)
        file.write(piece)
print(total.hexdigest())
"""
PUT = f"echo $$ >/tmp/pid; exec lab file put {{host}} {SOURCE} {NAME}"


def kill_both(lab: FileLab, kills: int, seed: int) -> None:
    """Kill each side `kills` times, in turns, and print the counts; ends the benchmark where a file is wrong."""
    lab.start(SERVER, lab.server_image, ["--root", "/data/kill"])
    ours = Kills(lab, random.Random(seed))
    ours.prepare(seed)
    for number in range(kills):
        ours.once("server", ours.kill_server, seed + 2 * number + 1)
        ours.once("client", ours.kill_client, seed + 2 * number + 2)
    for side in ("server", "client"):
        told = ", ".join(f"{count} {what}" for what, count in ours.counts[side].items())
        print(f"kill -9 of the {side}, {OCTETS >> 20} MiB, seed {seed}: {told}", flush=True)
    print(f"partial or wrong files seen: {ours.wrong}; resumes that did not end right: {ours.failed}")


class Kills:
    """The rounds: each puts a new version over the old one, is killed, looked at, resumed, looked at."""

    def __init__(self, lab: FileLab, moments: random.Random) -> None:
        self.counts = {side: Counter[str]() for side in ("server", "client")}
        self.wrong = self.failed = 0
        self._lab = lab
        self._moments = moments
        self._host = lab.host(SERVER)
        self._usual = 0.0  # seconds of a PUT that nobody kills
        self._standing = ""  # digest of the version that is there

    def prepare(self, seed: int) -> None:
        """Put the first version there, and take its time."""
        self._await_server()
        self._standing = self._new_version(seed)
        began = time.monotonic()
        self._lab.run("client", "sh", "-c", PUT.format(host=self._host))
        self._usual = time.monotonic() - began

    def _new_version(self, seed: int) -> str:
        return self._lab.run("client", "python3", "-c", WRITE, str(seed)).strip()

    def once(self, side: str, kill: Callable[[], None], seed: int) -> None:
        """Play one round."""
        counts, old, new = self.counts[side], self._standing, self._new_version(seed)
        codes: list[int] = []
        put = threading.Thread(
            target=lambda: codes.append(self._lab.try_run("client", "sh", "-c", PUT.format(host=self._host))[0])
        )
        put.start()
        time.sleep(self._moments.uniform(0, self._usual))
        kill()
        put.join()
        counts["kills"] += 1
        counts["in the midst of the PUT"] += codes != [0]
        seen = self._seen()
        counts["old file seen"] += seen == {NAME: old}
        counts["new file seen"] += seen == {NAME: new}
        self.wrong += seen not in ({NAME: old}, {NAME: new}) or self._listed() != {NAME: OCTETS}
        code, out, err = self._lab.try_run("client", "lab", "file", "put", "--resume", self._host, SOURCE, NAME)
        offset = re.search(r"resumed at (\d+)", out)
        counts["resumed behind octet 0"] += bool(offset)
        right = code == 0 and self._seen() == {NAME: new} and self._got_back() == new
        counts["resumes that ended right"] += right
        if not right:
            self.failed += 1
            sys.stderr.write(f"round {seed}, {side}: exit code {code}\n{out}{err}{self._seen()}\n")
        self._standing = new if right else next(iter(self._seen().values()), "")

    def _seen(self) -> dict[str, str]:
        """Return the digests of all that stands in the folder, by another program than the server."""
        said = self._lab.run("keeper", "sh", "-c", "cd /data/kill/files && ls -A | xargs -r -d '\\n' sha256sum")
        return {name: digest for digest, name in (line.split("  ") for line in said.splitlines())}

    def _listed(self) -> dict[str, int]:
        facts = json.loads(self._lab.run("client", "lab", "file", "ls", "--json", self._host))
        return {entry["name"]: entry["size"] for entry in facts["files"]}

    def _got_back(self) -> str:
        get = f"lab file get {self._host} {NAME} -o - | sha256sum"
        return self._lab.run("client", "sh", "-c", get).split()[0]

    def kill_client(self) -> None:
        """Kill the client's process, if it is still there."""
        self._lab.try_run("client", "sh", "-c", "kill -9 $(cat /tmp/pid)")

    def kill_server(self) -> None:
        """Kill every process of the server's container, and start it again."""
        self._lab.container(SERVER).kill("SIGKILL")
        self._lab.container(SERVER).wait()
        self._lab.container(SERVER).start()
        self._await_server()

    def _await_server(self) -> None:
        deadline = time.monotonic() + 30
        while self._lab.try_run("client", "lab", "file", "ls", self._host)[0]:
            if time.monotonic() > deadline:
                sys.exit(f"{SERVER} does not answer:\n{self._lab.container(SERVER).logs().decode()}")
            time.sleep(0.1)
