"""What the user's pages list is what the code has: nothing is left out, and nothing is there that has gone."""

from __future__ import annotations

import ast
import json
import re
import urllib.request
from pathlib import Path

import click
import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
from prometheus_client.metrics_core import Metric

import haddock
from cli_site import ROOT
from haddock._cli._app import app
from haddock._cli._errors import CODES, FAILED

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


TABLE = {
    "service": "shop",
    "number": {"epoch": 1, "revision": 7},
    "session": {"idle": 60_000, "ignore": []},
    "routes": {"shop-1": {"address": "127.0.0.1:9", "share": 10_000}},
}


@pytest.fixture(scope="module", params=["text/plain", "application/openmetrics-text; version=1.0.0"])
def families(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    """What a gateway with a table says, read as Prometheus reads it."""
    state = tmp_path_factory.mktemp("gateway")
    with haddock.Gateway(listen="127.0.0.1:0", admin="127.0.0.1:0", state=state) as gateway:
        url = f"http://{gateway.admin_address}"
        asked = urllib.request.Request(
            f"{url}/v1/services/shop/apply", json.dumps(TABLE).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(asked, timeout=10).close()
        asked = urllib.request.Request(f"{url}/metrics", headers={"Accept": request.param})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            text, kind = answer.read().decode(), answer.headers["Content-Type"]
    assert kind.startswith(request.param.split(";")[0])
    read = prometheus_client.parser if kind.startswith("text/plain") else prometheus_client.openmetrics.parser
    return list(read.text_string_to_metric_families(text))


def series(family: Metric) -> str:
    """The name by which the page lists it: parsers leave out what ends the name of a counter."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_the_page_names_every_series_of_a_gateway(families: list[Metric]) -> None:
    """Names, types and labels."""
    table_of_page = rows((DOCS / "metrics.md").read_text(), "Every series")
    listed = {code(name)[0]: (kind, code(labels)) for name, kind, labels, *_ in table_of_page}
    assert len(listed) > 10
    assert {name: kind for name, (kind, _) in listed.items()} == {series(family): family.type for family in families}
    seen = [(family, sample) for family in families for sample in family.samples]
    assert len(seen) > 30, seen
    for family, sample in seen:
        assert listed[series(family)][1] == [label for label in sample.labels if label != "le"], sample


def test_the_page_names_the_ends_of_the_buckets(families: list[Metric]) -> None:
    [page] = re.findall(r"The buckets end at (.+?)\.\s", (DOCS / "metrics.md").read_text(), re.DOTALL)
    millis, seconds = (re.findall(r"[\d.]+", part) for part in page.split("ms"))
    ends = {float(end) / 1000 for end in millis} | {float(end) for end in seconds} | {float("inf")}
    histograms = [family for family in families if family.type == "histogram"]
    assert len(histograms) == 2
    for family in histograms:
        assert {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels} == ends


def names_of(query: str) -> set[str]:
    """The series that a query asks for."""
    return set(re.findall(r"haddock_\w+", query))


def test_queries_name_series_that_there_are(families: list[Metric]) -> None:
    real = {sample.name for family in families for sample in family.samples} | {series(family) for family in families}
    assert names_of((DOCS / "metrics.md").read_text()) <= real
    dashboard = json.loads((ROOT / "examples/grafana/haddock.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["definition"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    assert len(queries) > 10
    for query in queries:
        assert names_of(query) and names_of(query) <= real, query


def texts(node: ast.expr) -> list[str]:
    """The parts of a string that do not vary."""
    if isinstance(node, ast.JoinedStr):
        return [part for value in node.values for part in texts(value)]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def test_the_page_has_a_line_for_each_finding_of_check() -> None:
    """Each finding that is no `ok`: its check, how bad it is, and what it says."""
    table = rows((DOCS / "troubleshooting.md").read_text(), "What `haddock check` finds")
    cli = Path(haddock.__file__).parent / "_cli"
    calls = [node for node in ast.walk(ast.parse((cli / "check.py").read_text())) if isinstance(node, ast.Call)]
    found = [call.args for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
    assert len(found) > 15
    listed = {code(name)[0] for name, *_ in table}
    bad: set[str] = set()
    for name, state, says, *_ in found:
        [check] = texts(name)
        # A name in place of a text is decided elsewhere: it may be either.
        states = set(texts(state)) - {"ok"} or ({"warning", "problem"} if isinstance(state, ast.Name) else set())
        if not states:
            continue
        bad.add(check)
        # What another said, such as the engine, is not for this page.
        known = [text.strip(" `:,") for text in texts(says)]
        lines = [finding for of, finding, _ in table if code(of) == [check] and all(text in finding for text in known)]
        assert lines, f"no line for `{check}`: {known}"
        assert any(word in line for line in lines for word in states), f"`{check}` is {states}, says the code: {lines}"
    calls = [node for node in ast.walk(ast.parse((cli / "_intermediary.py").read_text())) if isinstance(node, ast.Call)]
    found = [call.args for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Found"]
    assert len(found) > 10
    for state, says, *_ in found:
        if texts(state) != ["ok"]:
            bad.add("proxy")
            known = [text.strip(" `:,").replace("`", "") for text in texts(says)]
            lines = [finding for of, finding, _ in table if code(of) == ["proxy"] and all(text in finding for text in known)]
            assert [line for line in lines if texts(state)[0] in line], f"no line for `proxy`: {known}"
    assert listed == bad

    parsed = ast.parse((cli / "_settings.py").read_text())
    [odd] = [node for node in parsed.body if isinstance(node, ast.FunctionDef) and node.name == "odd"]
    pairs = [node.value for node in ast.walk(odd) if isinstance(node, ast.Yield)]
    assert len(pairs) >= 4
    for pair in pairs:
        assert isinstance(pair, ast.Tuple)
        known = [text.strip(" `") for text in texts(pair.elts[0])]
        assert any(all(text in finding for text in known) for of, finding, _ in table if "session" in of), known


def test_the_page_has_a_line_for_each_kind_of_error() -> None:
    """Each kind, with the exit code that the command gives it."""
    source = (ROOT / "haddock-core" / "src" / "error.rs").read_text()
    body = source.split("pub enum ErrorKind {", 1)[1].split("\n}", 1)[0]
    kinds = [re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower() for kind in re.findall(r"^    (\w+),$", body, re.MULTILINE)]
    assert len(kinds) > 20
    table = rows((DOCS / "troubleshooting.md").read_text(), "Errors by kind")
    listed = [(code(kind)[0], int(exit_code)) for kind, exit_code, *_ in table]
    assert listed == [(kind, CODES.get(kind, FAILED)) for kind in kinds]


def test_the_page_has_a_line_for_each_failure_that_the_gateway_answers() -> None:
    """Each 5xx of its own, with the text that the client gets."""
    statuses = {"BAD_GATEWAY": "502", "SERVICE_UNAVAILABLE": "503", "GATEWAY_TIMEOUT": "504"}
    real = {
        (statuses[status], text)
        for path in (ROOT / "haddock-core" / "src" / "locator" / "gateway").glob("*.rs")
        for status, text in re.findall(r'Refusal\(\s*StatusCode::(\w+),\s*"([^"]+)"', path.read_text())
        if status in statuses
    }
    assert len(real) > 4
    table = rows((DOCS / "troubleshooting.md").read_text(), "Error responses of the gateway")
    assert {(status, code(text)[0]) for status, text, _ in table} == real


PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])


def anchor(title: str) -> str:
    """What a heading is linked by."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        other = page if not path else (page.parent / path).resolve()
        assert other.exists(), target
        if part:
            titles = re.findall(r"^#+ (.*)$", other.read_text(), re.MULTILINE)
            assert part in map(anchor, titles), target


def test_the_page_names_every_room() -> None:
    """What lies below `src`, except the map itself and the snapshots of tests."""
    table = rows((DOCS / "architecture.md").read_text(), "The modules of the code")
    listed = [room for cell, *_ in table for room in code(cell)]
    there = {path.name for path in (ROOT / "haddock-core" / "src").iterdir()} - {"lib.rs", "snapshots"}
    assert sorted(listed) == sorted(there)


def test_the_index_has_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", (DOCS / "README.md").read_text()))
    there = {str(page.relative_to(DOCS)) for page in [*DOCS.glob("*.md"), *(DOCS / "reference").glob("*.md")]}
    assert there - {"README.md"} <= linked


def commands_of(page: Path) -> list[list[str]]:
    """Each call of `haddock`, also of blocks that are not run: in the text, on a terminal, in a unit of systemd."""
    text = page.read_text()
    lines = re.findall(r"`haddock ([^`\n]+)`", text) + re.findall(r"^\$ haddock ([^#\n]+)", text, re.MULTILINE)
    lines += re.findall(r"^ExecStart=\S*/haddock (.*)$", text, re.MULTILINE)
    return [line.replace("[", "").replace("]", "").split() for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_are_there(page: Path) -> None:
    for words in commands_of(page):
        command: click.Command = app
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            # Some commands have two words.
            _, found, words = command.resolve_command(click.Context(command), words)
            assert found is not None
            command = found
        parameters = [*app.params, *command.get_params(click.Context(command))]
        known = {option for parameter in parameters for option in parameter.opts}
        # What stands after `--` is for another command.
        ours = words[: words.index("--")] if "--" in words else words
        for word in ours:
            option = word.partition("=")[0].rstrip(",…")
            assert not option.startswith("--") or option in known, f"`{command.name}` has no `{option}`"
