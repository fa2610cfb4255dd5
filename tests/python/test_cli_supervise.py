"""Nothing that a child of `haddock serve` prints ends or stalls the other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cli_site import until
from haddock._cli import _supervise


def lines_of(*chunks: bytes) -> list[str]:
    """The lines that are taken of what comes in these chunks."""
    taken: list[str] = []

    async def read() -> None:
        stream = asyncio.StreamReader(limit=1024)
        for chunk in chunks:
            stream.feed_data(chunk)
        stream.feed_eof()
        await _supervise._lines(stream, taken.append)

    asyncio.run(read())
    return taken


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"\n\nthree"], ["", "", "three"]),
        ([b"on", b"e\ntw", b"o\r\n"], ["one", "two"]),
        ([b"\xff\xfe broken\n"], ["\ufffd\ufffd broken"]),
        ([b"nul \0 within\n"], ["nul \ufffd within"]),
        ([b""], []),
    ],
)
def test_whatever_is_printed_becomes_lines(chunks: list[bytes], lines: list[str]) -> None:
    assert lines_of(*chunks) == lines


@pytest.mark.parametrize("size", [_supervise.LONGEST_LINE + 1, 5_000_000])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_of_a_long_line_the_begin_is_taken(size: int, end: bytes) -> None:
    (line, *rest) = lines_of(b"x" * size, end + b"next\n" if end else b"")
    left_out = size - _supervise.LONGEST_LINE
    assert line == "x" * _supervise.LONGEST_LINE + f" … ({left_out} bytes more)"
    assert rest == (["next"] if end else [])


PRINTS = {
    "a long line": "out.write(b'x' * 3_000_000 + b'\\n')",
    "no line's end": "out.write(b'x' * 3_000_000)",
    "no UTF-8 and NUL": "out.write(b'\\xff\\0\\n' * 100)",
    "a flood": "[out.write(b'flood\\n' * 1000) for _ in range(200)]",
    "its end": "out.close(); os.close(1)",
}


@pytest.mark.parametrize(
    ("prints", "as_json", "reader"),
    [
        *((prints, True, "reads") for prints in PRINTS),
        ("a long line", False, "reads"),
        ("a flood", False, "is gone"),
        ("a flood", True, "is stuck"),
    ],
)
def test_what_one_prints_neither_ends_nor_stalls_the_other(
    prints: str, as_json: bool, reader: str, tmp_path: Path
) -> None:
    """Two children in a supervisor of its own: one prints, the other counts its heartbeats in a file."""
    beats, printed = tmp_path / "beats", tmp_path / "printed"
    loud = f"""
import os, sys, time
print('{{"kind": "ready"}}' if {as_json} else 'loud: ready', flush=True)
out = os.fdopen(os.dup(1), 'wb')
{PRINTS[prints]}
out.closed or out.flush()
open({str(printed)!r}, 'w').close()
sys.stdin.read()
"""
    calm = f"""
import time
print('{{"kind": "ready"}}' if {as_json} else 'calm: ready', flush=True)
while True:
    open({str(beats)!r}, 'a').write('.')
    print('a beat', flush=True)
    time.sleep(0.01)
"""
    program = f"""
import asyncio, sys
from haddock._cli import _supervise
from haddock._cli._common import Settings
settings = Settings(json={as_json})
def child(name, code):
    made = _supervise.Child(name, lambda: [], 1)
    made.command = lambda: [sys.executable, "-c", code]
    return made
async def both():
    teller = _supervise.Teller()
    tasks = [asyncio.create_task(child(name, code).keep(settings, teller))
             for name, code in (("loud", {loud!r}), ("calm", {calm!r}))]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done: task.result()
asyncio.run(both())
"""
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert supervisor.stdout is not None
    try:
        if reader == "is gone":
            supervisor.stdout.close()
        elif reader == "reads":
            threading.Thread(target=supervisor.stdout.read, daemon=True).start()
        until("all is printed", printed.exists)
        until("the other runs", beats.exists)
        seen = beats.stat().st_size
        until("the other goes on", lambda: beats.stat().st_size > seen + 50)
        assert supervisor.poll() is None, "and so does what watches both"
    finally:
        supervisor.kill()
        supervisor.wait()
