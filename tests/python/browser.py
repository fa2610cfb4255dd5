"""A headless Chromium, spoken to over a pipe in the protocol of its developer tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

LIMIT = 60
"""Seconds for each answer: the first one may take long on a machine that is busy."""


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of a browser, and all that it says: `events`."""

    def __init__(self) -> None:
        self.profile = tempfile.TemporaryDirectory(prefix="haddock-browser-", ignore_cleanup_errors=True)
        to_browser, ours = os.pipe()
        theirs, from_browser = os.pipe()

        def hand_over() -> None:
            # It reads from file descriptor 3 and writes to 4.
            read, write = os.dup(to_browser), os.dup(from_browser)
            os.dup2(read, 3)
            os.dup2(write, 4)

        found = chromium()
        assert found is not None
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}"]  # fmt: skip
        self.process = subprocess.Popen(
            [found, *flags, "about:blank"], close_fds=False, preexec_fn=hand_over,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self.to, self.back = os.fdopen(ours, "wb", 0), theirs
        os.set_blocking(self.back, False)
        self.text, self.number = b"", 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")
        # As a window in front: without it, nothing has the focus.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self.to.close()
        os.close(self.back)
        self.profile.cleanup()

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT
        while b"\0" not in self.text:
            try:
                more = os.read(self.back, 1 << 20)
                assert more, "the browser has ended"
                self.text += more
            except BlockingIOError:
                assert time.monotonic() < deadline, "the browser does not answer"
                import select

                select.select([self.back], [], [], 1)
        message, _, self.text = self.text.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, **given: Any) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": given}
        if self.session is not None:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str) -> None:
        """Goes to a page, and waits until it has loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())
        # What comes late is among the events too.
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")

    def run(self, script: str) -> Any:
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            codes = {"Tab": 9, "Enter": 13}
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def complaints(self) -> list[Any]:
        """What the console has: errors, warnings, and what the policy forbade."""
        methods = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [event["params"] for event in self.events if event.get("method") in methods]

    def requests(self) -> list[str]:
        """What was asked for from anywhere."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def tree(self) -> list[dict[str, Any]]:
        """The accessibility tree, as a screen reader has it: role and name of each node that it does not skip."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        value = lambda node, what: node.get(what, {}).get("value", "")  # noqa: E731
        return [
            {"role": value(node, "role"), "name": value(node, "name"), "description": value(node, "description")}
            for node in nodes
            if not node.get("ignored")
        ]

    def picture(self, path: Path) -> None:
        import base64

        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
