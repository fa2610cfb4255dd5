"""A state directory is copied while Haddock runs, and put back, with the commands of the page."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import haddock
from cli_site import ROOT, Site, site_in, until
from doc_pages import blocks, commands

COMPOSE = """\
name: shop
services:
  web: { image: "demo:${TAG}", expose: ["8080"] }
x-haddock:
  entry: web:8080
  session: { idle: 2s }
  release: { ramp: [100%], settle: 1s }
"""


def of_the_page(title: str, site: Site) -> None:
    """Runs what the first block below a heading says, but for the units."""
    page = ROOT / "docs" / "operations.md"
    line = page.read_text().split(f"\n## {title}\n")[0].count("\n")
    block = next(it for it in blocks(page) if it.line > line and it.language == "console")
    for command in commands(block):
        words = command.words.replace("/var/lib/haddock", str(site.state)).replace("/backup", str(site.directory / "backup"))
        if not words.startswith("systemctl"):
            subprocess.run(["bash", "-c", words], check=True)


def test_a_copy_is_put_back_and_sessions_go_on(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    with site_in(tmp_path, HADDOCK_RUNTIME="process") as site:
        app = [sys.executable, str(Path(__file__).with_name("toy_app.py"))]
        haddock.Process(site.state / "process", images={f"demo:{tag}": [*app, tag] for tag in ("v1", "v2")})
        serve = site.start("serve")
        serve.says("controller: ")
        site.ok("release", "--tag", "v1")
        answer, cookie = site.get()
        of_the_page("Backup", site)
        serve.send(signal.SIGTERM)
        assert serve.ends() == 0, serve.text
        (tmp_path / "backup" / "haddock" / "gateway" / "sessions-shop").touch()
        of_the_page("Restore", site)
        assert (site.state / "gateway").stat().st_mode & 0o777 == 0o700
        assert not (site.state / "journal.db-wal").exists(), "nothing of before is left"
        assert not list((site.state / "gateway").glob("sessions-*")), "an old log of sessions would be believed"
        site.start("serve").says("controller: ")
        again, _ = site.get(cookie=cookie)
        assert (again["session"], again["count"]) == (answer["session"], answer["count"] + 1)
        # It is a journal to go on with.
        site.ok("release", "--tag", "v2", "--wait", "gone")
        assert site.get()[0]["version"] == "v2"
        until("it is gone", lambda: site.ok("retire", "shop"))
