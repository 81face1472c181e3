"""`labctl grade`: verdicts, points and files; and submissions that mean harm."""

import csv
import json
from xml.etree import ElementTree

import pytest

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
    for name, word in {"restart:12345": "SO_REUSEADDR", "garbage:12345": "decode", "split:7": "collect octets"}.items():
        assert not by_name[name]["passed"], name
        assert word in by_name[name]["said"]
        assert by_name[name]["points"] == 0
    assert any("connect" in line for line in by_name["split:7"]["ladder"])
    assert "UnicodeDecodeError" in by_name["garbage:12345"]["said"]
    assert by_name["talk:12345"]["points"] == 4


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
    assert "Your server serves many clients at once." in (folder / "good.py.html").read_text()
