"""The `haddock` command as a process, and places for it to work in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HADDOCK = Path(sys.executable).parent / "haddock"
PATIENCE = 60.0
"""Seconds after which what should happen has not."""


def clean_environment(**variables: str | None) -> dict[str, str]:
    """Our environment without what would make the command find other places; `None` takes a variable away."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HADDOCK_", "COMPOSE_"))}
    kept.update(COLUMNS="110", NO_COLOR="1", HADDOCK_BY="tester@here", PYTHONUNBUFFERED="1")
    for key, value in variables.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
    return kept


def run(
    *words: str, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [HADDOCK, *words], cwd=cwd, env=env or clean_environment(), capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Waits for a condition, and answers with its first true value."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        threading.Event().wait(0.05)


class Running:
    """A process that runs beside the test; its lines are kept."""

    def __init__(self, words: list[str], cwd: Path, env: dict[str, str], pass_fds: Collection[int] = ()) -> None:
        self.words = words
        self.process = subprocess.Popen(
            words, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, pass_fds=pass_fds,
        )  # fmt: skip
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))

    def says(self, text: str, patience: float = PATIENCE) -> str:
        """Waits until a line has this text."""

        def look() -> str | None:
            found = next((line for line in list(self.lines) if text in line), None)
            if found is None and self.process.poll() is not None and not self.reader.is_alive():
                raise AssertionError(f"`{self}` ended with {self.process.returncode} and did not say {text!r}:\n{self.text}")
            return found

        try:
            return str(until(f"`{self}` says {text!r}", look, patience))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def ends(self, patience: float = PATIENCE) -> int:
        """Waits until it has ended, and answers with its exit code."""
        code = self.process.wait(patience)
        self.reader.join(patience)
        return code

    @property
    def text(self) -> str:
        """All that it has said."""
        return "\n".join(self.lines)

    def close(self) -> None:
        """Ends it, whatever it does."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.reader.join(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __str__(self) -> str:
        return " ".join(str(word) for word in self.words[:4])


class Site:
    """A directory with a compose file, a state directory, ports for a gateway, and what runs there."""

    def __init__(self, directory: Path, **variables: str | None) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.listen, self.admin = free_port(), free_port()
        self.running: list[Running] = []
        self.env = clean_environment(
            HADDOCK_STATE=str(self.state),
            HADDOCK_GATEWAY=f"http://127.0.0.1:{self.admin}",
            HADDOCK_LISTEN=f"127.0.0.1:{self.listen}",
            HADDOCK_ADMIN=f"127.0.0.1:{self.admin}",
            **variables,
        )

    def run(self, *words: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        return run(*words, cwd=self.directory, env=self.env, timeout=timeout)

    def ok(self, *words: str, timeout: float = PATIENCE) -> str:
        """Runs the command, which is to succeed, and answers with what it says."""
        done = self.run(*words, timeout=timeout)
        assert done.returncode == 0, f"haddock {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        """The one object that the command answers with."""
        return json.loads(self.ok(*words, "--json"))

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """The objects, one a line, that the command answers with."""
        return [json.loads(line) for line in self.ok(*words, "--json").splitlines()]

    def start(self, *words: str) -> Running:
        """Starts the command beside the test."""
        return self.beside([str(HADDOCK), *words])

    def beside(self, words: list[str], **variables: str) -> Running:
        """Starts a program beside the test."""
        running = Running(words, self.directory, {**self.env, **variables})
        self.running.append(running)
        return running

    def get(
        self, path: str = "/", cookie: str | None = None, method: str = "GET"
    ) -> tuple[dict[str, Any], str | None]:
        """A request through the gateway, and the cookies that it brings."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.listen}{path}", method=method)
        if cookie:
            request.add_header("Cookie", cookie)
        with urllib.request.urlopen(request, timeout=10) as answer:
            given = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie") or []]
            return json.loads(answer.read()), "; ".join(given) or cookie

    @contextlib.contextmanager
    def kept(self, cookie: str | None) -> Iterator[None]:
        """Uses a session every second, so that it does not expire however slow the machine is."""
        over = threading.Event()

        def use() -> None:
            while not over.wait(1):
                self.get(cookie=cookie)

        using = threading.Thread(target=use, daemon=True)
        using.start()
        try:
            yield
        finally:
            over.set()
            using.join(PATIENCE)

    def close(self) -> None:
        """Ends what runs, last started first."""
        for running in reversed(self.running):
            running.close()


@contextlib.contextmanager
def site_in(directory: Path, **variables: str | None) -> Iterator[Site]:
    """A site that is closed at the end."""
    directory.mkdir(parents=True, exist_ok=True)
    site = Site(directory, **variables)
    try:
        yield site
    finally:
        site.close()


def name(site: Site, copy: str) -> str:
    """A name that no other test's has."""
    return f"{copy}-{site.directory.name[-14:]}".replace("_", "-").lower().rstrip("-")[:40]


def call(address: str, path: str, method: str = "GET", timeout: float = 10.0) -> Any:
    """What a server answers, read as JSON."""
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.loads(answer.read())
