"""Checks arguments where they come in, with a `TypeError` that names the parameter and says what it takes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Union, cast

Path = Union[str, os.PathLike[str]]
"""A path."""
Files = Union[str, os.PathLike[str], Iterable[Path]]
"""A path, or several."""
Texts = Union[str, Iterable[str]]
"""A text, or several."""


def text(value: Any, parameter: str) -> str:
    """A string. A wrong value is not shown, because it may be a secret."""
    if isinstance(value, str):
        return value
    hint = ": write it in quotes" if isinstance(value, (int, float)) else ""
    raise TypeError(f"`{parameter}` takes a text, not {_kind(value)}{hint}")


def optional_text(value: Any, parameter: str) -> str | None:
    """A text, if there is one."""
    return None if value is None else text(value, parameter)


def whole(value: Any, parameter: str) -> int:
    """A whole number, from 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{parameter}` takes a whole number, not {_kind(value)}")
    if value < 0:
        from ._errors import InvalidValueError

        raise InvalidValueError(f"`{parameter}` is {value}, which is less than 0", hint="give a number from 0")
    return value


def optional_whole(value: Any, parameter: str) -> int | None:
    """A whole number, if there is one."""
    return None if value is None else whole(value, parameter)


def date_time(value: Any, parameter: str) -> int:
    """A date and time with its time zone, as milliseconds since the Unix epoch."""
    if not isinstance(value, datetime):
        raise TypeError(f"`{parameter}` takes a datetime, not {_kind(value)}")
    if value.utcoffset() is None:
        from ._errors import InvalidValueError

        hint = "add one, such as `tzinfo=timezone.utc`"
        raise InvalidValueError(f"`{parameter}` is {value}, which has no time zone", hint=hint)
    from ._values import millis

    return millis(value)


def flag(value: Any, parameter: str) -> bool:
    """Yes or no."""
    if isinstance(value, bool):
        return value
    raise TypeError(f"`{parameter}` takes True or False, not {_kind(value)}")


def names(value: Any, parameter: str) -> list[str]:
    """Names, or a single one."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable) or isinstance(value, (bytes, bytearray)):
        raise TypeError(f"`{parameter}` takes a text, or several in a list, not {_kind(value)}")
    each = cast("Iterable[Any]", value)
    return [text(name, f"{parameter}[{place}]") for place, name in enumerate(each)]


def command(value: Any, parameter: str) -> list[str]:
    """The words of a command: a list of them, or a command line that is split as a shell does it."""
    if not isinstance(value, str):
        words = names(value, parameter)
    else:
        try:
            words = shlex.split(value)
        except ValueError as error:
            from ._errors import InvalidValueError

            what = f"the command line in `{parameter}` cannot be split: {str(error).lower()}"
            raise InvalidValueError(what, hint="give the command as a list of its words") from None
    if not words:
        from ._errors import InvalidValueError

        raise InvalidValueError(f"the command in `{parameter}` is empty", hint="name the program to run")
    return words


def path(value: Any, parameter: str) -> str:
    """A path, as a text."""
    if isinstance(value, str):
        return value
    found: Any = os.fspath(cast("os.PathLike[Any]", value)) if isinstance(value, os.PathLike) else value
    if not isinstance(found, str):
        raise TypeError(f"`{parameter}` takes a path, not {_kind(value)}")
    return found


def optional_path(value: Any, parameter: str) -> str | None:
    """A path, if there is one."""
    return None if value is None else path(value, parameter)


def paths(value: Any, parameter: str) -> list[str]:
    """Paths, or a single one."""
    if isinstance(value, (str, os.PathLike)):
        return [path(value, parameter)]
    if not isinstance(value, Iterable) or isinstance(value, (bytes, bytearray)):
        raise TypeError(f"`{parameter}` takes a path, or several in a list, not {_kind(value)}")
    each = cast("Iterable[Any]", value)
    return [path(one, f"{parameter}[{place}]") for place, one in enumerate(each)]


def path_of(file: Files | None) -> list[str] | None:
    """The compose file, or the files; `None`: the one that Compose would find."""
    return None if file is None else paths(file, "file")


def mapping(value: Any, parameter: str) -> Mapping[str, Any]:
    """Things by name."""
    if not isinstance(value, Mapping):
        raise TypeError(f"`{parameter}` takes a dict, not {_kind(value)}")
    named = cast("Mapping[Any, Any]", value)
    for name in named:
        text(name, f"a key of {parameter}")
    return named


def texts_by_name(value: Any, parameter: str) -> dict[str, str]:
    """Texts by name; of `None`, none."""
    if value is None:
        return {}
    return {name: text(each, f'{parameter}["{name}"]') for name, each in mapping(value, parameter).items()}


def options_of(
    tag: str | None = None,
    images: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    env_files: Files = (),
    profiles: Texts = (),
    built: bool = False,
) -> dict[str, Any]:
    """What fills a compose file in."""
    return {
        "tag": optional_text(tag, "tag"),
        "images": texts_by_name(images, "images"),
        "variables": texts_by_name(variables, "variables"),
        "env_files": paths(env_files, "env_files"),
        "profiles": set(names(profiles, "profiles")),
        "built": flag(built, "built"),
    }


def _kind(value: Any) -> str:
    return "None" if value is None else f"`{type(value).__name__}`"
