"""What all results have in common: they are frozen typed objects with `to_dict()`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, cast

from ._errors import HaddockError
from ._values import Address


def plain(value: Any) -> Any:
    """The values of results as plain data."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, HaddockError):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    return value


def changed(data: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    """The data with other values."""
    return {**data, **values}


class Documented(type):
    """Lets `help()` show the text below each attribute of a class. The text is read only when needed."""

    @property
    def __doc__(cls) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        own = cls.__dict__.get("__doc__")
        # The dataclass decorator asks for it before there are arguments to match.
        if own is None or "__match_args__" not in cls.__dict__:
            return own
        from ._attributes import attributes

        told = attributes(cls)
        return f"{own.rstrip()}\n\n    Attributes:\n{told}" if told else own


class Result(metaclass=Documented):
    """The base class of all results."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data, ready for JSON. Points in time are ISO 8601 texts."""
        return plain(self)
