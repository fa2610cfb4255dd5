"""The fixture for pytest: whose its environment is, what is left at the end, and what a failing test's report shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["pytester"]

FILE = """
name: shop
services:
  db: { image: "db:1", expose: ["5432"], volumes: ["books:/data"] }
  web: { image: "${WEB:-shop:1}", links: [db], expose: ["8080"] }
volumes: { books: }
"""

# The tests that are run have one simulated engine, on which somebody has brought something up before.
CONFTEST = """
import json, os
import haddock
from haddock.testing import World

world = World()
world.runtime.image("shop:bad", ends="1s", code=3)

def connect(**_):
    return world.another_controller(journal="journal.db", specs="specs")

haddock.connect = connect

def state():
    with connect() as h:
        there = h.environments()
        volumes = {name: h.down(name, volumes=True, dry_run=True).volumes for name in ("shop", "mine", "shop-test")}
        return {"there": {it.name: sorted(it.components) for it in there}, "volumes": volumes}

def pytest_configure(config):
    with connect() as h:
        for name in filter(None, os.environ.get("BEFORE", "").split()):
            h.up("compose.yaml", name=name.removesuffix(":down"))
            if name.endswith(":down"):
                h.down(name.removesuffix(":down"))
    if worker := os.environ.get("WORKER"):
        config.workerinput = {"workerid": worker}

def pytest_unconfigure(config):
    with open("state.json", "w") as file:
        json.dump(state(), file)
"""


class Inner:
    """A test run within the test."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.monkeypatch = monkeypatch
        monkeypatch.delenv("HADDOCK_BRANCH", raising=False)
        pytester.makefile(".yaml", compose=FILE)
        pytester.makeconftest(CONFTEST)

    def run(self, fixture: str, tests: str, *, passed: int = 0, failed: int = 0, errors: int = 0, **env: str) -> str:
        """What it says; `fixture` are the arguments of the fixture `shop`."""
        for key, value in env.items():
            self.monkeypatch.setenv(key, value)
        made = f"import haddock\nfrom haddock.testing import environment_fixture\nshop = environment_fixture({fixture})\n"
        self.pytester.makepyfile(test_inner=made + tests)
        result = self.pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:rerunfailures", "-rA")
        result.assert_outcomes(passed=passed, failed=failed, errors=errors)
        return result.stdout.str()

    def _state(self) -> Any:
        return json.loads((self.pytester.path / "state.json").read_text())

    @property
    def left(self) -> list[str]:
        """The environments that are there at the end."""
        return list(self._state()["there"])

    def volumes(self, name: str) -> list[str]:
        """The volumes that an environment has at the end."""
        return list(self._state()["volumes"][name])


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    return Inner(pytester, monkeypatch)


SAYS = "def test_it(shop):\n    print('its name is', shop.name)\n"


def name_in(said: str) -> str:
    found = re.search(r"its name is (\S+)", said)
    assert found, said
    return found[1]


def test_its_name_is_its_own_and_the_developer_s_environment_stays(inner: Inner) -> None:
    first = name_in(inner.run("'compose.yaml'", SAYS, passed=1, BEFORE="shop"))
    assert re.fullmatch("shop-test-[0-9a-f]{8}", first)
    assert (inner.left, inner.volumes("shop")) == (["shop"], ["shop_books"])
    (inner.pytester.path / "journal.db").unlink()
    assert name_in(inner.run("'compose.yaml'", SAYS, passed=1)) != first, "two runs beside each other do not meet"


def test_a_long_name_of_a_project_is_no_hindrance(inner: Inner) -> None:
    inner.pytester.makefile(".yaml", compose=FILE.replace("name: shop", f"name: {'s' * 40}"))
    said = inner.run("'compose.yaml'", SAYS, passed=1, WORKER="gw12")
    assert name_in(said).startswith("s" * 40 + "-test-")
    assert inner.left == []


@pytest.mark.parametrize(
    ("before", "left", "volumes"),
    [("", [], []), ("mine", ["mine"], ["mine_books"]), ("mine:down", [], ["mine_books"])],
    ids=["nothing", "all of it", "its volumes"],
)
def test_under_a_given_name_what_was_there_stays(inner: Inner, before: str, left: list[str], volumes: list[str]) -> None:
    said = inner.run("'compose.yaml', name='mine'", SAYS, passed=1, BEFORE=before)
    assert name_in(said) == "mine"
    assert (inner.left, inner.volumes("mine")) == (left, volumes)


def test_volumes_stay_if_that_is_wanted(inner: Inner) -> None:
    inner.run("'compose.yaml', name='mine', volumes=False", SAYS, passed=1)
    assert (inner.left, inner.volumes("mine")) == ([], ["mine_books"])


def test_one_that_is_reused_is_found_again(inner: Inner) -> None:
    tests = """
def test_first(shop):
    assert {it.change for it in shop.changes} == {"create"}

def test_second(shop):
    assert {it.change for it in shop.changes} == {"keep"}
"""
    inner.run("'compose.yaml', reuse=True, scope='function'", tests, passed=2)
    assert (inner.left, inner.volumes("shop-test")) == (["shop-test"], ["shop-test_books"])


@pytest.mark.parametrize(("fixture", "name"), [("reuse=True", "shop-test-gw1"), ("name='mine'", "mine-gw1")])
def test_workers_do_not_meet_under_a_given_name(inner: Inner, fixture: str, name: str) -> None:
    assert name_in(inner.run(f"'compose.yaml', {fixture}", SAYS, passed=1, WORKER="gw1")) == name


FAILS = "def test_it(shop):\n    print('its name is', shop.name)\n    assert False\n"


def test_it_goes_when_a_test_fails_and_stays_if_that_is_wanted(inner: Inner) -> None:
    inner.run("'compose.yaml'", FAILS, failed=1)
    assert inner.left == []
    said = inner.run("'compose.yaml', keep_on_failure=True", FAILS, failed=1)
    name = name_in(said)
    assert inner.left == [name]
    assert f"haddock show --name {name}" in said and f"haddock down --volumes --name {name}" in said
    inner.run("'compose.yaml', keep_on_failure=True", SAYS, passed=1)
    assert inner.left == []


def test_one_that_stays_for_a_look_is_nobody_s(inner: Inner) -> None:
    inner.run("'compose.yaml', keep_on_failure=True", FAILS, failed=1)
    assert [it.name for it in (inner.pytester.path / "specs").glob("*.claim")] == [], "`prune` would end it at once"


def logs_in(said: str) -> list[str]:
    """Whose logs a report has: the components."""
    return re.findall(r"log of `(\w+)` of `", said)


def test_one_that_does_not_come_up_shows_its_own_logs_and_goes(inner: Inner) -> None:
    tests = """
other = environment_fixture("compose.yaml", only=["db"])

def test_it(other, shop):
    pass
"""
    said = inner.run("'compose.yaml', variables={'WEB': 'shop:bad'}", tests, errors=1)
    assert "component `web` exited with code 3" in said
    assert sorted(logs_in(said)) == ["db", "web"], "not those of the other, which has come up"
    assert inner.left == []
    said = inner.run("'compose.yaml', variables={'WEB': 'shop:bad'}, keep_on_failure=True", tests, errors=1)
    [left] = inner.left
    assert f"of `{left}`" in said


def test_a_session_s_fixture_that_does_not_come_up_is_told_with_each_test(inner: Inner) -> None:
    tests = "def test_one(shop):\n    pass\n\ndef test_other(shop):\n    pass\n"
    said = inner.run("'compose.yaml', variables={'WEB': 'shop:bad'}", tests, errors=2)
    assert sorted(logs_in(said)) == ["db", "db", "web", "web"]


def test_a_report_has_the_logs_of_what_its_test_used(inner: Inner) -> None:
    tests = """
import pytest

other = environment_fixture("compose.yaml", only=["db"])

@pytest.fixture
def page(shop):
    return shop.url("web", 8080)

def test_with_neither():
    assert False

def test_with_both(other, shop):
    pass

def test_behind_another_fixture(page):
    assert False

def test_by_its_name(request):
    request.getfixturevalue("other")
    assert False

def test_without():
    assert False
"""
    said = inner.run("'compose.yaml'", tests, passed=1, failed=4)
    reports = dict(re.findall(r"_+ (test_\w+) _+\n(.*?)(?=\n_{3,} test_|\n=+ )", said, re.DOTALL))
    logs = {name: sorted(logs_in(report)) for name, report in reports.items()}
    assert {name: it for name, it in logs.items() if name != "test_with_both"} == {
        "test_with_neither": [],
        "test_behind_another_fixture": ["db", "web"],
        "test_by_its_name": ["db"],
        "test_without": [],
    }


def test_fixtures_of_one_name_are_told_apart(inner: Inner) -> None:
    made = "from haddock.testing import environment_fixture\nshop = environment_fixture('compose.yaml', only=['db'])\n"
    inner.pytester.makepyfile(test_a=f"{made}\ndef test_a(shop):\n    pass\n")
    said = inner.run("'compose.yaml'", FAILS, passed=1, failed=1)
    assert sorted(logs_in(said)) == ["db", "web"], "each once"
