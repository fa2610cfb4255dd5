"""What the user's pages list is what the code has: nothing is left out, and nothing is there that has gone."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import haddock
from cli_site import ROOT

DOCS = ROOT / "docs"


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    part = re.split(rf"^#+ {re.escape(title)}$", page, maxsplit=1, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert table is not None, f"there is no table under `{title}`"
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell: str) -> list[str]:
    """What is in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_names_every_series_of_a_gateway(tmp_path: Path) -> None:
    """A gateway with a table is asked: names, types and labels."""
    table = {
        "service": "shop",
        "number": {"epoch": 1, "revision": 7},
        "session": {"idle": 60_000, "ignore": []},
        "routes": {"shop-1": {"address": "127.0.0.1:9", "share": 10_000}},
    }
    with haddock.Gateway(listen="127.0.0.1:0", admin="127.0.0.1:0", state=tmp_path / "gateway") as gateway:
        url = f"http://{gateway.admin_address}"
        asked = urllib.request.Request(
            f"{url}/v1/services/shop/apply", json.dumps(table).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(asked, timeout=10).close()
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    real = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert len(real) > 10, text
    table_of_page = rows((DOCS / "metrics.md").read_text(), "Every series")
    listed = {code(name)[0]: (kind, code(labels)) for name, kind, labels, *_ in table_of_page}
    assert {name: kind for name, (kind, _) in listed.items()} == real
    seen = re.findall(r"^(haddock_\w+)(?:\{(.*)\})? ", text, re.MULTILINE)
    assert len(seen) > 8, text
    for name, labels in seen:
        assert listed[name][1] == re.findall(r"(\w+)=", labels), name


def test_queries_name_series_that_there_are() -> None:
    page = (DOCS / "metrics.md").read_text()
    listed = {code(name)[0] for name, *_ in rows(page, "Every series")}
    assert set(re.findall(r"haddock_\w+", page)) <= listed
