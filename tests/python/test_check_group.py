"""`haddock check` asks every member of a group, and commands wait for every gateway."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from cli_site import clean_environment, run

import haddock
from haddock._group import Member, members


def nobody() -> str:
    """A URL at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def findings(tmp_path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    env = clean_environment(HADDOCK_STATE=str(tmp_path / "state"), HADDOCK_RUNTIME="process")
    checked = run("check", "--json", *options, cwd=tmp_path, env=env)
    return checked.returncode, json.loads(checked.stdout)["findings"]


def test_each_gateway_of_a_group_is_asked(tmp_path: Path) -> None:
    wrong = nobody()
    with haddock.Gateway(state=tmp_path / "a", listen="127.0.0.1:0", services={"shop": ()}) as good:
        place = f"http://{good.admin_address}"
        for group, names in ((f"gateway={place},gateway={wrong}", ["gateway", "gateway-2"]), (f"gateway={wrong},gateway={place}", ["gateway-2", "gateway"])):
            code, found = findings(tmp_path, "--locator", group)
            by_name = {name: [each for each in found if each["name"] == name] for name in names}
            answers, fails = by_name[names[0]], by_name[names[1]]
            assert [each["state"] for each in answers] == ["ok", "warning"], "it answers, and `shop` has no table yet"
            assert [(each["state"], wrong in each["says"]) for each in fails] == [("problem", True)]
            assert "leave it out of `--locator`" in fails[0]["fix"]
            assert code == 1 and not [each for each in found if each["name"] == "ports"], "no address is needed for clients"
        code, found = findings(tmp_path, "--locator", f"gateway={place}")
        assert [each["state"] for each in found if each["name"].startswith("gateway")] == ["ok", "warning"] and code == 0


def test_each_haproxy_of_a_group_is_asked(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text('name: shop\nservices: { web: { image: "shop:${TAG}", expose: ["80"] } }\n')
    group = ",".join(f"haproxy={tmp_path / name}" for name in ("one", "two"))
    code, found = findings(tmp_path, "--locator", group)
    assert [each["name"] for each in found if each["state"] == "problem"] == ["haproxy", "haproxy-2"] and code == 1


def test_a_release_waits_for_every_gateway(tmp_path: Path) -> None:
    wrong = nobody()
    (tmp_path / "compose.yaml").write_text('name: shop\nservices: { web: { image: "shop:${TAG}", expose: ["80"] } }\n')
    with haddock.Gateway(state=tmp_path / "a", listen="127.0.0.1:0", services={"shop": ()}) as good:
        env = clean_environment(HADDOCK_STATE=str(tmp_path / "state"), HADDOCK_RUNTIME="process")
        group = f"gateway=http://{good.admin_address},gateway={wrong}"
        released = run("release", "--tag", "v1", "--locator", group, cwd=tmp_path, env=env)
        assert released.returncode != 0 and f"no gateway answers at `{wrong}`" in released.stderr
        assert "`haddock serve gateway`" in released.stderr


def test_members_are_named_by_arguments_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADDOCK_GATEWAY", "HADDOCK_HAPROXY", "HADDOCK_LOCATOR"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = Member("gateway", "gateway", "http://a:1"), Member("haproxy", "haproxy", "/run/x,shop=web")
    assert members(None, None, None) == [Member("gateway", "gateway", "http://127.0.0.1:8081")]
    assert members("http://a:1", None, None) == [ours]
    assert members(None, "/run/x,shop=web", None) == [theirs]
    assert members("http://a:1", "/run/x,shop=web", None) == [theirs, ours]
    monkeypatch.setenv("HADDOCK_LOCATOR", "haproxy=/run/x, gateway=http://a:1,gateway=http://b:1")
    assert [each.name for each in members(None, None, None)] == ["haproxy", "gateway", "gateway-2"]
    with pytest.raises(haddock.InvalidValueError, match="names all"):
        members("http://a:1", None, None)
