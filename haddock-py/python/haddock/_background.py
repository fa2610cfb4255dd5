"""Calls of runtimes and locators that are written in Python, sync or async."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

_lock = threading.Lock()
_loop: tuple[int, asyncio.AbstractEventLoop] | None = None


def _background_loop() -> asyncio.AbstractEventLoop:
    """The loop on which `async` methods run: one for the process, on a thread of its own."""
    global _loop
    import asyncio
    import os

    with _lock:
        if _loop is None or _loop[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="haddock-loop", daemon=True).start()
            _loop = (os.getpid(), loop)
        return _loop[1]


def finished(answer: Any) -> Any:
    """The result of a method. A coroutine is awaited."""
    if inspect.iscoroutine(answer):
        return _run(answer)
    return answer


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    return asyncio.run_coroutine_threadsafe(coroutine, _background_loop()).result()
