"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import haddock

MODULES = [it.name for it in pkgutil.walk_packages(haddock.__path__, "haddock.") if "._cli" not in it.name]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, compose: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(compose.parent)
    module = importlib.import_module(name)
    globs = {**vars(module), "haddock": haddock}
    assert doctest.testmod(module, globs=globs, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples() -> None:
    def examples(name: str) -> int:
        return sum(len(it.examples) for it in doctest.DocTestFinder().find(importlib.import_module(name)))

    with_examples = {name for name in MODULES if examples(name)}
    assert {"haddock._controller", "haddock._errors", "haddock._time", "haddock.testing._world"} <= with_examples
