"""`haddock config`: the resolved compose file."""

from __future__ import annotations

import click

from haddock._cli import _common, _output, _settings
from haddock._cli._common import Settings, settings_of


@click.command(cls=_common.FileCommand)
@click.option("--format", "form", type=click.Choice(["yaml", "json"]),
              help="Print the resolved file as Compose prints it.")  # fmt: skip
@click.option("--values", is_flag=True, help="With --format, also print values of environment variables.")
@click.option("--release", is_flag=True, help="Check it for a release: the entry, and things that two versions cannot both have.")
@_common.options
@settings_of
def config(settings: Settings, form: str | None, values: bool, release: bool) -> int:
    """Show the resolved compose file: which components are versioned, which are shared, and why.

    It needs neither engine nor gateway. Values of environment variables are not shown. A text that contains a variable
    is shown as it is in the file.
    """
    if values and form is None:
        raise click.UsageError("--values belongs to --format")
    if form is not None:
        text = settings.config(release=release, values=values, yaml=form == "yaml")
        _output.line(text.rstrip("\n"))
        return 0
    environment = settings.resolve(release=release)
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

