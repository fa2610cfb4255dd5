"""The page of `haddock report`, from a real gateway, in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import browser
import pytest

import haddock

COMPOSE = """
name: shop
services:
  web: { image: "shop:${TAG}", expose: ["8080"] }
x-haddock:
  ready: /health
  session: { idle: 2s, ignore: [/health] }
  release: { ramp: [50%, 100%], every: 1s, settle: 1s }
"""
SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if self.path == "/fail" else 200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[haddock.Controller, Path, list[str]]]:
    """Two releases under some traffic, with a real gateway and real processes."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "server.py").write_text(SERVER)
    file = folder / "compose.yaml"
    file.write_text(COMPOSE)
    # The process runtime remembers the commands of its images.
    server = [sys.executable, str(folder / "server.py")]
    haddock.Process(folder / "state" / "process", images={"shop:v1": server, "shop:v2": server})
    with haddock.Gateway(state=folder / "gateway", listen="127.0.0.1:0") as gateway:
        state = ["--state", str(folder / "state"), "--gateway", f"http://{gateway.admin_address}"]
        with haddock.connect(state=folder / "state", gateway=f"http://{gateway.admin_address}", runtime="process", by="ann") as h:
            visit = lambda path: urllib.request.urlopen(f"http://{gateway.listen_address}{path}", timeout=10).close()  # noqa: E731
            h.release(file, tag="v1").wait()
            for _ in range(20):
                visit("/")
            release = h.release(file, tag="v2")
            for event in release.events(until="settled"):
                if event.kind in ("stage_reached", "release_settling"):
                    for path in ["/"] * 9 + ["/fail"]:
                        try:
                            visit(path)
                        except urllib.error.HTTPError as error:
                            assert error.code == 500
            release.wait("gone")
            yield h, folder, state


@pytest.fixture(scope="module")
def page(site: tuple[haddock.Controller, Path, list[str]]) -> Path:
    """The page, written by the command."""
    _, folder, state = site
    path = folder / "page.html"
    command = [sys.executable, "-m", "haddock._cli", "report", "shop", "-o", str(path), *state]
    said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DOCKER_HOST": "unix:///nowhere"})
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == f"`{path}` shows it"
    return path


def test_the_page_has_the_figures_of_the_gateway(do: Any, site: tuple[haddock.Controller, Path, list[str]]) -> None:
    h, _, _ = site
    page = do(h, "report", "shop")
    assert "release of version 2" in do(h, "report", "shop", 2)
    for text in ["shop: release of version 2", "settled", "asked for by <code>ann</code>", "version 1", "stage 50%"]:
        assert text in page, text
    assert "keeps no record" not in page and "no record of this time" not in page
    row = page.partition('<th scope="row">version 2</th><td>')[2]
    begun = int(row.partition("<")[0].replace("\u202f", ""))
    failed = int(row.split("<td>")[2].partition("<")[0])
    assert begun >= 10 and failed >= 1, row[:200]
    assert "release of version 1" in do(h, "report", "shop", "v1")


def test_what_is_not_there_is_named(do: Any, site: tuple[haddock.Controller, Path, list[str]]) -> None:
    h, _, _ = site
    with pytest.raises(haddock.NotFoundError) as unknown:
        do(h, "report", "shop", 9)
    assert "`2` (`v2`), `1` (`v1`)" in (unknown.value.hint or "")
    with pytest.raises(haddock.NotFoundError, match="no service `shoe`") as unknown:
        do(h, "report", "shoe")
    assert "`shop`" in (unknown.value.hint or "")


def test_a_failed_report_leaves_no_file(site: tuple[haddock.Controller, Path, list[str]]) -> None:
    _, folder, state = site
    command = [sys.executable, "-m", "haddock._cli", "report", *state]
    env = {**os.environ, "DOCKER_HOST": "unix:///nowhere"}
    before = sorted(folder.iterdir())
    for given in (["shop@9", "-o", "new.html"], ["shop@", "-o", "new.html"], ["shop"], ["shop", "-o", "missing/new.html"]):
        said = subprocess.run([*command, *given], capture_output=True, text=True, cwd=folder, env=env)
        assert said.returncode in (2, 3), (given, said)
        assert not said.stdout
    assert sorted(folder.iterdir()) == before
    said = subprocess.run([*command, "shop", "-o", "-", "--json"], capture_output=True, text=True, cwd=folder, env=env)
    assert said.returncode == 2 and "<" not in said.stdout
    said = subprocess.run([*command, "shop@v1", "-o", "-"], capture_output=True, text=True, cwd=folder, env=env)
    assert said.returncode == 0 and said.stdout.startswith("<!DOCTYPE html>") and "release of version 1" in said.stdout


@pytest.fixture(scope="module")
def opened() -> Iterator[browser.Browser]:
    if browser.chromium() is None:
        if os.environ.get("HADDOCK_TEST_REQUIRE"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    with browser.Browser() as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_has_nothing_to_complain_of(opened: browser.Browser, page: Path, scheme: str) -> None:
    opened.call("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": scheme}])
    opened.open(page.as_uri())
    assert opened.complaints() == []
    assert opened.requests() == [page.as_uri()], "nothing but the page itself"
    assert page.stat().st_size <= 300 * 1024
    luminance = """(colour => { const [r, g, b] = colour.match(/[0-9.]+/g).map(it => {
        it /= 255; return it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4 });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b })"""
    paper = opened.run(f"{luminance}(getComputedStyle(document.body).backgroundColor)")
    assert (paper > 0.8) if scheme == "light" else (paper < 0.05)
    # Contrast as WCAG 2.2 has it: 4.5 for text, 3 for what is drawn.
    for selector, what, least in [
        ("h1", "color", 4.5), (".period", "color", 4.5), (".conclusion strong", "color", 4.5), ("dt", "color", 4.5),
        (".charts .tick", "fill", 4.5), (".curve.s0", "stroke", 3), (".curve.s1", "stroke", 3), (".mark .sign", "fill", 3),
    ]:  # fmt: skip
        found = opened.run(f"{luminance}(getComputedStyle(document.querySelector('{selector}')).{what})")
        contrast = (max(found, paper) + 0.05) / (min(found, paper) + 0.05)
        assert contrast >= least, (selector, scheme, contrast)
    wide = opened.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert wide, "nothing sticks out"


def test_the_policy_holds(opened: browser.Browser, page: Path) -> None:
    """A planted fault: what would run or load is forbidden, and this test would see it."""
    odd = page.with_name("planted.html")
    text = page.read_text()
    odd.write_text(text.replace("<main>", '<main><img src="planted.png"><script>window.planted = 1</script>'))
    opened.open(odd.as_uri())
    assert len(opened.complaints()) >= 2
    assert opened.run("window.planted === undefined")
    # Whatever is asked for by the browser, a picture is not among what was got.
    got = [event["params"] for event in opened.events if event.get("method") == "Network.responseReceived"]
    assert [it["response"]["url"] for it in got] == [odd.as_uri()]


def test_the_marks_are_reached_by_keyboard(opened: browser.Browser, page: Path) -> None:
    opened.open(page.as_uri())
    marks = opened.run("document.querySelectorAll('a.mark').length")
    assert marks >= 8
    met: list[str] = []
    for _ in range(marks + 12):
        opened.press("Tab")
        name = opened.run("document.activeElement.getAttribute('aria-label') || document.activeElement.tagName")
        if name == "BODY":
            break
        met.append(name)
    labels = opened.run("[...document.querySelectorAll('a.mark')].map(it => it.getAttribute('aria-label'))")
    assert [name for name in met if name in labels] == labels, "each once, in order"
    assert "SUMMARY" in met, "the table of the charts can be opened"
    # The key follows the link to the row that tells more.
    opened.run("document.querySelector('a.mark').focus()")
    shown = opened.run("getComputedStyle(document.querySelector('a.mark .sign')).strokeWidth")
    assert shown == "3px", "one sees where the focus is"
    opened.press("Enter")
    assert opened.run("location.hash") == "#event-1"
    assert "begins" in opened.run("document.querySelector(':target').innerText")


def test_a_screen_reader_finds_names_for_all(opened: browser.Browser, page: Path) -> None:
    opened.open(page.as_uri())
    tree = opened.tree()
    # Chromium calls the role `img` "image".
    images = {node["name"]: node["description"] for node in tree if node["role"] in ("image", "img")}
    assert any(name.startswith("Share of new sessions by version") for name in images), images
    assert any("version 2" in name + text and "50" in name + text for name, text in images.items()), images
    links = [node["name"] for node in tree if node["role"] in ("link", "SvgRoot link") or node["role"].endswith("link")]
    assert len(links) == opened.run("document.querySelectorAll('a.mark').length")
    assert all(name for name in links) and any("version 2 has settled" in name for name in links)
    headings = [node["name"] for node in tree if node["role"] == "heading"]
    assert headings[0] == "shop: release of version 2" and "What happened" in headings
    opened.run("document.querySelector('details').open = true")
    heads = [node["name"] for node in opened.tree() if node["role"] == "columnheader"]
    assert "version 2, live sessions" in heads and "begun" in heads


def test_it_prints_on_white(opened: browser.Browser, page: Path) -> None:
    opened.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    opened.open(page.as_uri())
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    opened.call("Emulation.setEmulatedMedia", media="", features=[])
