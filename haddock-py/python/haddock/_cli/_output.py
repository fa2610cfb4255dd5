"""Tables for people, aligned columns for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def terminal() -> bool:
    """Whether the output is a terminal."""
    return sys.stdout.isatty()


def line(text: str = "") -> None:
    """A line on standard output, at once."""
    print(text, flush=True)


def note(text: str) -> None:
    """A line for people beside the output."""
    print(text, file=sys.stderr, flush=True)


def json_line(value: Any) -> None:
    """A JSON object on a line of its own."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def steps(title: str, each: Iterable[str]) -> None:
    """The numbered steps of a plan."""
    line(title)
    for number, step in enumerate(each, 1):
        line(f"{number:>3}. {step}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table. Columns of numbers are aligned to the right."""
    body = [list(row) for row in rows]
    if terminal():
        _drawn(titles, body)
    else:
        for text in columns(titles, body):
            line(text)


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns, two spaces apart."""
    everything = [[title.upper() for title in titles], *rows]
    widths = [max(len(row[index]) for row in everything) for index in range(len(titles))]
    right = [_numeric(rows, index) for index in range(len(titles))]
    lines: list[str] = []
    for row in everything:
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _drawn(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for index, title in enumerate(titles):
        drawn.add_column(title, justify="right" if _numeric(rows, index) else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(drawn)


def _numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    cells = [row[index] for row in rows if row[index] not in ("", "?", "-")]
    return bool(cells) and all(cell.removesuffix("%").replace(".", "", 1).isdigit() for cell in cells)
