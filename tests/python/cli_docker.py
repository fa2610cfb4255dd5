"""The engine of the tests, images and binaries for it, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cli_site import ROOT, Site, site_in

TAGS = ("c1", "c2", "c3")
"""Images of the tests' own: those of examples come and go."""

LEDGER = """\
name: NAME
services:
  db:
    image: haddock-demo:c1
    environment: { VERSION: db, ROWS: /data/rows }
    expose: ["8080"]
    volumes: ["books:/data"]
    stop_grace_period: 2s
  web:
    image: "haddock-demo:${TAG}"
    environment: { STORE: "db:8080" }
    links: [db]
    expose: ["8080"]
    stop_grace_period: 2s
"""
"""The begin of a compose file: an application, and the database that all versions of it share; more components may follow."""


@cache
def answers() -> bool:
    """Whether an engine answers."""
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def required() -> None:
    """Skips the test where no engine answers; fails it where there has to be one."""
    if answers():
        return
    if os.environ.get("HADDOCK_TEST_REQUIRE"):
        pytest.fail("no Docker Engine answers, and HADDOCK_TEST_REQUIRE is set")
    warnings.warn("SKIPPED: no Docker Engine answers", stacklevel=2)
    pytest.skip("no Docker Engine answers")


@cache
def images() -> None:
    """Makes the demo application's images, once."""
    subprocess.run([ROOT / "examples/demo-app/images", *TAGS], check=True, stdout=subprocess.DEVNULL)


@cache
def program(name: str) -> Path:
    """A program of the examples, built once."""
    # As the workspace's other tests are built, so that nothing is compiled twice.
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--all-features", "--bin", name], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / name


@contextlib.contextmanager
def place(directory: Path, compose: str | None = None, **variables: str | None) -> Iterator[Site]:
    """A place on the engine, with a compose file and the demo application's images; nothing of it is left at the end."""
    required()
    images()
    with site_in(directory, **variables) as site:
        if compose is not None:
            (directory / "compose.yaml").write_text(compose)
        try:
            yield site
        finally:
            site.close()
            clean(site)


def journal_ids(site: Site) -> list[str]:
    """The ids that the site's journals label their containers with; a test may have lost one and made another."""
    ids: set[str] = set()
    for path in site.directory.glob("*/journal.db"):
        with contextlib.closing(sqlite3.connect(path)) as journal:
            # The file is there before its tables are.
            if journal.execute("PRAGMA user_version").fetchone()[0]:
                ids.add(str(journal.execute("SELECT id FROM journal").fetchone()[0]))
    return sorted(ids)


def containers(site: Site) -> list[str]:
    """The containers that carry the journal's label."""
    return listed(site, "ps", "--all")


def listed(site: Site, *words: str) -> list[str]:
    """The ids that `docker` answers with, of what carries the journal's label."""
    found: list[str] = []
    for journal in journal_ids(site) if answers() else []:
        told = subprocess.run(
            ["docker", *words, "--quiet", "--filter", f"label=haddock.journal={journal}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found += told.stdout.split()
    return found


def clean(site: Site) -> None:
    """Removes what the site's journals have on the engine, whatever became of the test."""
    found = containers(site)
    if found:
        subprocess.run(["docker", "rm", "--force", "--volumes", *found], check=True, stdout=subprocess.DEVNULL)
    for what in ("network", "volume"):
        found = listed(site, what, "ls")
        if found:
            subprocess.run(["docker", what, "rm", *found], check=True, stdout=subprocess.DEVNULL)


@cache
def image_with(name: str, *programs: str) -> str:
    """The demo application's image with programs of this machine beside it, and what they need."""
    images()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = subprocess.run(["docker", "create", "haddock-demo:c1"], capture_output=True, text=True, check=True)
        subprocess.run(["docker", "cp", f"{made.stdout.strip()}:/haddock-demo-app", root], check=True, capture_output=True)
        subprocess.run(["docker", "rm", made.stdout.strip()], check=True, capture_output=True)
        for program in programs:
            path = shutil.which(program)
            assert path is not None, program
            told = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
            needed = [word for line in told.splitlines() for word in line.split() if word.startswith("/")]
            for source, target in [(path, f"usr/bin/{program}"), *((it, it.lstrip("/")) for it in needed)]:
                there = root / target
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, there)
        packed = subprocess.run(["tar", "--create", "--directory", root, "."], capture_output=True, check=True)
        subprocess.run(
            ["docker", "import", "--change", 'ENTRYPOINT ["/haddock-demo-app"]', "--change", "ENV PATH=/usr/bin VERSION=c1",
             "--change", "EXPOSE 8080", "--change", "LABEL haddock.test=1", "-", name],
            input=packed.stdout, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return name


def image_with_getent() -> str:
    """The demo application with `getent` beside it, which looks names up as programs do."""
    return image_with("haddock-demo-getent:c1", "getent")


def image_with_shell() -> str:
    """The demo application with a shell beside it, and what a shell calls."""
    return image_with("haddock-demo-shell:c1", "sh", "cat", "seq", "stty", "sleep", "head")
