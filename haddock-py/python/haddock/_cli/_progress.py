"""The progress of long work: a live display on a terminal, else a line for each change."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from haddock._cli import _output, _words
from haddock._cli._errors import Stopped

if TYPE_CHECKING:
    from rich.console import RenderableType

    from haddock import ProgressEvent
    from haddock._cli._common import Settings

OVER = ("ready", "removed", "pulled", "silent")
"""Work that these exceptions end does not go on by itself."""
SLOW = 3.0
"""Seconds after which the display says how long something has been going on."""

OnEvent = Callable[["ProgressEvent"], None]


@contextmanager
def shown(settings: Settings) -> Iterator[OnEvent | None]:
    """The display of progress; none with `--json` and `--quiet`. It is on standard error, separate from the result.

    SIGTERM ends the work as Ctrl-C does: what it has made is removed before the command ends.
    """
    hint = "`haddock ls` shows what is there; run the same command again to do the rest"
    with stopped_by_signals(hint):
        if settings.json or settings.quiet:
            yield None
        elif sys.stderr.isatty():
            live = Live()
            try:
                yield live.event
            finally:
                live.close()
        else:
            yield Plain().event


@contextmanager
def stopped_by_signals(hint: str) -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does. The hint says how to go on."""

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number, [hint])

    # If Ctrl-C is ignored, as a shell sets it for background programs, it stays ignored.
    numbers = [it for it in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(it) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def subject(event: ProgressEvent) -> str:
    """The component or the image."""
    return event.component or event.image or ""


def sentence(event: ProgressEvent) -> str:
    """What happens, without the component."""
    text = event.kind
    if event.kind == "waiting":
        text = f"waits for {event.waits_for}"
        text += f": {event.why}" if event.why else ""
    elif event.kind == "silent":
        text = f"runs, and does not answer: {event.why}"
    elif event.kind == "pulling" and event.total:
        text += f" {size(event.done or 0)} of {size(event.total)}"
    return text


def size(count: int) -> str:
    """Bytes, as people read them."""
    left = float(count)
    for unit in ("B", "kB", "MB"):
        if left < 1000:
            return f"{left:.0f} {unit}"
        left /= 1000
    return f"{left:.1f} GB"


class Plain:
    """A line for each change, and nothing twice."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.logs: dict[str, str] = {}

    def event(self, event: ProgressEvent) -> None:
        """A line, if it is new."""
        about = subject(event)
        # The progress of a transfer does not belong in a log.
        text = event.kind if event.kind == "pulling" else sentence(event)
        if self.said.get(about) != text:
            self.said[about] = text
            _output.note(f"{about}: {text}")
        if event.log and self.logs.get(about) != event.log:
            self.logs[about] = event.log
            _output.note(f"{about}: log: {event.log}")


class Live:
    """A row for each component and each image that is pulled."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as Region

        self.rows: dict[str, tuple[ProgressEvent, float]] = {}
        self.region = Region(console=Console(stderr=True, highlight=False), get_renderable=self.picture,
                             refresh_per_second=4, transient=True)  # fmt: skip
        self.region.start()

    def event(self, event: ProgressEvent) -> None:
        """The row changes."""
        before = self.rows.get(subject(event))
        same = before is not None and (before[0].kind, before[0].waits_for) == (event.kind, event.waits_for)
        since = before[1] if before is not None and same else time.monotonic()
        self.rows[subject(event)] = (event, since)

    def close(self) -> None:
        """Shows only what needs attention. The command itself reports what was done."""
        self.region.stop()
        for about, (event, _) in self.rows.items():
            if event.kind == "silent":
                print(f"{about}: {sentence(event)}", file=sys.stderr)

    def picture(self) -> RenderableType:
        """The present rows."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        for about, (event, since) in self.rows.items():
            passed = time.monotonic() - since
            over = event.kind in OVER
            mark, style = ("✓", "green") if over else ("●", "cyan")
            text = Text(sentence(event), style="" if not over else "dim")
            if event.log and not over:
                text.append(f"\n{event.log}", style="dim")
            length = "" if over or passed < SLOW else _words.length(passed)
            table.add_row(Text(mark, style), Text(about), text, Text(length, "dim"))
        return table
