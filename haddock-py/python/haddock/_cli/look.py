"""`haddock status`, `haddock ps`: the state of services and instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from haddock._cli import _common, _follow, _output, _words, environment
from haddock._cli._common import Settings, settings_of

if TYPE_CHECKING:
    from haddock import InstanceStatus, Outlook, ServiceStatus


@click.command(cls=_common.Command)
@_common.service_argument
@_common.options
@settings_of
def status(settings: Settings, service: str | None) -> int:
    """Show a service: its release, its versions, its instances.

    For each share it shows the value that was asked for and the value in force at the gateway.
    """
    import haddock

    with settings.look() as controller:
        name = settings.service(controller, service)
        found = controller.status(name)
    if found is None:
        error = haddock.NothingToDoError(f"service `{name}` was never released")
        error.hint = f"release it with {settings.again('release')}"
        raise error
    if settings.json:
        _output.json_line(found.to_dict())
        return 0
    for text in _summary(found):
        _output.line(text)
    if found.versions:
        _output.line()
        _output.table(
            ["version", "images", "commit", "state", "asked", "in force", "sessions"], _versions(found)
        )
    if found.instances:
        _output.line()
        _output.table(TITLES, [_row(instance) for instance in found.instances])
    return 0


@click.command(cls=_common.Command)
@_common.service_argument
@click.option("--name", metavar="NAME", help="List the components of this environment, instead of instances.")
@_common.options
@settings_of
def ps(settings: Settings, service: str | None, name: str | None) -> int:
    """List the instances of a service, or of all services if none is named and no compose file is found."""
    import haddock

    if name is not None:
        return environment.components(settings, name)
    with settings.look() as controller:
        if service is None and settings.file is None:
            names = controller.services()
        else:
            names = [settings.service(controller, service)]
        found: list[ServiceStatus] = []
        unreadable = False
        for name in names:
            try:
                one = controller.status(name)
            except haddock.HaddockError as error:
                # What is wrong with one service hides no other.
                if len(names) == 1:
                    raise
                _output.note(f"warning: {error.message}")
                unreadable = True
            else:
                found += [] if one is None else [one]
    if settings.json:
        rows = [{"service": one.service, **instance.to_dict()} for one in found for instance in one.instances]
        _output.json_line({"instances": rows})
    else:
        lines = [[one.service, *_row(instance)] for one in found for instance in one.instances]
        _output.table(["service", *TITLES], lines)
    return 1 if unreadable else 0


TITLES = ["instance", "version", "phase", "for", "address", "share", "sessions", "in flight", "upgraded"]


def _row(instance: InstanceStatus) -> list[str]:
    phase = instance.phase
    if instance.external:
        phase += " (external)"
    if instance.failure:
        phase += f": {instance.failure}"
    return [
        instance.instance,
        str(instance.version),
        phase,
        _words.ago(instance.since),
        instance.address or "-",
        _words.share(instance.share_in_force),
        _words.count(instance.sessions),
        _words.count(instance.in_flight),
        _words.count(instance.upgraded),
    ]


def _summary(status: ServiceStatus) -> list[str]:
    good = "none yet" if status.known_good is None else f"version {status.known_good}"
    lines = [f"service     {status.service}", f"known good  {good}"]
    release = status.release
    if release is None:
        lines.append("release     none in progress")
    else:
        version = "" if release.version is None else f"version {release.version}, "
        stage = "" if release.stage is None else f", stage {release.stage + 1}"
        paused = ", paused" if release.paused else ""
        asked, force = _words.share(release.share), _words.share(release.share_in_force)
        lines.append(f"release     {version}{release.phase}{stage}{paused}, {asked} asked, {force} in force")
        if release.waits:
            lines.append(f"waits       {release.waits}")
        if release.error:
            lines.append(f"error       {release.error}")
    if status.follow is not None:
        lines += _outlook(status.follow)
    lines += _guard(status)
    if status.retiring is not None:
        lines.append(f"retired     by {status.retiring}, until nothing is left of it")
    lines += [f"drain       {text}" for text in _follow.Drains().lines(status)]
    lines += [f"            {text}" for instance in status.instances for text in _remaining(instance)]
    lines.append(f"acting      {status.acting or 'nobody'}")
    if status.ended is not None:
        ended = status.ended
        lines.append(f"ended       {ended.holder} acted until {_words.stamp(ended.at)}: {ended.error}")
    return lines


def _remaining(instance: InstanceStatus) -> list[str]:
    """What holds an instance that drains, and when that is over."""
    left = instance.remaining
    said = _application(instance)
    if left is None or not left.live:
        return said
    ends = ", ".join(f"{count} within {time}" for time, count in left.ends_within.items())
    lines = [f"{instance.instance}: of {_words.many(left.live, 'session')}, {ends} end if nobody comes back"]
    if left.ends_at is not None and left.least_recent is not None and left.most_recent is not None:
        used = f"{_words.ago(left.least_recent)} to {_words.ago(left.most_recent)}"
        lines.append(f"last used {used} ago; the last ends at {_words.stamp(left.ends_at)}")
    if left.busy:
        lines.append(f"{_words.many(left.busy, 'session')} with a request in flight or a WebSocket: they last as long as it does")
    if left.watched:
        lines.append(f"{_words.many(left.ended, 'session')} ended in the last {_words.length(left.watched)}")
    return lines + said


def _application(instance: InstanceStatus) -> list[str]:
    """What the application itself says of its sessions."""
    says = instance.application_sessions
    if says is None:
        return []
    if says.sessions is None:
        told = f"its application does not say how many sessions it has: {says.unknown}"
    else:
        told = f"its application has {_words.many(says.sessions, 'session')}"
    return [f"{instance.instance}: {told} ({_words.stamp(says.at)})"]


def _outlook(follow: Outlook) -> list[str]:
    """What comes next by itself."""
    lines = [f"follows     {follow.of}"]
    if follow.tag is not None or follow.waits is not None:
        waits = "" if follow.waits is None else f"waits: {follow.waits}"
        lines.append(f"next        {' '.join(part for part in (follow.tag, waits) if part)}")
    return lines


def _guard(status: ServiceStatus) -> list[str]:
    """What the guard sees, and how much longer it needs."""
    found = status.guard
    if found is None:
        return []
    told = "" if found.acts else " (only told)"
    lines = [f"guard       version {found.version} is {found.judgement.text}{told}"]
    if found.share_given is not None:
        given, asked = _words.share(found.share_given), _words.share(found.share_asked)
        lines.append(f"            it got {given} of the new sessions, asked {asked}; harmed so far: {found.harmed}")
    if found.differences:
        lines.append(f"            more fail with {', '.join(_difference(each) for each in found.differences)}")
    if found.judgement.finding == "not_enough":
        seen = found.smallest_visible
        visible = "no harm would be seen yet" if seen is None else f"{_words.share(seen)} more would be seen by now"
        needs = found.sessions_to_verdict
        if needs is None:
            more = "nobody can say how many sessions are needed"
        else:
            more = f"{_words.many(needs, 'more session')} to tell"
            if found.seconds_to_verdict is not None:
                more += f", some {_words.length(found.seconds_to_verdict)}"
        lines.append(f"            {visible}; {more}")
    return lines


def _difference(kind: dict[str, Any]) -> str:
    what = "no answer" if kind["status"] is None else str(kind["status"])
    if kind.get("slow"):
        what = "slow answers"
    return f"{what} at {kind['path']} ({kind['sessions']}, before {kind['baseline']})"


def _versions(status: ServiceStatus) -> list[list[str]]:
    rows: list[list[str]] = []
    for version in sorted(status.versions, key=lambda one: one.version, reverse=True):
        state = "known good" if version.version == status.known_good else version.verdict
        instances = [instance for instance in status.instances if instance.version == version.version]
        in_force = sum(instance.share_in_force or 0 for instance in instances)
        rows.append([
            str(version.version),
            ", ".join(dict.fromkeys(version.images.values())),
            (version.commit or "-")[:12],
            state,
            _words.share(version.share),
            _words.share(in_force),
            _words.count(version.sessions),
        ])  # fmt: skip
    return rows
