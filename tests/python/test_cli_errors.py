"""What the command says and with which code it ends when something is wrong: one wrong value for each option."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli_site import clean_environment, run

GOOD = """\
name: shop
services:
  web:
    image: "shop:${TAG}"
    expose: ["8080"]
x-haddock:
  session: { idle: 30m }
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a good compose file."""
    (tmp_path / "compose.yaml").write_text(GOOD)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    return clean_environment(
        HADDOCK_STATE=str(place / "state"),
        HADDOCK_DOCKER_HOST=f"unix://{place}/no.sock",
        HADDOCK_GATEWAY="http://127.0.0.1:9",
    )


WRONG = {
    # what is called: exit code, and what the message says
    "frobnicate": (2, "there is no command `frobnicate`"),
    "relase": (2, "did you mean `release`?"),
    "release --tga v2": (2, "did you mean `--tag`?"),
    "release extra": (2, "unexpected extra argument"),
    "release --tag": (2, "requires an argument"),
    "release --image web": (2, "`web` is not of the form COMPONENT=REFERENCE"),
    "release --image =shop:1": (2, "is not of the form COMPONENT=REFERENCE"),
    "release --image web=a --image web=b": (2, "component `web` is named twice"),
    "release --image web=UPPER": (3, "`UPPER`"),
    "release --image nobody=shop:1 --tag 1": (3, "`nobody`"),
    "release --tag a/b": (3, "`a/b`"),
    "release -f missing.yaml": (3, "missing.yaml"),
    "release --env-file missing.env --tag 1": (3, "missing.env"),
    "release --wait for-ever": (2, "for-ever"),
    "release --timeout soon": (2, "duration `soon` has no number before `soon`; write a number and a unit"),
    "release": (3, "TAG"),
    "rollback --wait x shop": (2, "`x` is not one of"),
    "status --state": (2, "requires an argument"),
    "status --state /proc/nowhere shop": (4, "/proc/nowhere"),
    "status Not_A_Name": (3, "Not_A_Name"),
    "status shop --docker-host nonsense://x": (3, "nonsense"),
    "status shop --gateway ftp://x": (3, "ftp://x"),
    "status shop --gateway-token-file missing.token": (4, "missing.token"),
    "status nobody": (6, "service `nobody` was never released"),
    "ps Not_A_Name": (3, "Not_A_Name"),
    "history shop --since -1": (2, "-1 is not in the range"),
    "history shop --limit 0": (2, "0 is not in the range"),
    "history shop --limit many": (2, "`many` is not a valid integer"),
    "history nobody": (6, "service `nobody` was never released"),
    "adopt shop": (2, "--address"),
    "adopt shop --address nowhere": (2, "`nowhere` is not of the form HOST:PORT"),
    "adopt shop --address 127.0.0.1:99999": (2, "99999"),
    "adopt shop --address 127.0.0.1:80 --idle soon": (2, "duration `soon` has no number"),
    "config --tag a/b": (3, "`a/b`"),
    "serve nonsense": (2, "nonsense"),
    "serve gateway --listen here": (2, "`here` is not of the form HOST:PORT"),
    "serve gateway --admin 127.0.0.1:99999": (2, "is not of the form HOST:PORT"),
    "serve gateway --service =x": (2, "is not of the form NAME"),
    "serve gateway --service Not_A_Name": (3, "Not_A_Name"),
    "serve gateway --trust-proxy everybody --listen 127.0.0.1:0 --admin 127.0.0.1:0": (3, "everybody"),
    "serve gateway --grace -1": (2, "-1"),
    "serve gateway --admin 0.0.0.0:0 --listen 127.0.0.1:0": (3, "without a token"),
    "serve --listen 127.0.0.1:0": (2, "name a port"),
    "check --listen": (2, "requires an argument"),
}


@pytest.mark.parametrize("call", WRONG)
def test_what_is_wrong_is_said(place: Path, call: str) -> None:
    code, says = WRONG[call]
    done = run(*call.split(), cwd=place, env=environment(place))
    assert says in done.stderr, f"{done.stdout}{done.stderr}"
    assert done.returncode == code, done.stderr
    assert any(line.startswith("error: ") for line in done.stderr.splitlines())
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["pause", "resume", "advance", "abort", "rollback"])
def test_a_verb_without_a_release_has_nothing_to_do(place: Path, verb: str) -> None:
    done = run(verb, "shop", "--dry-run", cwd=place, env=environment(place))
    assert done.returncode == 6, done.stderr
    assert "no release of `shop` is in progress" in done.stderr


@pytest.mark.parametrize("call", WRONG)
def test_with_json_an_error_is_an_object(place: Path, call: str) -> None:
    code, _ = WRONG[call]
    done = run(*call.split(), "--json", cwd=place, env=environment(place))
    if call.split()[-1].startswith("--"):
        return  # then `--json` is that option's value
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["exit_code"] == code == done.returncode
    assert told["error"]["message"]
    assert told["error"]["kind"]


def test_a_wrong_file_is_told_with_its_place(place: Path) -> None:
    (place / "compose.yaml").write_text(GOOD.replace("expose", "exposes"))
    done = run("release", "--tag", "1", cwd=place, env=environment(place))
    assert done.returncode == 3
    first, second = done.stderr.splitlines()[:2]
    assert first.startswith("error: ") and "compose.yaml:5:5: " in first and "exposes" in first
    assert second.startswith("hint: "), done.stderr
    told = json.loads(run("config", "--json", "--tag", "1", cwd=place, env=environment(place)).stdout)
    assert told["error"]["place"]["line"] == 5
    assert told["error"]["place"]["key"] == "services.web.exposes"


def test_a_traceback_is_shown_only_when_asked_for(place: Path) -> None:
    call = ("release", "-f", "missing.yaml")
    assert "Traceback" not in run(*call, "-v", cwd=place, env=environment(place)).stderr
    shown = run(*call, "-vv", cwd=place, env=environment(place))
    assert "Traceback" in shown.stderr
    assert shown.returncode == 3


def test_options_before_the_command_count_and_those_after_it_win(place: Path) -> None:
    env = environment(place)
    before = run("--tag", "1", "config", "--json", cwd=place, env=env)
    assert json.loads(before.stdout)["components"][0]["image"] == "shop:1"
    both = run("--tag", "1", "config", "--tag", "2", "--json", cwd=place, env=env)
    assert json.loads(both.stdout)["components"][0]["image"] == "shop:2"
    variable = run("config", "--json", cwd=place, env={**env, "HADDOCK_TAG": "3"})
    assert json.loads(variable.stdout)["components"][0]["image"] == "shop:3"
    over = run("--tag", "1", "config", "--json", cwd=place, env={**env, "HADDOCK_TAG": "3"})
    assert json.loads(over.stdout)["components"][0]["image"] == "shop:1"
    image = run("config", "--tag", "1", "--image", "web=other:9", "--json", cwd=place, env=env)
    assert json.loads(image.stdout)["components"][0]["image"] == "other:9"


def test_the_file_is_found_in_a_parent(place: Path) -> None:
    below = place / "a" / "b"
    below.mkdir(parents=True)
    done = run("config", "--tag", "1", "--json", cwd=below, env=environment(place))
    assert json.loads(done.stdout)["service"] == "shop"


def test_a_file_that_is_named_is_taken(place: Path) -> None:
    (place / "other.yaml").write_text(GOOD.replace("name: shop", "name: other"))
    env = environment(place)
    for words in (("-f", "other.yaml"), ("--file", "other.yaml")):
        done = run("config", *words, "--tag", "1", "--json", cwd=place, env=env)
        assert json.loads(done.stdout)["service"] == "other"
    done = run("config", "--tag", "1", "--json", cwd=place, env={**env, "HADDOCK_FILE": "other.yaml"})
    assert json.loads(done.stdout)["service"] == "other"


def test_no_value_of_a_variable_is_shown(place: Path) -> None:
    (place / "compose.yaml").write_text(GOOD.replace("    expose", "    environment: { KEY: '${KEY}' }\n    expose"))
    env = {**environment(place), "KEY": "open-sesame"}
    for call in ("config --tag 1", "config --tag 1 --json", "check", "release --tag 1", "release --tag 1 -vv"):
        done = run(*call.split(), cwd=place, env=env)
        assert "open-sesame" not in done.stdout + done.stderr


def test_without_a_gateway_nothing_is_released(place: Path) -> None:
    for call in ("release --tag 1", "rollback shop"):
        done = run(*call.split(), cwd=place, env=environment(place))
        assert done.returncode == 4
        assert "error: no gateway answers at `http://127.0.0.1:9`" in done.stderr
        assert "hint: start one: `haddock serve`" in done.stderr
    assert not (place / "state" / "journal.db").exists()


def test_an_engine_that_does_not_answer(place: Path) -> None:
    done = run("release", "--tag", "1", "--dry-run", cwd=place, env=environment(place))
    # A plan is made of file and journal alone; whoever wants to know of the engine asks `check`.
    assert done.returncode in (0, 4), done.stderr
    assert run("check", "--json", cwd=place, env=environment(place)).returncode == 1


def test_a_reader_that_goes_away_is_no_error(place: Path) -> None:
    import subprocess

    from cli_site import HADDOCK

    shown = subprocess.run(
        ["bash", "-c", f"'{HADDOCK}' config --tag 1 | head -c 1; exit ${{PIPESTATUS[0]}}"],
        cwd=place, env=environment(place), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write to the default place")
def test_the_state_of_root_is_in_var_lib(monkeypatch: pytest.MonkeyPatch) -> None:
    from haddock._cli._common import Settings

    monkeypatch.delenv("HADDOCK_STATE", raising=False)
    assert str(Settings().state_directory()) == "/var/lib/haddock"
