"""`labctl grade`: verdicts, points and files; and submissions that mean harm."""

import base64
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from labctl.engine.limited import LimitedBuilder, remove_images
from labctl.engine.sdk import DockerEngine
from labctl.errors import LabError
from labctl.progress import Silent
from labctl.scenario.schema import BuildLimits

ROOT = Path(__file__).parents[2]
GOOD = """\
import socketserver, threading

class Greet(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"Thank you for connecting")

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while octets := self.request.recv(65536):
            self.request.sendall(octets)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

threading.Thread(target=Server(("", 7), Echo).serve_forever, daemon=True).start()
Server(("", 12345), Greet).serve_forever()
"""
# One client at a time, which it waits for; a client's error ends it; no SO_REUSEADDR; one recv is taken for one line.
NAIVE = """\
import socket
listener = socket.socket()
listener.bind(("", 12345))
listener.listen(1)
while True:
    conn, _ = listener.accept()
    conn.settimeout(0.3)
    try:
        conn.recv(100).decode()
    except TimeoutError:
        pass
    conn.sendall(b"Thank you for connecting")
    conn.close()
"""
HARM = {
    "forks.py": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
    "floods.py": "with open('/tmp/flood', 'wb') as file:\n    while True:\n        try:\n            file.write(b'x' * 65536)\n"
    "        except OSError:\n            print('x' * 65536)\n",
    "eats.py": "hoard = []\nwhile True:\n    hoard.append(bytearray(1 << 20))\n",
    "=never.py": "import time\nwhile True:\n    time.sleep(1)\n",
}


@pytest.fixture(scope="module")
def engine(images):
    engine = DockerEngine()
    yield engine
    engine.close()


IMAGE = "labctl-swap:test.tcp-server.1"


@pytest.fixture
def submissions(tmp_path):
    folder = tmp_path / "submissions"
    folder.mkdir()
    return folder


def verdicts(grade):
    return {verdict["name"]: verdict for verdict in grade["verdicts"] if verdict["name"] != "step"}


@pytest.fixture
def graded(labctl, images):
    def run(*argv, code):
        return json.loads(labctl("grade", "tcp-demo", *map(str, argv), "--json", code=code).stdout)

    return run


def test_a_good_server_reaches_every_point(graded, submissions):
    path = submissions / "good.py"
    path.write_text(GOOD)
    told = graded(path, code=0)
    assert told["grades"][0]["points"] == told["worth"] > 20
    assert all(verdict["passed"] for verdict in told["grades"][0]["verdicts"])


def test_the_learner_hears_what_went_wrong_and_where_to_look(graded, submissions):
    (submissions / "naive.py").write_text(NAIVE)
    (grade,) = graded(submissions, code=1)["grades"]
    by_name = verdicts(grade)
    assert by_name["talk:12345"]["passed"]
    for name, word in {
        "restart:12345": "SO_REUSEADDR",
        "garbage:12345": "decode",
        "split:7": "Nobody listens at port 7",
    }.items():
        assert not by_name[name]["passed"], name
        assert word in by_name[name]["said"]
        assert by_name[name]["points"] == 0
    assert any("connect" in line for line in by_name["split:7"]["ladder"])
    assert "UnicodeDecodeError" in by_name["garbage:12345"]["said"]
    assert by_name["talk:12345"]["points"] == 4


def test_a_folder_with_a_dockerfile_is_judged_as_a_file_is(graded, submissions, engine):
    """One that listens again at once, one that does not; and of their images nothing stays."""
    image = f"{os.environ.get('LAB_IMAGES', 'labctl')}/tcp-server"
    for name, text in {
        "good": GOOD,
        "stuck": GOOD.replace("allow_reuse_address = True", "allow_reuse_address = False"),
    }.items():
        (submissions / name).mkdir()
        (submissions / name / "server.py").write_text(text)
        (submissions / name / "Dockerfile").write_text(
            f'FROM {image}\nCOPY server.py /\nENTRYPOINT ["python3", "/server.py"]\n'
        )
    before = set(engine.api.images(all=True, quiet=True))
    told = graded(submissions, code=1)
    good, stuck = told["grades"]
    assert good["points"] == told["worth"]
    said = verdicts(stuck)["restart:12345"]["said"]
    assert re.match(
        "Started again: it ended with exit code 1; its last line: .*Address already in use. .*SO_REUSEADDR", said
    )
    assert stuck["points"] == told["worth"] - 2
    assert set(engine.api.images(all=True, quiet=True)) <= before


def test_an_interrupt_ends_it_at_once_and_leaves_nothing(engine, submissions):
    for number in range(8):
        (submissions / f"{number}.py").write_text(GOOD)

    def labs():
        return [name for name in engine.look().labs if "-grade-" in name]

    before = set(labs())
    argv = [sys.executable, "-m", "labctl", "grade", "tcp-demo", str(submissions), "-j", "1"]
    grading = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not set(labs()) - before:
        assert grading.poll() is None
        time.sleep(0.1)
    grading.send_signal(signal.SIGINT)
    began = time.monotonic()
    said, _ = grading.communicate(timeout=120)
    assert grading.returncode == 130, said
    assert said.count(b" of 24") <= 1  # all eight would take ten times as long
    assert time.monotonic() - began < 60
    assert set(labs()) <= before


def test_what_means_harm_harms_no_other_and_every_file_is_written(labctl, submissions, tmp_path):
    for name, text in {**HARM, "good.py": GOOD, "<b>.py": GOOD.replace("Thank", "Blame")}.items():
        (submissions / name).write_text(text)
    labctl("grade", "tcp-demo", str(submissions), "--report", str(tmp_path / "grades"), "-j", "4", code=1)
    folder = tmp_path / "grades"
    told = json.loads((folder / "grades.json").read_text())
    points = {grade["name"]: grade["points"] for grade in told["grades"]}
    assert points.pop("good.py") == told["worth"]
    assert 0 < points.pop("<b>.py") < told["worth"]
    assert points == dict.fromkeys(HARM, 0)
    rows = {row["submission"]: row for row in csv.DictReader((folder / "grades.csv").read_text().splitlines())}
    assert float(rows["good.py"]["points"]) == told["worth"]
    assert "'=never.py" in rows  # a spreadsheet would take it for a formula
    suites = {suite.get("name"): suite for suite in ElementTree.parse(folder / "junit.xml").getroot()}
    assert suites["good.py"].get("failures") == "0"
    assert suites["eats.py"].get("errors") == "1"
    page = (folder / "<b>.py.html").read_text()
    assert "<h1>&lt;b&gt;.py</h1>" in page and "<b>" not in page
    ladder = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)[1]
    assert "SYN" in "".join(ElementTree.fromstring(base64.b64decode(ladder)).itertext())
    captures = re.findall(r'href="([^"]+\.pcapng)"', page)
    assert len(captures) > 8
    for place in captures:
        assert (folder / unquote(place)).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert "%3Cb%3E.py.html" in (folder / "index.html").read_text()
    assert "Your server serves many clients at once." in (folder / "good.py.html").read_text()


class TestBuilds:
    """A folder with a Dockerfile is built within limits; what one does there harms no other."""

    @pytest.fixture
    def build(self, engine, tmp_path):
        def run(step, **limits):
            image = f"{os.environ.get('LAB_IMAGES', 'labctl')}/tcp-server"
            (tmp_path / "Dockerfile").write_text(f"FROM {image}\nUSER root\n{step}\n")
            service = {
                "image": IMAGE,
                "build": {"context": str(tmp_path), "labels": {"labctl.swap": "test"}},
            }
            file = tmp_path.with_suffix(".json")
            file.write_text(json.dumps({"services": {"test": service}}))
            made = []
            try:
                LimitedBuilder(engine, file, BuildLimits.model_validate(limits), made).build(["test"], Silent())
                assert engine.has_image(IMAGE)
            finally:
                remove_images(engine, made)

        return run

    @pytest.mark.parametrize(
        ("step", "limits", "words"),
        [
            ("RUN sleep 1000", {"seconds": "4s"}, "not through after 4 s"),
            ("RUN for n in 1 2 3 4 5 6 7 8; do head -c 40M /dev/zero >/$n; done; sleep 1000", {"image_mb": 200}, "wrote more than 200 MiB"),
            ("RUN python3 -c 'b = bytearray(1 << 28)'", {"memory_mb": 64}, "it failed"),
            ("RUN :(){ :|:& };:; sleep 1000", {"seconds": "6s", "memory_mb": 32}, "the submission's image was not built"),
            ("RUN python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)'", {}, "unreachable"),
            ("COPY large /", {"context_mb": 1}, "too large to be built"),
            ("RUN exit 7", {"image_mb": 1}, "returned a non-zero code: 7"),
            ("RUN true", {"image_mb": 1}, "at most 1 are allowed"),
        ],
        ids=["time", "disk", "memory", "forks", "network", "context", "error", "image"],
    )  # fmt: skip
    def test_one_that_goes_too_far_is_ended_and_told(self, build, engine, tmp_path, step, limits, words):
        if "COPY" in step:
            (tmp_path / "large").write_bytes(bytes(2 << 20))
        before, images = (
            {item["Id"] for item in engine.api.containers(all=True)},
            set(engine.api.images(all=True, quiet=True)),
        )
        with pytest.raises(LabError, match=re.escape(words)):
            build(step, **limits)
        assert {item["Id"] for item in engine.api.containers(all=True)} <= before
        assert set(engine.api.images(all=True, quiet=True)) <= images

    @pytest.mark.parametrize(
        "step", ["RUN echo mine >/mine", "RUN echo mine >/mine\nFROM {image}\nUSER root\nRUN echo other >/other"]
    )
    def test_one_that_keeps_to_them_is_built_and_nothing_of_it_stays(self, build, engine, step):
        images = set(engine.api.images(all=True, quiet=True))
        build(step.format(image=f"{os.environ.get('LAB_IMAGES', 'labctl')}/tcp-server"))
        assert set(engine.api.images(all=True, quiet=True)) <= images

    def test_a_failed_one_leaves_none_of_its_steps(self, build, engine):
        images = set(engine.api.images(all=True, quiet=True))
        with pytest.raises(LabError):
            build("RUN echo mine >/mine\nRUN exit 7")
        assert set(engine.api.images(all=True, quiet=True)) <= images
