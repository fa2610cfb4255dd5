"""Releases in virtual time: how a release would go, before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from . import _native
from ._bridge import Asked
from ._given import Files, Texts, date_time, optional_path, options_of, path_of, whole
from ._result import Result
from ._values import optional_seconds, seconds

if TYPE_CHECKING:
    from datetime import datetime

    from ._given import Path
    from ._results import TrafficMinute
    from ._values import Duration

Rate = Union[float, str]
"""A part of all sessions: a number from 0 to 1, or a text such as `"2%"`."""


@dataclass(frozen=True)
class Quantiles(Result):
    """A figure over all seeds. `None`: it never happened in so many of them."""

    p10: float | None
    """One of ten is at most this."""
    p50: float | None
    """Half of them are at most this."""
    p90: float | None
    """Nine of ten are at most this."""


@dataclass(frozen=True)
class RehearsedEvent(Result):
    """Something that happened in the rehearsal with the first seed."""

    at: float
    """When, in seconds since the release was asked for."""
    message: str
    """What, in one line for people."""


@dataclass(frozen=True)
class Rehearsal(Result):
    """How a release would go. With several releases in a rehearsal, each of them counts."""

    service: str
    """The service."""
    file: str | None
    """The compose file; `None`: there is none, and the default settings were rehearsed."""
    seeds: int
    """How often it was rehearsed."""
    seed: int
    """The first seed; the others follow."""
    to_full_share: Quantiles
    """Seconds until all new sessions went to the new version."""
    to_gone: Quantiles
    """Seconds until no older version was left."""
    sessions_harmed: Quantiles
    """Sessions that failed or were lost, and would not have been on the version before."""
    aborted: float
    """The share of releases that were aborted, 0 to 1."""
    false_aborts: float
    """The share of releases that were aborted although nothing was wrong with them, 0 to 1."""
    versions_at_once: int
    """The most versions that ran at the same time."""
    containers_at_once: int
    """The most containers that ran at the same time, with those that versions share."""
    sessions: int
    """The sessions that began in the rehearsal with the first seed."""
    timeline: tuple[RehearsedEvent, ...]
    """What happened in the rehearsal with the first seed, at most 1000 lines."""
    html: str | None = None
    """The same drawn as one page of HTML, if it was asked for: shares and live sessions over time, and the figures."""

    @staticmethod
    def _of(told: Mapping[str, Any]) -> Rehearsal:
        summary = dict(told["summary"])
        for name in ("to_full_share", "to_gone", "sessions_harmed"):
            summary[name] = Quantiles(**summary[name])
        timeline = tuple(RehearsedEvent(at, message) for at, message in told["timeline"])
        return Rehearsal(
            service=told["service"], file=told["file"], sessions=told["sessions"], timeline=timeline, html=told["html"], **summary
        )  # fmt: skip


def rehearse(
    file: Files | None = None,
    *,
    seeds: int = 100,
    seed: int = 1,
    sessions_per_minute: float | None = None,
    stay: Duration | None = None,
    stay_spread: float | None = None,
    sessions: Path | None = None,
    recorded: Sequence[TrafficMinute] = (),
    begin: datetime | None = None,
    error_rate: Rate | None = None,
    base_error_rate: Rate | None = None,
    error_after: Duration = 0,
    error_path: Rate | None = None,
    error_above: int = 0,
    slow_rate: Rate | None = None,
    crash_after: Duration | None = None,
    start: Duration = "10s",
    again_after: Sequence[Duration] = (),
    at_most: Duration = "3d",
    html: bool = False,
    tag: str | None = None,
    images: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    env_files: Files = (),
    profiles: Texts = (),
    timeout: Duration | None = None,
) -> Rehearsal:
    """Rehearses a release of what the compose file describes, in virtual time. It needs no engine and changes nothing.

    Everything that decides is the code that decides a real release. Around it, containers and sessions are simulated. If
    no file is named or found, a service with the default settings is rehearsed.

    Traffic: `sessions_per_minute` begin by chance (default: 10), and stay for `stay` on average (default: ten minutes, or as recorded). With `stay_spread`, half
    of them stay for less than `stay`, and two thirds between `stay / stay_spread` and `stay * stay_spread`. `sessions` is a
    CSV file with a column `duration`, and perhaps `begin`, of recorded sessions. `recorded` is what `Controller.traffic` says
    of the own service; the rehearsal then begins at `begin`.

    What is wrong with the new version: `error_rate` is the share of sessions that fail on it, and `base_error_rate` that on
    the version before. The errors begin `error_after` the start of an instance, meet only the share `error_path` of all
    sessions, and only while the instance has more than `error_above` sessions. `slow_rate` is the share of sessions with a
    slow request. Each instance ends by itself after `crash_after`. It takes `start` to become ready.

    `again_after`: more releases, each so long after the first. A rehearsal ends when only one version is left, or after
    `at_most`. The same `seed` has the same result. With `html`, the result has a page for people.

    >>> told = haddock.rehearse("compose.yaml", seeds=20, error_rate="20%")
    >>> told.aborted
    1.0
    """
    wanted = _wanted(
        seeds, seed, sessions_per_minute, stay, stay_spread, sessions, recorded, begin, error_rate, base_error_rate, error_after,
        error_path, error_above, slow_rate, crash_after, start, again_after, at_most, html,
    )  # fmt: skip
    return _rehearse(file, options_of(tag, images, variables, env_files, profiles), wanted).wait(timeout)


async def rehearse_async(
    file: Files | None = None,
    *,
    seeds: int = 100,
    seed: int = 1,
    sessions_per_minute: float | None = None,
    stay: Duration | None = None,
    stay_spread: float | None = None,
    sessions: Path | None = None,
    recorded: Sequence[TrafficMinute] = (),
    begin: datetime | None = None,
    error_rate: Rate | None = None,
    base_error_rate: Rate | None = None,
    error_after: Duration = 0,
    error_path: Rate | None = None,
    error_above: int = 0,
    slow_rate: Rate | None = None,
    crash_after: Duration | None = None,
    start: Duration = "10s",
    again_after: Sequence[Duration] = (),
    at_most: Duration = "3d",
    html: bool = False,
    tag: str | None = None,
    images: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    env_files: Files = (),
    profiles: Texts = (),
    timeout: Duration | None = None,
) -> Rehearsal:
    """As `rehearse`, in the running loop."""
    wanted = _wanted(
        seeds, seed, sessions_per_minute, stay, stay_spread, sessions, recorded, begin, error_rate, base_error_rate, error_after,
        error_path, error_above, slow_rate, crash_after, start, again_after, at_most, html,
    )  # fmt: skip
    return await _rehearse(file, options_of(tag, images, variables, env_files, profiles), wanted).wait_async(timeout)


def _rehearse(file: Files | None, options: dict[str, Any], wanted: dict[str, Any]) -> Asked[Rehearsal]:
    return Asked("rehearse", _native.rehearse(path_of(file), options, wanted), Rehearsal._of)  # pyright: ignore[reportPrivateUsage]


def _wanted(
    seeds: int,
    seed: int,
    sessions_per_minute: float | None,
    stay: Duration | None,
    stay_spread: float | None,
    sessions: Path | None,
    recorded: Sequence[TrafficMinute],
    begin: datetime | None,
    error_rate: Rate | None,
    base_error_rate: Rate | None,
    error_after: Duration,
    error_path: Rate | None,
    error_above: int,
    slow_rate: Rate | None,
    crash_after: Duration | None,
    start: Duration,
    again_after: Sequence[Duration],
    at_most: Duration,
    html: bool,
) -> dict[str, Any]:
    return {
        "seeds": whole(seeds, "seeds"),
        "seed": whole(seed, "seed"),
        "sessions_per_minute": _optional_number(sessions_per_minute, "sessions_per_minute"),
        "stay": optional_seconds(stay, "stay"),
        "stay_spread": _optional_number(stay_spread, "stay_spread"),
        "sessions": optional_path(sessions, "sessions"),
        "minutes": [minute._plain() for minute in recorded],  # pyright: ignore[reportPrivateUsage]
        "begin": None if begin is None else date_time(begin, "begin"),
        "error_rate": _optional_rate(error_rate, "error_rate"),
        "base_error_rate": _optional_rate(base_error_rate, "base_error_rate"),
        "error_after": seconds(error_after, "error_after"),
        "error_path": _optional_rate(error_path, "error_path"),
        "error_above": whole(error_above, "error_above"),
        "slow_rate": _optional_rate(slow_rate, "slow_rate"),
        "crash_after": optional_seconds(crash_after, "crash_after"),
        "start": seconds(start, "start"),
        "again_after": [seconds(each, "again_after") for each in again_after],
        "at_most": seconds(at_most, "at_most"),
        "html": bool(html),
    }


def _optional_number(value: Any, parameter: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{parameter}` takes a number, not `{type(value).__name__}`")
    return float(value)


def _optional_rate(value: Any, parameter: str) -> float | str | None:
    if isinstance(value, str):
        return value
    return _optional_number(value, parameter)
