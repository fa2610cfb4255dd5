"""A page of HTML as a file."""

from __future__ import annotations

import os
from pathlib import Path

import click


def check_folder(file: str, option: str) -> None:
    """Refuses a file whose folder does not exist, before anything is done."""
    folder = Path(file).absolute().parent
    if not folder.is_dir():
        raise click.BadParameter(f"`{Path(file).parent}` is no folder", param_hint=option)


def write(file: str, page: str) -> None:
    """Beside it and then renamed: whoever looks has the old page or the new one. A link or a device is written to as it
    is."""
    path = Path(file)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(page, encoding="utf-8")
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
