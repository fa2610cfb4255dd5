"""Waiting for calls of the native half: blocking and interruptible, or in an asyncio loop."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _native
from ._values import optional_seconds

if TYPE_CHECKING:
    from ._native import Call
    from ._progress import Told
    from ._values import Duration

T = TypeVar("T")

atexit.register(_native.shut_down)


def wait(call: Call, timeout: Duration | None = None, what: str = "the call") -> Any:
    """Blocks until the call has ended. Ctrl-C cancels it, or lets it undo what it has made.

    After `timeout` it raises `TimedOutError`, which says that `what` did not end.
    """
    call.start(optional_seconds(timeout, "timeout"), what)
    return call.wait()


async def wait_async(call: Call, timeout: Duration | None = None, what: str = "the call") -> Any:
    """As `wait`, in the running loop. A cancellation cancels the call, or lets it undo what it has made."""
    from asyncio import get_running_loop, shield

    loop = get_running_loop()
    ended = loop.create_future()

    def finish() -> None:
        if not ended.done():
            ended.set_result(None)

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:
            pass  # the loop has been closed: nobody waits any more

    call.start(optional_seconds(timeout, "timeout"), what)
    call.then(tell)
    try:
        # Shielded: after a cancellation it waits until the cancelled call has ended.
        await shield(ended)
    except BaseException:
        try:
            if call.give_up():
                await ended
        finally:
            call.cancel()
        raise
    return call.result()


def as_it_is(answer: Any) -> Any:
    """The result of the call."""
    return answer


@dataclass(frozen=True)
class Asked(Generic[T]):
    """A call, its name in messages, and the function that converts its result."""

    what: str
    call: Call
    made: Callable[[Any], T] = as_it_is
    told: Told[Any] | None = None

    def wait(self, timeout: Duration | None = None) -> T:
        """Blocks until it has ended."""
        if self.told is not None:
            self.call.start(optional_seconds(timeout, "timeout"), self.what)
            try:
                self.told.listen()
            except BaseException:
                self.give_up()
                raise
        return self.made(wait(self.call, timeout, self.what))

    def give_up(self) -> None:
        """Lets it undo what it has made, if it can."""
        try:
            if self.call.give_up():
                with suppress(Exception):
                    self.call.wait()
        finally:
            self.call.cancel()

    async def give_up_async(self) -> None:
        """As `give_up`, in the running loop."""
        try:
            if self.call.give_up():
                with suppress(Exception):
                    await wait_async(self.call)
        finally:
            self.call.cancel()

    async def wait_async(self, timeout: Duration | None = None) -> T:
        """As `wait`, in the running loop."""
        if self.told is None:
            return self.made(await wait_async(self.call, timeout, self.what))
        from asyncio import create_task

        ended = create_task(wait_async(self.call, timeout, self.what))
        try:
            await self.told.listen_async()
            return self.made(await ended)
        except BaseException:
            ended.cancel()
            with suppress(BaseException):
                await ended
            raise
