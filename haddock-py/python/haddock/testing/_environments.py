"""Environments as fixtures for pytest: up before the tests, down after them, and their logs where a test fails."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest

from .._errors import HaddockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from os import PathLike

    from .._environments import Environment

Scope = Literal["session", "package", "module", "class", "function"]

_up: list[Environment] = []
"""The environments of fixtures that are up now."""

_LINES = 50
"""Lines of each component's log that a failed test's report has."""


def environment_fixture(
    file: str | PathLike[str] | None = None,
    *,
    scope: Scope = "session",
    name: str | None = None,
    only: Iterable[str] = (),
    tag: str | None = None,
    images: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    volumes: bool = True,
    connect: Mapping[str, Any] | None = None,
) -> Callable[..., Environment]:
    """A fixture that brings an environment up for as long as its scope lasts, and takes it down whatever happens.

    `name` is its name; by default that of the file and the branch, with the number of the `pytest-xdist` worker where
    there are several. `volumes` go with it. `connect` is what `haddock.connect` is called with. What a killed test run has
    left behind, `haddock prune --idle` removes. Where a test fails, the end of each component's log is in its report.

        database = haddock.testing.environment_fixture("compose.yaml", only=["oracle"])

        def test_books(database):
            connect_to(database.address("oracle", 1521))
    """

    def up(request: pytest.FixtureRequest) -> Iterator[Environment]:
        import haddock

        worker = getattr(request.config, "workerinput", {}).get("workerid")
        with haddock.connect(**(connect or {})) as h:
            called = name
            if worker is not None:
                called = f"{name or h.up(file, tag=tag, images=images, variables=variables, dry_run=True).name}-{worker}"
            environment = h.up(file, name=called, only=only, tag=tag, images=images, variables=variables)
            with environment:
                _up.append(environment)
                try:
                    yield environment
                finally:
                    _up.remove(environment)
                    if volumes:
                        environment.down(volumes=True)

    return pytest.fixture(scope=scope)(up)


def report_logs(report: pytest.TestReport) -> None:
    """Adds the ends of the logs to the report of a test that failed."""
    for environment in _up:
        for component in environment.components:
            with suppress(HaddockError):
                lines = environment.logs(component, _LINES)
                report.sections.append((f"log of `{component}` of `{environment.name}`", "\n".join(lines)))
