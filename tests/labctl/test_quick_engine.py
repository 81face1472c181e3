"""The engine without the SDK: what it is asked over its Unix socket, and what its refusals become."""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler

import pytest

from labctl.commands.down import down
from labctl.engine.peek import QuickEngine, answers, peek
from labctl.errors import LabError
from labctl.model import FoundNetwork, LabSpec
from labctl.plan import RemoveNetwork
from labctl.progress import Silent

LABELS = {"labctl.lab": "demo", "labctl.scenario": "tcp-demo"}
LISTS = {
    "containers": [{"Id": "c1", "Labels": {**LABELS, "com.docker.compose.service": "client"}, "Names": ["/lab-demo-client-1"],
                    "State": "running", "Status": "Up", "Image": "labctl/client", "ImageID": "i1"}],
    "networks": [{"Id": "n1", "Labels": {**LABELS, "com.docker.compose.network": "lab"}, "Name": "lab-demo_lab_1"}],
    "volumes": {"Volumes": [{"Labels": {**LABELS, "com.docker.compose.volume": "files"}, "Name": "lab-demo_files"}]},
}  # fmt: skip


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers lists, and refuses what `refusals` names: (status, message) by kind."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(path, Handler)
        self.asked = []
        self.refusals = {}
        self.said = b""  # by a command, as octets of the connection


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body=None):
        self.send_response(status)
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        if self.path == "/_ping":
            return self.answer(200, "OK")
        if self.path == "/exec/e1/json":
            return self.answer(200, {"ExitCode": 7})
        kind = self.path[1:].partition("?")[0].partition("/")[0]
        return self.answer(200, LISTS[kind])

    def do_DELETE(self):
        self.server.asked.append(self.path)
        status, message = self.server.refusals.get(self.path.split("/")[1], (204, ""))
        self.answer(status, {"message": message} if message else None)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        kind = self.path.split("/")[1] if self.path.endswith("/exec") else "start"
        status, message = self.server.refusals.get(kind, (201, ""))
        if message:
            return self.answer(status, {"message": message})
        if kind == "containers":
            return self.answer(status, {"Id": "e1"})
        return self.wfile.write(
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + self.server.said
        )

    def address_string(self):
        return "local"

    def log_message(self, *args):
        pass


@pytest.fixture
def engine(tmp_path, monkeypatch):
    path = str(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with Engine(path) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def take_down(engine, progress=None):
    return down(QuickEngine(engine.server_address), ["demo"], progress or Silent())


def test_all_of_a_lab_goes_hosts_first_and_its_network_before_its_volumes(engine):
    assert take_down(engine).steps == (
        "remove host client",
        "remove network lab-demo_lab_1",
        "remove volume lab-demo_files",
    )
    assert engine.asked == ["/containers/c1?force=1&v=1", "/networks/n1", "/volumes/lab-demo_files"]


@pytest.mark.parametrize(
    ("kind", "status"), [("containers", 404), ("containers", 409), ("networks", 404), ("volumes", 404)]
)
def test_what_is_gone_or_going_is_no_error(engine, kind, status):
    engine.refusals[kind] = (status, "no such thing")
    take_down(engine)
    assert len(engine.asked) == 3


@pytest.mark.parametrize(("kind", "name"), [("containers", "host `client`"), ("volumes", "volume `lab-demo_files`")])
def test_a_refusal_is_told_in_the_engines_words(engine, kind, name):
    engine.refusals[kind] = (500, "driver failed\nto remove")
    with pytest.raises(LabError, match=f"{name} could not be removed: driver failed to remove"):
        take_down(engine)


def test_a_network_that_the_engine_still_holds_is_a_warning(engine):
    class Notes(Silent):
        def __init__(self):
            self.said = []

        def note(self, text):
            self.said.append(text)

    engine.refusals["networks"] = (403, "has active endpoints")
    notes = Notes()
    take_down(engine, notes)
    assert notes.said == ["warning: network `lab-demo_lab_1` is still held by the engine: has active endpoints"]
    assert engine.asked[-1] == "/volumes/lab-demo_files"


def test_whether_an_engine_answers(engine, tmp_path):
    assert answers(engine.server_address)
    assert [host.name for host in peek()] == ["client"]
    assert not answers(str(tmp_path / "none.sock"))


def test_an_engine_that_goes_away_is_told(tmp_path):
    gone = QuickEngine(str(tmp_path / "none.sock"))
    with pytest.raises(LabError, match="does not answer"):
        gone.look()
    with pytest.raises(LabError, match="does not answer"):
        gone.act(LabSpec("demo", "demo", ()), [RemoveNetwork(FoundNetwork("n1", "demo", "net", "lab"))], Silent())


class TestExec:
    @pytest.fixture
    def run(self, engine):
        quick = QuickEngine(engine.server_address)
        (host,) = quick.look().hosts
        return lambda *argv, **how: quick.exec(host, argv, **how)

    def test_output_of_both_streams_and_the_exit_code(self, engine, run):
        engine.said = b"\1\0\0\0\0\0\0\4out\n" + b"\2\0\0\0\0\0\0\4err\n" + b"\1\0\0\0\0\0\0\1x"
        heard = []
        ran = run("say", "it", on_output=lambda *part: heard.append(part))
        assert (ran.exit, ran.stdout, ran.stderr) == (7, b"out\nx", b"err\n")
        assert heard == [("stdout", b"out\n"), ("stderr", b"err\n"), ("stdout", b"x")]
        assert engine.asked == [
            ("/containers/c1/exec", {"AttachStdout": True, "AttachStderr": True, "Cmd": ["say", "it"]}),
            ("/exec/e1/start", {"Detach": False, "Tty": False}),
        ]

    def test_a_limit_is_the_hosts_to_keep(self, engine, run):
        run("say", timeout=1.5)
        assert engine.asked[0][1]["Cmd"] == ["timeout", "-k", "1", "1.5", "say"]

    @pytest.mark.parametrize("kind", ["containers", "start"])
    def test_a_refusal_is_told_in_the_engines_words(self, engine, run, kind):
        engine.refusals[kind] = (409, "is\npaused")
        with pytest.raises(LabError, match="host `client` of lab `demo` did not take it: is paused"):
            run("true")
