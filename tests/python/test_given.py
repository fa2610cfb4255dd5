"""What is given wrongly is told at once, by the parameter's name; a single text where several are meant is one."""

from __future__ import annotations

import inspect
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import haddock
from haddock import _given
from haddock._values import port_number, seconds
from haddock.testing import World

FILE = """
name: shop
services:
  db: { image: "db:1", expose: ["5432"] }
  web: { image: "shop:${TAG:-v1}", links: ["db:store"], expose: ["8080", "8443"] }
  debug: { image: "debug:1", profiles: [debug], expose: ["9000"] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_text(FILE)
    return path


def test_a_text_is_one_name_and_a_command_line_is_its_words() -> None:
    assert _given.names("web", "only") == ["web"] and _given.names(("a", "b"), "only") == ["a", "b"]
    assert _given.command("echo 'a b' c", "command") == ["echo", "a b", "c"]
    assert _given.command(["echo", "a b"], "command") == ["echo", "a b"]
    assert _given.paths(Path("a"), "file") == ["a"] and _given.paths("a", "file") == ["a"]
    for wrong in ("echo 'a", "", []):
        with pytest.raises(haddock.InvalidValueError) as error:
            _given.command(wrong, "command")
        assert "`command`" in error.value.message and error.value.hint


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"tag": 1}, "`tag`"),
        ({"images": {"web": 1}}, '`images["web"]`'),
        ({"images": ["web"]}, "`images`"),
        ({"variables": {"PORT": 8080}}, '`variables["PORT"]`'),
        ({"env_files": 1}, "`env_files`"),
        ({"env_files": [1]}, "`env_files[0]`"),
        ({"profiles": [1]}, "`profiles[0]`"),
        ({"profiles": 1}, "`profiles`"),
        ({"timeout": []}, "`timeout`"),
        ({"timeout": True}, "`timeout`"),
        ({"dry_run": "no"}, "`dry_run`"),
        ({"by": 1}, "`by`"),
    ],
)
@pytest.mark.parametrize("verb", ["release", "up"])
def test_a_wrong_type_names_its_parameter(
    do: Any, sim: World, file: Path, verb: str, wrong: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(TypeError) as error:
        do(sim.controller, verb, file, **wrong)
    assert parameter in str(error.value) and "8080" not in str(error.value)
    assert do(sim.controller, "environments") == [] and do(sim.controller, "services") == []


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [({"name": 1}, "name"), ({"only": 1}, "only"), ({"only": [1]}, "only"), ({"pull": 1}, "pull"), ({"commit": 1}, "commit")],
)
def test_so_does_one_of_an_up(sim: World, file: Path, wrong: dict[str, Any], parameter: str) -> None:
    with pytest.raises(TypeError, match=rf"`{parameter}"):
        sim.controller.up(file, **wrong)


def test_every_verb_names_what_it_is_given() -> None:
    """Each parameter of each verb: given a thing that nothing takes, the error says which it was."""

    class Nothing:
        pass

    with World() as world:
        controller = world.controller
        for name, verb in inspect.getmembers(controller, inspect.ismethod):
            if name.startswith("_") or name.endswith("_async") or name in ("serve", "close"):
                continue
            named = inspect.signature(verb).parameters.items()
            parameters = {key: it for key, it in named if it.kind not in (it.VAR_POSITIONAL, it.VAR_KEYWORD)}
            needed = {it.name: "thing" for it in parameters.values() if it.default is it.empty}
            if name == "adopt":
                needed["address"] = "127.0.0.1:1"
            if name == "link":
                needed["target"] = "tcp://example.com:1"
            if name == "keep":
                needed["time"] = "1m"
            needed.update({it: datetime.now(timezone.utc) for it in ("begin", "end") if it in needed})
            for parameter in parameters:
                if parameter in ("stdin", "stdout", "stderr"):
                    continue
                with pytest.raises((TypeError, haddock.InvalidValueError)) as error:
                    verb(**{**needed, parameter: Nothing()})
                assert parameter in str(error.value), f"{name}({parameter}=…): {error.value}"


def test_a_time_without_a_zone_names_its_parameter(sim: World, file: Path) -> None:
    """Where a moment is taken, one that may mean any of 38 hours is refused by the parameter's name."""
    naive = datetime(2026, 11, 24, 10)
    with pytest.raises(haddock.InvalidValueError, match="`begin`.*no time zone"):
        sim.controller.traffic("shop", naive, naive)
    with pytest.raises(haddock.InvalidValueError, match="`begin`.*no time zone"):
        haddock.rehearse(file, begin=naive)
    with pytest.raises(haddock.InvalidValueError, match="`start`.*no time zone"):
        haddock.VirtualTime(naive)
    with sim.controller.up(file, name="pr-1", only="db") as environment:
        with pytest.raises(haddock.InvalidValueError, match="`since`.*no time zone"):
            environment.read_logs("db", since=naive)


def test_one_name_is_enough(do: Any, sim: World, file: Path) -> None:
    environment = do(sim.controller, "up", file, name="pr-1", only="db", profiles="debug", env_files=())
    assert list(environment.components) == ["db"]
    everything = do(sim.controller, "up", file, name="pr-2", profiles="debug")
    assert sorted(everything.components) == ["db", "debug", "web"]
    assert sorted(do(sim.controller, "up", file, name="pr-3").components) == ["db", "web"]
    file.write_text(FILE + "x-haddock: { entry: 'web:8080' }\n")
    names = [it.name for it in do(sim.controller, "resolve", file, profiles=["debug"]).components]
    assert "debug" in names


def test_ports_are_numbers_however_they_are_written(sim: World, file: Path) -> None:
    environment = sim.controller.up(file, name="pr-1")
    address = environment.address("web", 8080)
    host, port = address
    assert (host, port) == (address.host, address.port) and str(address) == f"{address}" == f"{host}:{port}"
    assert environment.address("web", "8080") == environment.address("web", "8080/tcp") == address
    assert environment.address("db") == environment.address("db", 5432), "it has one only"
    assert environment.url("web", 8080, "health") == f"http://{address}/health"
    assert environment.to_dict()["components"][0]["addresses"] == {"5432": str(environment.address("db"))}
    with pytest.raises(haddock.NotFoundError) as several:
        environment.address("web")
    assert several.value.hint == "name one: 8080, 8443"
    with pytest.raises(haddock.NotFoundError) as other:
        environment.address("web", "8081")
    assert other.value.message == "component `web` of environment `pr-1` has no port 8081"
    assert other.value.hint is not None and other.value.hint.startswith("its ports are 8080, 8443")
    for wrong in ("http", 0, 65_536, "8080/udp"):
        with pytest.raises(haddock.InvalidValueError, match="is not a TCP port"):
            port_number(wrong)
    with pytest.raises(TypeError, match="`port`"):
        port_number(True)


def test_parts_of_a_controller_name_themselves() -> None:
    for wrong, message in (
        ({"runtime": haddock.Sim, "locator": haddock.SimLocator()}, "`runtime` takes .* the class itself: call it"),
        ({"runtime": haddock.Sim(), "locator": None}, "`locator` takes .*, not `NoneType`"),
        ({"runtime": "docker", "locator": haddock.SimLocator()}, "`runtime` takes .*, not `str`"),
    ):
        with pytest.raises(TypeError, match=message):
            haddock.Controller(**wrong)
    with haddock.connect(runtime="sim") as h, pytest.raises(haddock.InvalidValueError, match="a duration cannot be -3"):
        h.keep("pr-1", time=-3)


def test_durations_name_themselves() -> None:
    assert seconds("1m30s", "timeout") == 90.0
    with pytest.raises(TypeError, match="`grace` takes a duration, not None"):
        seconds(None, "grace")  # type: ignore[arg-type]


def test_images_of_processes_and_hosts_of_gateways_are_texts_or_lists(tmp_path: Path) -> None:
    haddock.Process(tmp_path, images={"web:1": "sleep 60"})
    assert (tmp_path / "images.json").read_text() == '{"web:1": ["sleep", "60"]}'
    with pytest.raises(TypeError, match=r'`images\["web:1"\]`'):
        haddock.Process(tmp_path, images={"web:1": 1})  # type: ignore[dict-item]
    with haddock.Gateway(state=tmp_path, listen="127.0.0.1:0", services={"shop": "shop.example.com"}, trust_proxy="10.0.0.0/8"):
        pass
    container = haddock.Container("1", "web", networks="net")
    assert container._plain()["networks"] == ["net"]
