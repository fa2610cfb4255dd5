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
    for image, base in (("base", "scratch"), ("app", "base")):
        Path("images", image).mkdir(parents=True)
        Path("images", image, "Dockerfile").write_text(f"FROM {base}\n")
    module = importlib.import_module(name)
    globs = {**vars(module), "haddock": haddock}
    assert doctest.testmod(module, globs=globs, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples() -> None:
    def examples(name: str) -> int:
        return sum(len(it.examples) for it in doctest.DocTestFinder().find(importlib.import_module(name)))

    with_examples = {name for name in MODULES if examples(name)}
    assert {"haddock._controller", "haddock._errors", "haddock._time", "haddock.testing._world"} <= with_examples


def test_help_shows_what_attributes_are() -> None:
    import dataclasses
    import pydoc

    told = pydoc.plain(pydoc.render_doc(haddock.ReleaseStatus))
    assert "share: float" in told and "0 to 1" in told
    for name in haddock.__all__:
        kind = getattr(haddock, name)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            for field in dataclasses.fields(kind):
                if not field.name.startswith("_"):
                    assert f"\n        {field.name}: " in (kind.__doc__ or ""), f"{name}.{field.name} is not told"


def test_names_in_docstrings_are_there() -> None:
    """What is written as code, with the package's name before it, is found under that name."""
    import re
    from pathlib import Path

    for path in Path(haddock.__path__[0]).rglob("*.py"):
        if "_cli" in path.parts:
            continue
        for name in re.findall(r"(?<![-\w.])haddock\.([A-Za-z_]+(?:\.[A-Za-z_]+)*)", path.read_text()):
            # Labels, an address that leads nowhere, and files of the package's own.
            if name.startswith("_") or name.split(".")[0] in ("environment", "invalid", "sh"):
                continue
            found: object = haddock
            for part in name.split("."):
                assert hasattr(found, part), f"`haddock.{name}` in {path.name}"
                found = getattr(found, part)
        for name in re.findall(r"[Rr]aises `(\w+)`", path.read_text()):
            assert hasattr(haddock, name) or name in ("TypeError", "ValueError"), f"`{name}` in {path.name}"
