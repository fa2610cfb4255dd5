"""The examples' client as a process: many sessions, never a retry, and a summary of what happened to them."""

from __future__ import annotations

import json
from typing import Any

from cli_docker import program
from cli_site import PATIENCE, Site, until


class Load:
    """Sessions that are kept on a service."""

    def __init__(self, site: Site, sessions: int = 40, **options: float) -> None:
        words = [str(program("demo-client")), f"--target=127.0.0.1:{site.listen}", f"--sessions={sessions}"]
        words += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.site = site
        self.running = site.beside(words)
        until(f"{sessions} sessions", lambda: (self.report() or {}).get("sessions", 0) >= sessions)

    def report(self) -> dict[str, Any] | None:
        """The newest report."""
        lines = list(self.running.lines)
        return json.loads(lines[-1]) if lines else None

    def on(self, version: str) -> int:
        """The sessions that are on that version now."""
        return int((self.report() or {}).get("sessions_by_version", {}).get(version, 0))

    def tell(self, **command: Any) -> None:
        """Tells the client something, such as `leave="v1", over=2`."""
        stdin = self.running.process.stdin
        assert stdin is not None
        stdin.write(json.dumps(command) + "\n")
        stdin.flush()

    def stop(self) -> dict[str, Any]:
        """All sessions leave; the summary."""
        self.tell(stop=True)
        self.running.ends(PATIENCE)
        return json.loads(self.running.lines[-1])


def assert_clean(summary: dict[str, Any]) -> None:
    """Nothing failed, nothing was lost or moved."""
    assert summary["requests"] > 0
    wrong = {key: summary[key] for key in ("failed", "lost", "moved", "lapsed") if summary[key]}
    assert not wrong, json.dumps(summary, indent=1)
