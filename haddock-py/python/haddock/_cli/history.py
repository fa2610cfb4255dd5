"""`haddock history`: what happened."""

from __future__ import annotations

import signal
from typing import cast

import click

from haddock._cli import _common, _follow, _output, _words
from haddock._cli._common import Settings, settings_of
from haddock._cli._errors import Stopped


@click.command(cls=_common.Command)
@_common.service_argument
@click.option("--name", metavar="NAME", help="Show the history of this test environment, instead of a service.")
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="SEQUENCE", help="Only events after this one.")
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="NUMBER", help="Only the last events, this many.")
@click.option("--follow", is_flag=True, help="Go on with new events, until Ctrl-C.")
@_common.options
@settings_of
def history(
    settings: Settings, service: str | None, name: str | None, since: int, limit: int | None, follow: bool
) -> int:
    """Show the events of a service: when, what, with which images and commit, and who asked for it.

    With `--name`, it shows what was done with a test environment, even if it is gone. With `--json`, it prints one
    event a line.
    """
    import haddock

    if name is not None:
        if service is not None or follow or since:
            raise click.UsageError("--name shows an environment: with it, only --limit and --json have an effect")
        return _environment(settings, name, limit)

    with settings.look() as controller:
        name = settings.service(controller, service)
        events = controller.history(name, since=since)
        if not events and not follow and controller.status(name) is None:
            raise haddock.NothingToDoError(f"service `{name}` was never released")
        shown: _follow.Show = _follow.Json() if settings.json else Lines()
        for event in events[-limit:] if limit else events:
            shown.event(event)
        if follow:
            last = events[-1].sequence if events else since
            try:
                _follow.run(_follow.history(controller, name, shown, last, lambda _event: False))
            except Stopped as stopped:
                # It is how following ends.
                return 0 if stopped.number == signal.SIGINT else stopped.code
    return 0


def _environment(settings: Settings, name: str, limit: int | None) -> int:
    import haddock

    with settings.look() as controller:
        events = controller.environment_history(name)
    if not events:
        raise haddock.NothingToDoError(f"there never was an environment `{name}`")
    for event in events[-limit:] if limit else events:
        if settings.json:
            _output.json_line({"name": name, **event.to_dict()})
            continue
        commit = f", commit {event.commit[:18]}" if event.commit else ""
        failed = f": failed: {event.error}" if event.error else ""
        _output.line(f"{_words.stamp(event.at)}  {event.action} by {event.by or 'somebody'}{commit}{failed}")
        for change in event.changes:
            _output.line(f"    {change}")
    return 0


class Lines(_follow.Plain):
    """One event a line, with what was released and by whom."""

    def event(self, event: object) -> None:
        from haddock import Event

        assert isinstance(event, Event)
        _output.line(f"{event.sequence:>5}  {_words.stamp(event.at)}  {event.message}{_details(event.data, event.message)}")

    def status(self, status: object, at: float) -> None:
        pass


def _details(data: dict[str, object], message: str) -> str:
    """What the message leaves out of who, images and commit."""
    parts: list[str] = []
    images = data.get("images")
    if isinstance(images, dict):
        named = cast("dict[str, str]", images)
        parts += [image for image in named.values() if image not in message]
    for key, words in (("commit", "commit {}"), ("by", "by {}")):
        value = data.get(key)
        if value and str(value) not in message:
            parts.append(words.format(value))
    return f" ({', '.join(parts)})" if parts else ""
