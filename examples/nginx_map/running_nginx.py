"""The nginx that runs on this machine: its workers, its connections, and a reload that is known to be in force."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from haddock import LocatorUnavailableError

RELOADS_WITHIN = 3.0
"""Seconds. A locator has to answer within 5 s."""
OPEN = {"01", "02", "08"}
"""ESTABLISHED, SYN_SENT and CLOSE_WAIT, as /proc/net/tcp writes them."""


class RunningNginx:
    """The nginx whose process id is in a file."""

    def __init__(self, pid: Path, reload: Sequence[str], header_timeout: float) -> None:
        self.pid, self.command, self.header_timeout = pid, list(reload), header_timeout
        self.reloaded = 0.0

    def life(self) -> str:
        """The process and when it was started: another one after a restart."""
        try:
            process = self.pid.read_text().strip()
            return f"{process} {Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]}"
        except OSError:
            raise LocatorUnavailableError(f"no nginx runs with the process id in `{self.pid}`") from None

    def workers(self) -> tuple[set[str], set[str]]:
        """The workers that take connections, and those that only end theirs."""
        process = self.life().split()[0]
        every = set(Path(f"/proc/{process}/task/{process}/children").read_text().split())
        leaving = {worker for worker in every if b"shutting down" in command_line(worker)}
        return every - leaving, leaving

    def reload(self) -> None:
        """When this returns, no worker with the configuration of before takes connections any more."""
        before, _ = self.workers()
        try:
            subprocess.run(self.command, capture_output=True, text=True, timeout=RELOADS_WITHIN, check=True)
        except subprocess.CalledProcessError as error:
            raise LocatorUnavailableError(f"nginx does not reload: {error.stderr.strip()[-300:]}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LocatorUnavailableError(f"nginx does not reload: {error}") from None
        deadline = time.monotonic() + RELOADS_WITHIN
        while not (taking := self.workers()[0]) or before & taking:
            if time.monotonic() > deadline:
                raise LocatorUnavailableError("nginx has not taken up its new configuration", hint="see its error log")
            time.sleep(0.01)
        self.reloaded = time.monotonic()
        # A worker without a request ends at once. Others stay for as long as their requests and WebSockets do.
        while before & self.workers()[1] and time.monotonic() < self.reloaded + 0.3:
            time.sleep(0.01)

    def has_stragglers(self) -> bool:
        """Whether a worker of before may still get a request: the first one of a connection that it took earlier."""
        return bool(self.workers()[1]) and time.monotonic() < self.reloaded + self.header_timeout


def command_line(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b"shutting down"  # it has ended


def connections() -> Counter[str]:
    """How many connections this machine has to each address, over IPv4. A WebSocket is one, and so is a request."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return Counter(plain(row[2]) for row in rows if row[3] in OPEN)


def plain(address: str) -> str:
    host, _, port = address.partition(":")
    return f"{socket.inet_ntoa(struct.pack('=I', int(host, 16)))}:{int(port, 16)}"
