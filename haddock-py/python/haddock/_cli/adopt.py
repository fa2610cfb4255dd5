"""`haddock adopt`, `haddock recover`: take over what already runs."""

from __future__ import annotations

import click

from haddock._cli import _common, _output, _words
from haddock._cli._common import Settings, settings_of


@click.command(cls=_common.Command)
@click.argument("service", required=False, metavar="[SERVICE]")
@click.option("--address", required=True, metavar="HOST:PORT", callback=_common.address,
              help="The address of the server, as the gateway reaches it.")
@click.option("--idle", metavar="DURATION", callback=_common.seconds,
              help="When its idle sessions expire. Default: the compose file's `session.idle`.")
@click.option("--cookie", metavar="NAME", help="The server's session cookie. Default: any cookie that is not the gateway's.")
@_common.dry_run_option
@_common.options
@settings_of
def adopt(
    settings: Settings, service: str | None, address: str, idle: float | None, cookie: str | None, dry_run: bool
) -> int:
    """Make a running server the first instance of a service, with the sessions on it.

    It becomes the known good version. The next release drains it like any other. Haddock never starts or stops it. The
    history says when its last session has ended.
    """
    with settings.look() if dry_run else settings.connect() as controller:
        name = settings.service(controller, service)
        if dry_run:
            if settings.json:
                _output.json_line({"dry_run": True, "verb": "adopt", "service": name, "address": address})
            else:
                _output.line(f"would adopt {address} as an instance of `{name}`")
            return 0
        controller.adopt(
            name, address, file=settings.found_file(), tag=settings.tag, idle=idle, cookie=cookie, by=settings.by
        )
    if settings.json:
        _output.json_line({"kind": "done", "verb": "adopt", "service": name, "address": address})
        return 0
    _output.line(f"{address} is an instance of `{name}`, and takes its sessions through the gateway")
    _output.line("point clients at the gateway; the next release drains this server, and says when it is empty")
    return 0


@click.command(cls=_common.Command)
@_common.service_argument
@_common.dry_run_option
@_common.options
@settings_of
def recover(settings: Settings, service: str | None, dry_run: bool) -> int:
    """Rebuild a service's lost journal from the labels of its containers and from the gateway's table.

    The journal in the state directory has to be a new one. If the specifications beside it are lost too, give the
    compose file and the `--tag` that runs instead. Nothing is started or stopped. The history is lost.
    """
    with settings.look() if dry_run else settings.connect() as controller:
        name = settings.service(controller, service)
        if dry_run:
            steps = controller.recover(name, dry_run=True).steps
            if settings.json:
                _output.json_line({"dry_run": True, "verb": "recover", "service": name, "steps": steps})
                return 0
            _output.steps("a recovery, not carried out:", steps)
            return 0
        found = controller.recover(name, file=_file(settings), tag=settings.tag)
    if settings.json:
        _output.json_line(found.to_dict())
        return 0
    good = "none" if found.known_good is None else f"version {found.known_good}"
    _output.line(f"recovered `{name}`: {_words.many(len(found.instances), 'instance')}, known good: {good}")
    return 0


def _file(settings: Settings) -> str | None:
    # Without the tag that runs, a file does not say what runs.
    return settings.found_file() if settings.tag is not None or settings.file is not None else None
