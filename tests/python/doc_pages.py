"""Reads the blocks of a page, to run them.

A comment right before a block says how it is run: `<!-- test: WORDS -->`.

| word | |
|---|---|
| `docker` | takes an engine |
| `background` | runs on while the rest of the page does, once it has said what the block shows |
| `sim` | Python on the simulated engine, with a compose file beside it |
| `pytest` | Python that is a file of tests |
| `skip WHY` | not run |

A `yaml` or `dockerfile` block whose first line is `# NAME` is written to that file. In a `console` block, a line that begins with `$ ` is
run; the others are what it says, where `…` stands for anything, a line with nothing else for any lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- test: (?P<words>.*?) -->\n\Z")


@dataclass(frozen=True)
class Block:
    """A block of a page."""

    page: Path
    line: int
    language: str
    text: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A line to run, and what it says."""

    words: str
    says: list[str]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        mark = MARK.search(text, 0, match.start())
        words = tuple(mark["words"].split()) if mark else ()
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match["language"], match["text"], words))
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a `console` block."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        elif found and found[-1].words.endswith("\\"):
            found[-1] = Command(found[-1].words[:-1] + line, [])
        else:
            assert found, f"{block}: `{line}` is said before anything is run"
            found[-1].says.append(line)
    return found


def matches(said: str, shown: list[str]) -> bool:
    """Whether a command said what the page shows."""
    if not shown:
        return True
    pattern = ""
    for line in shown:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += "[^\n]*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ ]*\n"
    return re.fullmatch(pattern, "\n".join(text.rstrip() for text in said.splitlines()) + "\n") is not None
