"""Waiting for what the native half does: blocking and interruptible, or in an asyncio loop."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

from . import _native

if TYPE_CHECKING:
    from ._native import Call

atexit.register(_native.shut_down)


def wait(call: Call) -> Any:
    """Blocks until the call has ended. Ctrl-C drops what is under way."""
    return call.wait()


async def wait_async(call: Call) -> Any:
    """Waits in the running loop until the call has ended. A cancellation drops what is under way."""
    from asyncio import get_running_loop

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

    call.then(tell)
    try:
        await ended
    except BaseException:
        call.cancel()
        raise
    return call.result()
