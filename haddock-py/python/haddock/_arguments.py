"""The named arguments of several verbs. Only for type checkers: nothing here is loaded when a program runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from ._given import Files, Texts
from ._progress import OnEvent
from ._values import Duration


class FileArguments(TypedDict, total=False):
    """The arguments that fill in a compose file."""

    tag: str | None
    images: Mapping[str, str] | None
    variables: Mapping[str, str] | None
    env_files: Files
    profiles: Texts


class ReleaseArguments(FileArguments, total=False):
    """The arguments of a release."""

    built: bool
    commit: str | None
    by: str | None
    force: bool
    timeout: Duration | None


class UpEventsArguments(FileArguments, total=False):
    """The arguments of `up_events`."""

    name: str | None
    only: Texts
    shared: bool
    take_over: bool
    built: bool
    pull: bool
    keep_on_failure: bool
    renew_anonymous_volumes: bool
    commit: str | None
    by: str | None


class UpArguments(UpEventsArguments, total=False):
    """The arguments of `up`."""

    timeout: Duration | None
    on_event: OnEvent


class UpLikeArguments(TypedDict, total=False):
    """The arguments of `up_like`."""

    name: str | None
    only: Texts
    keep_on_failure: bool
    by: str | None
    timeout: Duration | None
    on_event: OnEvent


class RecoverArguments(TypedDict, total=False):
    """The arguments of a recovery."""

    file: Files | None
    tag: str | None
    timeout: Duration | None


class PromoteArguments(TypedDict, total=False):
    """The arguments of a promotion."""

    by: str | None
    force: bool
    timeout: Duration | None
    on_event: OnEvent
