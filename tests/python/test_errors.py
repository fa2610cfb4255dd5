"""The exceptions and the results: kinds, texts, plain data, and no secrets."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import haddock
from haddock import _errors, _native
from haddock.testing import World


def test_there_is_a_class_for_each_kind() -> None:
    own = {"closed"}
    kinds = {kind: cls.retryable for kind, cls in _errors.HaddockError._classes.items() if kind not in own}
    assert kinds == _native.error_kinds()


def test_every_public_name_is_there() -> None:
    assert sorted(set(dir(haddock)) & set(haddock.__all__)) == sorted(haddock.__all__)
    for name in haddock.__all__:
        if name != "__version__":
            assert getattr(haddock, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        haddock.nonsense
    exported = {name for name, it in vars(_errors).items() if isinstance(it, type) and issubclass(it, Exception)}
    assert exported <= set(haddock.__all__)


def test_an_error_helps() -> None:
    error = haddock.NeverReadyError("`web` was not ready", hint="see its log", log_tail=["one", "two"])
    assert (error.kind, error.hint, error.retryable, error.log_tail) == (
        "never_ready",
        "see its log",
        False,
        ["one", "two"],
    )
    assert repr(error) == "NeverReadyError('`web` was not ready', hint='see its log')"
    for again in [pickle.loads(pickle.dumps(error)), copy.copy(error)]:
        assert type(again) is haddock.NeverReadyError and again.to_dict() == error.to_dict()
    json.dumps(error.to_dict())
    assert issubclass(haddock.TimedOutError, TimeoutError) and issubclass(haddock.IoError, OSError)
    assert str(haddock.TimedOutError("too long")) == str(haddock.IoError("too long")) == "too long"


def test_results_are_frozen_plain_and_keep_secrets(sim: World, compose: Path) -> None:
    release = sim.controller.release(compose, tag="v1")
    events = list(release.events())
    results = [
        *events,
        release.wait(),
        release.status(),
        sim.controller.status("shop"),
        sim.controller.resolve(compose, tag="v1"),
        sim.controller.release(compose, tag="v1", dry_run=True),
    ]
    for result in results:
        assert dataclasses.is_dataclass(result)
        text = json.dumps(result.to_dict())
        assert "hunter2" not in repr(result) + text
        name = dataclasses.fields(result)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, name, None)
    spec = haddock.ContainerSpec("web", "shop", environment={"PASSWORD": "hunter2"})
    assert "hunter2" not in repr(spec) + str(spec.to_dict()) and spec.environment["PASSWORD"] == "hunter2"
    for it in [sim, sim.runtime, sim.locator, sim.controller, release, release.events(), sim.time]:
        assert repr(it).startswith("<haddock.") and "hunter2" not in repr(it)


def test_a_token_is_shown_nowhere(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2\n")
    locator = haddock.RemoteGateway("http://127.0.0.1:9", token)
    assert "hunter2" not in repr(locator)
    with pytest.raises(haddock.IoError, match="cannot be read"):
        haddock.RemoteGateway("http://127.0.0.1:9", tmp_path / "nothing")
    with pytest.raises(haddock.InvalidValueError):
        haddock.RemoteGateway("not a url")


def test_a_runtime_that_is_not_there_is_told() -> None:
    with pytest.raises(haddock.RuntimeUnavailableError) as gone:
        haddock.Docker("unix:///nowhere/docker.sock")
    assert gone.value.retryable
    with pytest.raises(haddock.IoError, match="cannot be made") as io:
        haddock.connect(runtime="process", state="/dev/null/haddock")
    assert io.value.hint is not None
    with pytest.raises(haddock.InvalidValueError, match="is no runtime"):
        haddock.connect(runtime="nonsense")  # type: ignore[arg-type]


def test_what_a_controller_could_not_work_with_is_refused() -> None:
    def made(**how: Any) -> None:
        sim = haddock.Sim()
        haddock.Controller(runtime=sim, locator=haddock.SimLocator(time=sim.time), **how).close()

    with pytest.raises(haddock.InvalidValueError, match="a lease of 5 s ends before") as short:
        made(lease=5)
    assert short.value.hint == "let it last 15 s or longer"
    with pytest.raises(haddock.InvalidValueError, match="would forget releases that are going on"):
        made(journal_keep="1h")
    with pytest.raises(haddock.InvalidValueError, match="says twice"):
        made(journal_keep="30d,40d")
    made(lease="15s", journal_keep="30d,5000")
