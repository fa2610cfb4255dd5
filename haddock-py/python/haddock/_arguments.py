"""The named arguments that several verbs take. For type checkers alone: nothing here is loaded when a program runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from ._given import Files, Texts
from ._progress import OnEvent
from ._values import Duration


class FileArguments(TypedDict, total=False):
    """What fills a compose file in."""

    tag: str | None
    images: Mapping[str, str] | None
    variables: Mapping[str, str] | None
    env_files: Files
    profiles: Texts


class ReleaseArguments(FileArguments, total=False):
    """What is said about a release."""

    commit: str | None
    by: str | None
    force: bool
    timeout: Duration | None


class UpEventsArguments(FileArguments, total=False):
    """What is said about an environment that is brought up, and whose events are read."""

    name: str | None
    only: Texts
    shared: bool
    take_over: bool
    pull: bool
    keep_on_failure: bool
    renew_anonymous_volumes: bool
    commit: str | None
    by: str | None


class UpArguments(UpEventsArguments, total=False):
    """What is said about an environment that is brought up."""

    timeout: Duration | None
    on_event: OnEvent


class UpLikeArguments(TypedDict, total=False):
    """What is said about an environment like a version."""

    name: str | None
    only: Texts
    keep_on_failure: bool
    by: str | None
    timeout: Duration | None
    on_event: OnEvent


class RecoverArguments(TypedDict, total=False):
    """What is said about a recovery."""

    file: Files | None
    tag: str | None
    timeout: Duration | None


class PromoteArguments(TypedDict, total=False):
    """What is said about a promotion."""

    by: str | None
    force: bool
    timeout: Duration | None
    on_event: OnEvent
