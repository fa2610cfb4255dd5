"""`haddock serve`: starts gateway and controller, restarts one that dies, and stops both together.

```text
  haddock serve ──┬── haddock serve gateway       takes the traffic; goes on while the controller is down
                  └── haddock serve controller    acts
```

Each child ends when its standard input ends. So if this process is killed, nothing is left behind. This process holds
the socket that clients connect to. So clients that connect between one gateway and the next wait in its queue, and none
is refused.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from haddock._cli import _follow, _output, _words
from haddock._cli._common import Settings
from haddock._cli._errors import DONE, Stopped, Usage
from haddock._cli._followed import check_followed, follow_words
from haddock._cli._wanted import Wanted

LONGEST_LINE = 64 * 1024
"""The largest part of a line that is passed on, in bytes. A child must not fill the memory with an endless line."""
READ = 64 * 1024
"""Bytes that are read at a time."""
MAX_QUEUED_LINES = 10_000
"""The largest number of lines that wait for a reader of standard output. Further lines are dropped."""
LAST_LINES = 2.0
"""At the end, seconds to wait for a reader."""
LONGEST_PAUSE = 30.0
"""Seconds before a process that keeps dying is started again."""
STABLE = 60.0
"""If a process dies after this many seconds, its start was not the cause."""


class Ended(Exception):
    """A process ended before it was ready. Another start would end in the same way."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Child:
    """A process that is to run."""

    name: str
    words: Callable[[], list[str]]
    grace: float
    socket: socket.socket | None = None
    """The socket that it accepts connections from. The socket outlives the process."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    process: asyncio.subprocess.Process | None = None

    def command(self) -> list[str]:
        """The program and its arguments."""
        return [sys.executable, "-m", "haddock._cli", *self.words()]

    async def keep(self, settings: Settings, teller: Teller) -> None:
        """Starts it, and restarts it when it dies, until this is cancelled.

        Raises:
            Ended: it ended before it was ready for the first time.
        """
        now = asyncio.get_running_loop().time
        pause = 0.0
        while True:
            begun = now()
            try:
                code = await self._run(settings, teller)
            finally:
                await self._stop()
            if not self.ready.is_set():
                raise Ended(code)
            pause = 0.0 if now() - begun > STABLE else pause
            _say(settings, teller, self.name, code, pause)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2 or 0.5)

    async def _run(self, settings: Settings, teller: Teller) -> int:
        handed, env = (), None
        if self.socket is not None:
            # Handed over as by a systemd socket unit: sd_listen_fds(3), with the socket's number in this process.
            handed = (self.socket.fileno(),)
            env = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDS_FIRST_FD": str(handed[0])}
        self.process = await asyncio.create_subprocess_exec(
            *self.command(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=handed, env=env,
            # Ctrl-C on a terminal goes to this process, which then stops both in order.
            start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        await _lines(self.process.stdout, lambda line: self._take(line, settings, teller))
        # It may have closed its output and still run.
        return await self.process.wait()

    def _take(self, line: str, settings: Settings, teller: Teller) -> None:
        """Passes on a line that it prints. The first line that is no error means that it is ready."""
        if settings.json:
            with suppress(ValueError, AttributeError):
                if json.loads(line).get("kind") == "ready":
                    self.ready.set()
        elif line.startswith(f"{self.name}: "):
            self.ready.set()
        teller.line(line)

    async def _stop(self) -> None:
        process = self.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.grace)
        except asyncio.TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _lines(stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
    """Takes each line until the stream ends, with any bytes. Only the start of a long line is taken."""
    begun, left_out = bytearray(), 0

    def add(part: bytes) -> None:
        nonlocal left_out
        taken = part[: LONGEST_LINE - len(begun)]
        begun.extend(taken)
        left_out += len(part) - len(taken)

    def end() -> None:
        nonlocal left_out
        text = begun.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}").rstrip("\r")
        take(f"{text} … ({left_out} bytes more)" if left_out else text)
        begun.clear()
        left_out = 0

    # `readline` raises on a line that is longer than its buffer.
    while chunk := await stream.read(READ):
        *whole, last = chunk.split(b"\n")
        for part in whole:
            add(part)
            end()
        add(last)
        # A child that prints endlessly must not block the other one.
        await asyncio.sleep(0)
    if begun or left_out:
        end()


class Teller:
    """Writes lines to standard output, on a thread of its own, so that a slow, stuck or gone reader blocks nothing."""

    def __init__(self) -> None:
        self.lines: queue.Queue[str | None] = queue.Queue(MAX_QUEUED_LINES)
        self.lost = 0
        self.thread = threading.Thread(target=self._write, name="haddock-lines", daemon=True)
        self.thread.start()

    def line(self, text: str) -> None:
        """Adds a line, or drops it if too many wait."""
        try:
            if self.lost:
                self.lines.put_nowait(f"{self.lost} lines were left out: nobody read them in time")
                self.lost = 0
            self.lines.put_nowait(text)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Waits until the reader has taken the waiting lines."""
        with suppress(queue.Full):
            self.lines.put_nowait(None)
            self.thread.join(LAST_LINES)

    def _write(self) -> None:
        while (text := self.lines.get()) is not None:
            try:
                _output.line(text)
            except (OSError, ValueError):
                # The reader has gone. Python's last flush must not fail again.
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def supervise(
    settings: Settings, wanted: Wanted, monitor: float, followed: Sequence[list[str] | None] = ()
) -> int:
    """Runs both until a signal comes. It looks for unused environments every `monitor` seconds."""
    for option, address in (("--listen", wanted.listen), ("--admin", wanted.admin)):
        if address.endswith(":0"):
            raise Usage(f"`{option} {address}`: a restarted gateway needs the same address", "name a port")
    for file in followed:
        check_followed(settings, file)
    teller = Teller()
    try:
        if settings.has_others():
            _follow.run(_controller_alone(settings, monitor, followed, teller))
            return DONE
        with _listen(wanted.listen) as listener:
            _follow.run(_both(settings, wanted, monitor, followed, listener, teller))
    except Stopped:
        return DONE
    except Ended as ended:
        return ended.code
    finally:
        teller.close()
    return DONE


def _listen(address: str) -> socket.socket:
    """A socket that clients may connect to, for one gateway after another."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        # The queue is as long as Linux allows by default.
        return socket.create_server(
            (host.strip("[]"), int(port)), family=family, backlog=4096, dualstack_ipv6=family == socket.AF_INET6
        )
    except OSError as error:
        import haddock

        kind = haddock.PortTakenError if error.errno == errno.EADDRINUSE else haddock.IoError
        reason = os.strerror(error.errno or 0)
        raise kind(f"cannot listen on `{address}`: {reason}", hint="name another with `--listen`") from None


def _controller_words(
    settings: Settings, monitor: float, followed: Sequence[list[str] | None], gateway: Sequence[str]
) -> list[str]:
    words = ["serve", "controller", "--until-stdin-ends", *gateway, *_common_words(settings)]
    words += ["--monitor", _words.exactly(monitor), *follow_words(settings, followed)]
    for option, value in (
        ("--gateway-ca", settings.gateway_ca),
        ("--gateway-cert", settings.gateway_cert),
        ("--gateway-key", settings.gateway_key),
        ("--docker-host", settings.docker_host),
        ("--haproxy", settings.haproxy),
        ("--locator", settings.locators),
        ("--reach", settings.reach),
        ("--address-pool", settings.address_pool),
        ("--journal-keep", settings.journal_keep),
    ):
        words += [option, value] if value else []
    return words


def _common_words(settings: Settings) -> list[str]:
    common = ["--json"] if settings.json else []
    for option, value in (("--state", settings.state), ("--gateway-token-file", settings.token_file)):
        common += [option, value] if value else []
    return common


async def _controller_alone(
    settings: Settings, monitor: float, followed: Sequence[list[str] | None], teller: Teller
) -> None:
    """The controller without a gateway: an HAProxy takes the requests."""
    await Child("controller", lambda: _controller_words(settings, monitor, followed, ()), 15).keep(settings, teller)


async def _both(
    settings: Settings,
    wanted: Wanted,
    monitor: float,
    followed: Sequence[list[str] | None],
    listener: socket.socket,
    teller: Teller,
) -> None:
    def gateway_words() -> list[str]:
        return ["serve", "gateway", *wanted.words(), "--until-stdin-ends", *_common_words(settings)]

    def controller_words() -> list[str]:
        scheme, known_by = ("http", ()) if wanted.admin_tls is None else ("https", ("--gateway-ca", wanted.admin_tls[0]))
        gateway = ("--gateway", f"{scheme}://{_reachable(wanted.admin)}", *known_by)
        return _controller_words(settings, monitor, followed, gateway)

    gateway = Child("gateway", gateway_words, wanted.grace + 5, listener)
    controller = Child("controller", controller_words, 15)

    async def then_controller() -> None:
        # At the first look the gateway answers. Later, either may be down for a while.
        await gateway.ready.wait()
        await controller.keep(settings, teller)

    tasks = [asyncio.create_task(gateway.keep(settings, teller)), asyncio.create_task(then_controller())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reachable(address: str) -> str:
    """The address on this machine of a listener on all addresses."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]") else address


def _say(settings: Settings, teller: Teller, name: str, code: int, pause: float) -> None:
    if settings.json:
        teller.line(json.dumps({"kind": "restarted", "process": name, "exit_code": code, "pause": pause}))
        return
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    when = f"in {pause:g} s" if pause else "at once"
    teller.line(f"{name}: {how}; it is started again {when}")
