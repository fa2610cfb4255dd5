"""Commands within containers: run to their end, or with streams for the caller."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, Union

from ._bridge import wait, wait_async
from ._errors import HaddockError
from ._given import command as words
from ._given import optional_text
from ._values import Duration, optional_seconds, seconds

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from . import _native
    from ._given import Texts

CHUNK = 64 * 1024
"""Bytes of standard input that are read and sent at a time."""
AFTER = 10.0
"""Seconds that a command may go on running after it has closed its streams. Most end at once."""


class Readable(Protocol):
    """Something to read bytes from: a file opened as binary, a pipe."""

    def read(self, size: int, /) -> bytes: ...


class Writable(Protocol):
    """Something to write bytes to: a file opened as binary, a pipe."""

    def write(self, data: bytes, /) -> object: ...


Input = Union[bytes, str, Readable]
"""The input of a command: bytes, a string, or a binary file, which is read as fast as the command reads."""


def place(
    name: str | None, component: str | None, service: str | None = None, instance: str | None = None
) -> dict[str, Any]:
    """Where a command runs."""
    return {
        "name": name,
        "component": optional_text(component, "component"),
        "service": optional_text(service, "service"),
        "instance": optional_text(instance, "instance"),
    }


def how(command: Texts, stdin: bool, terminal: tuple[int, int] | None = None) -> dict[str, Any]:
    """What is run."""
    return {"command": words(command, "command"), "stdin": stdin, "terminal": terminal}


class RunningCommand:
    """A command within a container, with its streams. Iterate over its output as it comes.

    Each item is a pair: `"stdout"` or `"stderr"`, and the bytes. Iterate once, with `for` or `async for`, and then call
    `exit_code()`. Nothing is read ahead: the command waits until its output is taken. So write from another thread or
    task than the one that reads.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Attached) -> None:
        self._native = native

    def write(self, data: bytes) -> bool:
        """Writes to its standard input, and waits until the data is taken. `False`: the command reads no more."""
        return wait(self._native.write(data))

    async def write_async(self, data: bytes) -> bool:
        """As `write`, in the running loop."""
        return await wait_async(self._native.write(data))

    def close_input(self) -> None:
        """Ends its standard input."""
        wait(self._native.close_input())

    async def close_input_async(self) -> None:
        """As `close_input`, in the running loop."""
        await wait_async(self._native.close_input())

    def resize(self, columns: int, rows: int) -> None:
        """Sets the size of its terminal. Without a terminal this does nothing."""
        wait(self._native.resize(columns, rows))

    async def resize_async(self, columns: int, rows: int) -> None:
        """As `resize`, in the running loop."""
        await wait_async(self._native.resize(columns, rows))

    def exit_code(self, timeout: Duration = AFTER) -> int:
        """Its exit code, after it has closed its streams. Raises `TimedOutError` if it goes on running for too long."""
        return wait(self._native.exit_code(seconds(timeout, "timeout")))

    async def exit_code_async(self, timeout: Duration = AFTER) -> int:
        """As `exit_code`, in the running loop."""
        return await wait_async(self._native.exit_code(seconds(timeout, "timeout")))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[str, bytes]:
        read = wait(self._native.read(None))
        if read is None:
            raise StopIteration
        return _named(read)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[str, bytes]:
        read = await wait_async(self._native.read(None))
        if read is None:
            raise StopAsyncIteration
        return _named(read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_input()


def _named(read: tuple[bool, bytes]) -> tuple[str, bytes]:
    return "stderr" if read[0] else "stdout", read[1]


class _Run:
    """One command until its end, with its input, the targets of its output, and its time limit."""

    def __init__(self, stdin: Input | None, stdout: Writable | None, stderr: Writable | None, timeout: Duration | None):
        self.source: Readable | None = None
        if isinstance(stdin, (bytes, str)):
            self.source = io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin)
        else:
            self.source = stdin
        self.kept = (io.BytesIO(), io.BytesIO())
        self.sinks: tuple[Writable, Writable] = (stdout or self.kept[0], stderr or self.kept[1])
        limit = optional_seconds(timeout, "timeout")
        self.end = None if limit is None else time.monotonic() + limit

    def left(self) -> float | None:
        """The seconds that are left."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def left_at_the_end(self) -> float:
        """The seconds that it may go on running after it has closed its streams."""
        left = self.left()
        return AFTER if left is None else left

    def take(self, read: tuple[bool, bytes]) -> None:
        self.sinks[read[0]].write(read[1])

    def done(self, code: int) -> dict[str, Any]:
        out, err = (kept.getvalue().decode(errors="replace") for kept in self.kept)
        return {"exit_code": code, "stdout": out, "stderr": err}

    def feed(self, native: _native.Attached, failed: list[BaseException]) -> None:
        """Sends the input, on a thread of its own."""
        assert self.source is not None
        try:
            while chunk := self.source.read(CHUNK):
                if not wait(native.write(chunk)):
                    return  # it has read enough
        except HaddockError:
            pass  # the reader of its output gets the error
        except BaseException as error:  # of the file
            failed.append(error)
        finally:
            try:
                wait(native.close_input())
            except Exception:
                pass  # as above


def run(
    started: _native.Call,
    stdin: Input | None,
    stdout: Writable | None,
    stderr: Writable | None,
    timeout: Duration | None,
) -> dict[str, Any]:
    """Runs a command to its end."""
    ran = _Run(stdin, stdout, stderr, timeout)
    native: _native.Attached = wait(started)
    failed: list[BaseException] = []
    if ran.source is not None:
        threading.Thread(target=ran.feed, args=(native, failed), name="haddock-stdin", daemon=True).start()
    while (read := wait(native.read(ran.left()))) is not None:
        ran.take(read)
    if failed:
        raise failed[0]
    return ran.done(wait(native.exit_code(ran.left_at_the_end())))


async def run_async(
    started: _native.Call,
    stdin: Input | None,
    stdout: Writable | None,
    stderr: Writable | None,
    timeout: Duration | None,
) -> dict[str, Any]:
    """As `run`, in the running loop. Files are read on a thread, and written in the loop."""
    from asyncio import get_running_loop

    ran = _Run(stdin, stdout, stderr, timeout)
    native: _native.Attached = await wait_async(started)
    failed: list[BaseException] = []
    if ran.source is not None:
        get_running_loop().run_in_executor(None, ran.feed, native, failed)
    while (read := await wait_async(native.read(ran.left()))) is not None:
        ran.take(read)
    if failed:
        raise failed[0]
    return ran.done(await wait_async(native.exit_code(ran.left_at_the_end())))
