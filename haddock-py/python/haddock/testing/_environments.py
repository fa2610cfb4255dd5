"""Environments as fixtures for pytest: up before the tests, down after them, with logs if a test fails."""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from .._environments import claim, unclaim
from .._errors import HaddockError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from os import PathLike

    from .._arguments import FileArguments, UpArguments
    from .._controller import Controller
    from .._environments import Environment
    from .._given import Texts

Scope = Literal["session", "package", "module", "class", "function"]
Section = tuple[str, str]
"""A part of a test's report: its title, and its text."""

_LINES = 50
"""How many lines of each component's log the report of a failed test has."""


@dataclass
class _Up:
    """The environment of a fixture, while it is up."""

    environment: Environment
    stays: bool
    """Whether it is kept if a test that used it has failed."""
    failed: bool = False
    """Whether a test that used it has failed."""


_up: list[_Up] = []
_failed: list[tuple[HaddockError, list[Section]]] = []
"""The logs of environments that did not come up, by the error."""


def environment_fixture(
    file: str | PathLike[str] | None = None,
    *,
    scope: Scope = "session",
    name: str | None = None,
    reuse: bool = False,
    keep_on_failure: bool = False,
    only: Texts = (),
    tag: str | None = None,
    images: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    profiles: Texts = (),
    volumes: bool = True,
    connect: Mapping[str, Any] | None = None,
) -> Callable[..., Environment]:
    """A fixture that brings an environment up for its scope, and takes it down in any case.

    Its name is `PROJECT-test-RANDOM`, so no person and no other test run uses it. At the end it is removed, with its
    volumes unless `volumes=False`. `name` gives it another name. Then an environment of that name that was there before
    the test run is used, and is kept. Volumes of an earlier one are kept too.

    `reuse` is for a quick start: the environment is called `PROJECT-test` and is never taken down, so the next run uses
    it again, with its data. With `keep_on_failure` it is kept if a test that used it has failed. With several
    `pytest-xdist` workers, a `name` and the name of `reuse` end in the worker's number.

    `connect` has the arguments of `haddock.connect`; the rest is as in `Controller.up`. `haddock prune --idle` removes
    what a killed test run has left behind. If a test fails, its report has the end of each component's log in the
    environments that it uses.

        database = haddock.testing.environment_fixture("compose.yaml", only=["oracle"])

        def test_books(database):
            connect_to(database.address("oracle", 1521))
    """
    given: FileArguments = {"tag": tag, "images": images, "variables": variables, "profiles": profiles}

    def up(request: pytest.FixtureRequest) -> Iterator[Environment]:
        import haddock

        with haddock.connect(**(connect or {})) as h:
            called = name or f"{h.resolve(file, release=False, **given).service}-test"
            if not (name or reuse):
                called = f"{called}-{secrets.token_hex(4)}"
            elif (worker := getattr(request.config, "workerinput", {}).get("workerid")) is not None:
                called = f"{called}-{worker}"
            before = h.down(called, volumes=True, dry_run=True)
            how: UpArguments = {**given, "name": called, "only": only, "keep_on_failure": keep_on_failure}
            if reuse or before.changes:
                with _in_use(_brought_up(h, file, called, how)) as used:
                    yield used.environment
                return
            stays = keep_on_failure
            claim(h._native.environments(), called)
            try:
                # A failed environment is kept for a moment, for its logs.
                with _in_use(_brought_up(h, file, called, {**how, "keep_on_failure": True}), keep_on_failure) as used:
                    yield used.environment
                stays = used.stays and used.failed
            finally:
                if not stays:
                    h.down(called, volumes=volumes and not before.volumes)
                unclaim(called)

    return pytest.fixture(scope=scope)(up)


def _brought_up(h: Controller, file: str | PathLike[str] | None, name: str, how: UpArguments) -> Environment:
    """Brings it up. If that fails, its logs are kept for the tests' reports."""
    try:
        return h.up(file, dry_run=False, **how)
    except HaddockError as error:
        with suppress(HaddockError):
            _failed.append((error, _logs_of(h.environment(name))))
        raise


@contextmanager
def _in_use(environment: Environment, stays: bool = False) -> Generator[_Up]:
    used = _Up(environment, stays)
    _up.append(used)
    try:
        yield used
    finally:
        _up.remove(used)


def report(report: pytest.TestReport, item: pytest.Item, raised: BaseException | None) -> None:
    """Adds the ends of the logs to the report of a failed test, for the environments that it used."""
    while raised is not None:
        for error, sections in _failed:
            if error is raised:
                # This environment did not come up, so the logs of the others do not matter.
                report.sections += sections
                return
        raised = raised.__cause__ or raised.__context__
    for used in _used_by(item):
        used.failed = True
        report.sections += _logs_of(used.environment)
        if used.stays:
            name = used.environment.name
            look = f"look at it with `haddock show --name {name}`, and end it with `haddock down --volumes --name {name}`"
            report.sections.append((f"environment `{name}` is kept", look))


def _used_by(item: pytest.Item) -> list[_Up]:
    given: dict[str, Any] = getattr(item, "funcargs", None) or {}
    values = list(given.values())
    # Fixtures that were requested by `getfixturevalue` are only here.
    definitions: dict[str, Any] = getattr(getattr(item, "_request", None), "_fixture_defs", {})
    for definition in definitions.values():
        values += (getattr(definition, "cached_result", None) or ())[:1]
    return [used for used in _up if any(value is used.environment for value in values)]


def _logs_of(environment: Environment) -> list[Section]:
    sections: list[Section] = []
    for component in environment.components:
        with suppress(HaddockError):
            title = f"log of `{component}` of `{environment.name}`"
            sections.append((title, "\n".join(environment.logs(component, _LINES))))
    return sections
