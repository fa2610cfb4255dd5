"""The settings of a compose file as text for people, and warnings of settings that are probably wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from haddock._cli import _words

MINUTE, HOUR = 60.0, 3600.0


def seconds(value: Any) -> float | None:
    """A duration of `Environment.settings` in seconds: it is milliseconds there, or seconds and nanoseconds."""
    if value is None:
        return None
    if isinstance(value, dict):
        parts = cast("dict[str, int]", value)
        return parts["secs"] + parts["nanos"] / 1e9
    return float(value) / 1000


def rows(settings: dict[str, Any]) -> list[list[str]]:
    """A row for each setting, as the compose file has it."""
    entry, ready, session, release = (settings[key] for key in ("entry", "ready", "session", "release"))
    cut = seconds(release["drain"]["evict_after"])
    stages = release["ramp"]
    holds = list(dict.fromkeys(_length(stage["hold"]) for stage in stages[:-1]))
    return [
        ["entry", f"{entry['component']}:{entry['port']}"],
        ["ready", f"{ready['http'] or 'a TCP connection'}, within {_length(ready['within'])}"],
        ["session.idle", _length(session["idle"])],
        ["session.ignore", ", ".join(session["ignore"]) or "-"],
        *([f"session.{key}", text] for key, text in _application(session.get("application") or {})),
        *([f"session.{key}", text] for key, text in _cookie(session.get("cookie") or {})),
        ["release.replicas", str(release["replicas"])],
        ["release.ramp", _ramp(release)],
        ["release.every", "-" if release.get("auto") else ", ".join(holds) or "-"],
        ["release.settle", _length(release["settle"])],
        ["release.drain.evict_after", "never" if cut is None else _words.exactly(cut)],
        ["release.queue", str(release["queue"])],
        ["release.max_versions", str(release["max_versions"])],
        ["release.unresponsive_for", _length(release["unresponsive_for"])],
        *([f"guard.{key}", text] for key, text in _guard(release.get("guard") or {}, session)),
    ]


def _ramp(release: dict[str, Any]) -> str:
    auto = release.get("auto")
    if auto:
        return f"auto, harm_budget {auto['harm_budget']}"
    return ", ".join(_stage(stage) for stage in release["ramp"])


def _stage(stage: dict[str, Any]) -> str:
    after = stage.get("after")
    ends = [f"after {_words.many(after, 'session')}"] if after else []
    if stage.get("gate"):
        ends.append("gate: hold")
    share = _words.share(stage["share"] / 10_000)
    return f"{share} ({', '.join(ends)})" if ends else share


def _guard(guard: dict[str, Any], session: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings, if any differs from its default, and what counts as failed or slow, likewise."""
    if guard:
        yield "acts", "true" if guard["acts"] else "false"
        for key in ("false_alarm", "tolerate", "at_most"):
            yield key, _rate(guard[key])
    for key, value in (session.get("failed") or {}).items():
        yield f"failed.{key}", value if isinstance(value, str) else ", ".join(value) or "-"
    slow = seconds(session.get("slow"))
    if slow is not None:
        tolerated = f", tolerate {_rate(guard['tolerate_slow'])}" if guard else ""
        yield "slow", f"after {_words.exactly(slow)}{tolerated}"


def _application(cookie: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The application's cookie, if sessions are known by it."""
    if cookie:
        yield "cookie", cookie["name"]
        yield "cookie_mode", cookie["mode"]


def _cookie(cookie: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings that differ from the defaults."""
    for key in ("same_site", "domain", "path", "partitioned"):
        value = cookie.get(key)
        if value and value != "none":
            yield key, "true" if value is True else str(value)


def _rate(value: float) -> str:
    return f"{value * 100:g}%"


def _length(value: Any) -> str:
    return _words.exactly(seconds(value) or 0)


def odd(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that are probably wrong, and the fix of each."""
    session, release, ready = settings["session"], settings["release"], settings["ready"]
    idle = seconds(session["idle"]) or 0
    # People read a page for longer than a minute; servers keep sessions for less than a working day.
    if idle < MINUTE:
        yield (
            f"a session ends after {_words.exactly(idle)} without a request: people who read lose theirs",
            "set `session.idle` to the session timeout of the application, such as 30m",
        )
    if idle > 8 * HOUR:
        yield (
            f"a session ends only after {_words.exactly(idle)} without a request: each drain takes at least as long",
            "set `session.idle` to the session timeout of the application, or limit drains with `release.drain.evict_after`",
        )
    path = ready["http"]
    if path is not None and path not in session["ignore"]:
        yield (
            f"probes of `{path}` through the gateway would open sessions, and each would hold a drain up",
            f"add it to `session.ignore`: [{path}]",
        )
    cut = seconds(release["drain"]["evict_after"])
    if cut is not None and cut < idle:
        yield (
            f"a drain is cut after {_words.exactly(cut)}, before an idle session ends by itself",
            f"make `release.drain.evict_after` longer than `session.idle`, which is {_words.exactly(idle)}",
        )
