"""Headless Chromium by its own protocol over a pipe (`--remote-debugging-pipe`): open a page, evaluate, click, take a picture."""

import base64
import json
import os
import select
import shutil
import subprocess
import time


class Browser:
    """One browser with one page."""

    def __init__(self, folder, size=(900, 600)):
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        assert program, "Chromium is needed"
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # the browser reads from its descriptor 3 and writes to 4 (bash, for dash knows descriptors of one digit alone)
        words = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={folder}",
            f"--window-size={size[0]},{size[1]}", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "bash", *words],
            pass_fds=(their_in, their_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(their_in)
        os.close(their_out)
        self._inbox, self._count, self._session = b"", 0, None
        target = next(t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method, **params):
        """Send a command and return its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 30
        while True:
            while b"\0" in self._inbox:
                body, _, self._inbox = self._inbox.partition(b"\0")
                answer = json.loads(body)
                if answer.get("id") == self._count:
                    assert "result" in answer, answer
                    return answer["result"]
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no answer to {method}"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser is gone"
            self._inbox += data

    def open(self, address):
        self.ask("Page.navigate", url=address)

    def value(self, expression):
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def until(self, expression, patience=20):
        deadline = time.monotonic() + patience
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, f"waited {patience} s for {expression}"
            time.sleep(0.05)
        return value

    def click(self, x, y):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.ask(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="none" if kind == "mouseMoved" else "left",
                clickCount=1,
            )

    def picture(self):
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])

    def close(self):
        os.close(self._out)
        os.close(self._in)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
