"""`haddock rehearse`: how a release would go."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click

from haddock._cli import _common, _output, _page, _words
from haddock._cli._common import Settings, settings_of

if TYPE_CHECKING:
    from haddock import Rehearsal, TrafficMinute


def _share(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A part of all sessions, such as `2%` or `0.02`."""
    if value is not None:
        if value == "0":
            return "0%"
        number = value.removesuffix("%")
        if not number.replace(".", "", 1).isdigit():
            raise click.BadParameter(f"`{value}` is not a share; write a percentage such as `2%`")
        if value == number and float(number) >= 1:
            raise click.BadParameter(f"share `{value}` has no unit; write `{value}%`")
    return value


def _time(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone()
    except ValueError:
        raise click.BadParameter(f"`{value}` is no time; write it as 2026-11-24T10:00") from None


def _many_seconds(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(length for value in values if (length := _common.seconds(ctx, parameter, value)) is not None)


def traffic_options(function: Any) -> Any:
    """The options of the traffic and of what is wrong with the new version."""
    for option in reversed(TRAFFIC):
        function = option(function)
    return function


TRAFFIC = [
    click.option("--sessions-per-minute", metavar="R", type=click.FloatRange(min=0),
                 help="How many sessions begin in a minute, on average. Default: 10, or as in --sessions."),
    click.option("--stay", metavar="DURATION", callback=_common.seconds,
                 help="The time from a session's first request to its last, on average. Default: 10m, or as in --from."),
    click.option("--stay-spread", metavar="FACTOR", type=click.FloatRange(min=1, max=1000),
                 help="Half of the sessions stay for less than --stay, two thirds between --stay divided by this and times this. For people on websites, 3 to 5 is usual."),
    click.option("--sessions", metavar="FILE", type=click.Path(exists=True, dir_okay=False),
                 help="Recorded sessions: CSV with a column `duration` (seconds), and perhaps `begin` (as 2026-11-24T10:00:00Z)."),
    click.option("--error-rate", metavar="P", callback=_share,
                 help="The share of sessions that fail on the new version, such as `2%`. Default: as many as on the version before."),
    click.option("--base-error-rate", metavar="P", callback=_share,
                 help="The share of sessions that fail on the version before. Default: none."),
    click.option("--error-after", metavar="DURATION", default="0", callback=_common.seconds,
                 help="The errors begin so long after the start of an instance."),
    click.option("--error-path", metavar="P", callback=_share, help="Only this share of the sessions comes to the path that is broken."),
    click.option("--error-above", metavar="SESSIONS", default=0, type=click.IntRange(min=0),
                 help="Errors only while the instance has more live sessions than this."),
    click.option("--slow-rate", metavar="P", callback=_share,
                 help="The share of sessions with a slow request, by `x-haddock.guard.slow`."),
    click.option("--crash-after", metavar="DURATION", callback=_common.seconds, help="Each instance of the new version ends so long after its start."),
    click.option("--start", metavar="DURATION", default="10s", show_default=True, callback=_common.seconds,
                 help="How long an instance takes until it is ready."),
]  # fmt: skip


@click.command(cls=_common.FileCommand)
@click.option("--seeds", metavar="N", default=100, show_default=True, type=click.IntRange(min=1, max=1_000_000),
              help="How often it is rehearsed, each time with other chance.")  # fmt: skip
@click.option("--seed", metavar="S", default=1, show_default=True, type=click.IntRange(min=0, max=2**53),
              help="The first seed. The same seed has the same result.")  # fmt: skip
@traffic_options
@click.option("--again-after", metavar="DURATION", multiple=True, callback=_many_seconds,
              help="One more release, so long after the first. May be repeated.")  # fmt: skip
@click.option("--from", "begin", metavar="TIME", callback=_time,
              help="With the sessions that the gateway recorded since then, such as 2026-11-24T10:00. Local time, if there is no offset.")
@click.option("--at-most", metavar="DURATION", default="3d", show_default=True, callback=_common.seconds,
              help="A rehearsal ends after this time, even if the release is not over.")  # fmt: skip
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False), help="Also draw it, as one page of HTML.")
@click.option("--timeline", is_flag=True, help="Also show what happens with the first seed, line by line.")
@_common.options
@settings_of
def rehearse(
    settings: Settings, seeds: int, seed: int, timeline: bool, html: str | None, begin: datetime | None, **how: Any
) -> int:
    """Rehearse a release in virtual time: how long it takes, and whom it would harm.

    What decides is the code that decides a real release, with the settings of the compose file. Containers and sessions
    are simulated, so that a day takes less than a second. It needs neither engine nor gateway, and changes nothing. If
    there is no compose file, the default settings are rehearsed.

    Chance decides when people come and who meets an error. So the release is rehearsed many times, and the table shows
    what happened in most of them.
    """
    import haddock

    if html is not None:
        _page.check_folder(html, "--html")
    if begin is not None:
        how |= {"begin": begin, "recorded": _recorded(settings, begin, how["at_most"])}
    told = haddock.rehearse(
        settings.file, seeds=seeds, seed=seed, html=html is not None, **how, **settings.file_options()
    )
    if html is not None:
        _page.write(html, told.html or "")
    if settings.json:
        _output.json_line(figures(told))
        return 0
    show(told)
    if timeline:
        _output.line()
        _output.line(f"With seed {told.seed}, in which {told.sessions} sessions began:")
        for event in told.timeline:
            _output.line(f"{_words.exactly(round(event.at)):>10}  {event.message}")
    return 0


def _recorded(settings: Settings, begin: datetime, at_most: float) -> list[TrafficMinute]:
    """What was recorded from a day before, which is when the sessions of the begin may have begun."""
    import haddock

    end = min(begin + timedelta(seconds=at_most), datetime.now(timezone.utc))
    if end <= begin:
        raise click.BadParameter("that is in the future", param_hint="--from")
    with settings.look() as controller:
        name = settings.service(controller, None)
        found = controller.traffic(name, begin - timedelta(days=1), end)
    if not any(minute.minute >= begin for minute in found):
        error = haddock.NotFoundError(f"the gateway recorded no session of `{name}` since {begin.isoformat()}")
        error.hint = "it keeps the last 90 days; `--sessions-per-minute` rehearses with a model"
        raise error
    return found


def figures(told: Rehearsal) -> dict[str, Any]:
    """The figures of a rehearsal, for programs."""
    names = ("to_full_share", "to_gone", "sessions_harmed", "aborted", "false_aborts", "versions_at_once", "containers_at_once", "seeds", "seed")
    everything = told.to_dict()
    return {name: everything[name] for name in names}


def show(told: Rehearsal) -> None:
    """A table of a rehearsal, for people."""
    where = f"`{told.file}`" if told.file else "the default settings: there is no compose file here"
    times = "once" if told.seeds == 1 else f"{told.seeds} times"
    _output.line(f"release of `{told.service}`, rehearsed {times}, by {where}")
    _output.line()

    def row(title: str, figure: Any, text: Any) -> list[str]:
        return [title, *("never" if value is None else text(value) for value in (figure.p10, figure.p50, figure.p90))]

    _output.table(
        ["", "1 of 10 at most", "half at most", "9 of 10 at most"],
        [
            row("until the new version gets all new sessions", told.to_full_share, _words.length),
            row("until the version before is gone", told.to_gone, _words.length),
            row("sessions harmed", told.sessions_harmed, lambda value: f"{round(value)}"),
        ],
    )
    _output.line()
    _output.line(f"aborted: {_words.share(told.aborted)} of the releases, {_words.share(told.false_aborts)} although nothing was wrong")
    versions = _words.many(told.versions_at_once, "version")
    _output.line(f"at once at most: {versions}, {_words.many(told.containers_at_once, 'container')}")
