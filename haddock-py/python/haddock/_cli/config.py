"""`haddock config`: the resolved compose file."""

from __future__ import annotations

import click

from haddock._cli import _common, _output, _settings
from haddock._cli._common import Settings, settings_of


@click.command(cls=_common.FileCommand)
@_common.options
@settings_of
def config(settings: Settings) -> int:
    """Show the resolved compose file: which components are versioned, which are shared, and why.

    It needs neither engine nor gateway. Values of environment variables are not shown.
    """
    environment = settings.resolve()
    if settings.json:
        _output.json_line(environment.to_dict())
        return 0
    _output.line(f"service  {environment.service}")
    _output.line()
    rows = [
        [each.name, each.image, "versioned" if each.versioned else "shared", each.reason.partition(": ")[2] or each.reason]
        for each in environment.components
    ]
    _output.table(["component", "image", "is", "because"], rows)
    if environment.settings is not None:
        _output.line()
        _output.table(["setting", "value"], _settings.rows(environment.settings))
    for note in environment.notes:
        _output.line()
        _output.line(f"note: {note}")
    return 0

