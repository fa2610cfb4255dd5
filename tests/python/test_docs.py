"""Every snippet of the user's pages is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cli_docker
from cli_site import ROOT, Running, Site, site_in
from doc_pages import Block, blocks, commands, matches

PAGES = sorted(path for path in (ROOT / "docs").glob("*.md"))
COMPOSE = """\
name: demo
services:
  web:
    image: "haddock-demo:${TAG}"
    expose: ["8080"]
x-haddock:
  session: { idle: 30m }
"""


def python_blocks(*words: str) -> list[Block]:
    pages = [*PAGES, ROOT / "README.md"]
    return [block for page in pages for block in blocks(page) if block.language == "python" and set(words) & set(block.words)]


@pytest.mark.parametrize("block", python_blocks("sim"), ids=str)
def test_python_on_the_simulation(block: Block, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    with site_in(tmp_path, HADDOCK_RUNTIME="sim") as site:
        done = subprocess.run(
            [sys.executable, "-c", block.text], cwd=tmp_path, env=site.env, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout, "a snippet that says nothing shows nothing"


@pytest.mark.parametrize("block", python_blocks("pytest"), ids=str)
def test_python_that_is_tests(block: Block, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "test_it.py").write_text(block.text)
    with site_in(tmp_path) as site:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"], cwd=tmp_path, env=site.env,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_no_python_is_left_out() -> None:
    for page in [*PAGES, ROOT / "README.md"]:
        for block in blocks(page):
            if block.language == "python":
                assert set(block.words) & {"sim", "pytest", "skip"}, f"{block}: how is it run?"


CONSOLE = [page for page in PAGES if any(block.language == "console" for block in blocks(page))]


def needs_docker(page: Path) -> bool:
    return any("docker" in block.words for block in blocks(page))


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem, marks=[pytest.mark.docker] if needs_docker(page) else []) for page in CONSOLE],
)
def test_console(page: Path, tmp_path: Path) -> None:
    """The page from its top to its end, on the engine."""
    if needs_docker(page):
        cli_docker.required()
        remove_images_of_pages()
    with site_in(tmp_path) as site:
        site.env["PATH"] = f"{Path(sys.executable).parent}:{site.env['PATH']}"
        (tmp_path / "examples").symlink_to(ROOT / "examples")
        try:
            for block in blocks(page):
                perform(block, site)
        finally:
            site.close()
            cli_docker.clean(site)
            if needs_docker(page):
                remove_images_of_pages()


def remove_images_of_pages() -> None:
    """Removes the images that a page builds, so that it finds none of an earlier run."""
    told = subprocess.run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "label=haddock.image.inputs"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if names := [name for name in told.stdout.split() if name.partition(":")[0] in ("base", "app")]:
        subprocess.run(["docker", "rmi", *names], check=True, capture_output=True)


def perform(block: Block, site: Site) -> None:
    if block.language in ("yaml", "dockerfile") and block.text.startswith("# "):
        file = site.directory / block.text.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text)
    if block.language != "console" or "skip" in block.words:
        return
    for command in commands(block):
        # Other tests may have the ports that the page names.
        words = with_ports(command.words.replace("localhost:8080", "127.0.0.1:8080"), site)
        says = [with_ports(line, site) for line in command.says]
        if "background" in block.words:
            running: Running = site.beside(["bash", "-c", f"exec {words}"])
            for line in says:
                running.says(line)
            continue
        done = subprocess.run(["bash", "-c", words], cwd=site.directory, env=site.env, capture_output=True, text=True,
                              timeout=300, check=False)  # fmt: skip
        assert done.returncode == 0, f"{block}: $ {words}\n{done.stdout}{done.stderr}"
        assert matches(done.stdout, says), f"{block}: $ {words}\n{done.stdout}\n  is not\n" + "\n".join(says)


def with_ports(line: str, site: Site) -> str:
    return line.replace("127.0.0.1:8080", f"127.0.0.1:{site.listen}").replace("127.0.0.1:8081", f"127.0.0.1:{site.admin}")
