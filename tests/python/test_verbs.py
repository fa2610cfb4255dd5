"""The verbs of controller and release, blocking and as coroutines."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import toy

import haddock
from haddock.testing import World


def wall() -> datetime:
    return datetime.now(timezone.utc)


@contextmanager
def serving() -> Any:
    """A server that takes connections, at the address that this is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        kept: list[Any] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"{host}:{port}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def shop(sim: World, compose: Path) -> World:
    """A world in which the first version has settled."""
    sim.controller.release(compose, tag="v1").wait()
    return sim


def test_events_tell_the_whole_story(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2", commit="3f2a1bc", by="ci@build-7")
    events = do.events(second)
    assert events[0].kind == "request_taken" and events[0].data["by"] == "ci@build-7"
    assert events[0].message == "`ci@build-7` asked for: release"
    assert [it.sequence for it in events] == list(range(events[0].sequence, events[-1].sequence + 1)), "without gaps"
    phases = list(dict.fromkeys(it.phase for it in events))
    assert phases == ["waiting", "preparing", "launching", "ramping", "settling", "settled"]
    assert sorted({it.share for it in events}) == [0.0, 0.1, 0.5, 1.0]
    started = next(it for it in events if it.kind == "release_started")
    assert started.data["commit"] == "3f2a1bc" and started.data["images"] == {"web": "shop:v2"}
    assert started.at.tzinfo is timezone.utc
    assert events == do(shop.controller, "history", "shop", since=events[0].sequence - 1, limit=len(events))
    tail = do.events(second, since=events[-3].sequence)
    assert [it.sequence for it in tail] == [it.sequence for it in events[-2:]]


def test_events_until_gone_end_with_the_old_version(do: Any, shop: World, compose: Path) -> None:
    person = shop.open_session("shop")
    second = do(shop.controller, "release", compose, tag="v2")
    events = do.events(second, until="gone")
    assert events[-1].kind == "instance_gone" and person.instance in events[-1].message
    drains = [it.draining for it in events if it.kind == "instance_draining"]
    assert drains == [1], "one session is left"


def test_events_for_ever_are_left_when_enough_was_seen(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2")
    for event in second.events(until=None):
        if event.phase == "settled":
            break
    assert event.version == 2


def test_pause_resume_and_advance(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    do(second, "pause")
    do(shop, "advance", "3h")
    status = do(second, "status")
    assert (status.phase, status.paused, status.stage, status.share) == ("ramping", True, 0, 0.1)
    assert do(shop.controller, "status", "shop").release == status
    do(second, "resume")
    do(second, "advance")
    do(shop, "advance", "1m")
    assert do(second, "status").stage == 1
    do(shop.controller, "pause", "shop")
    do(shop.controller, "resume", "shop")
    do(shop.controller, "advance", "shop")
    do(shop.controller, "advance", "shop")
    result = do(second, "wait")
    assert (result.service, result.version, result.phase) == ("shop", 2, "settled")


def test_what_makes_no_sense_is_refused(do: Any, shop: World) -> None:
    for verb in ["pause", "resume", "advance", "abort"]:
        with pytest.raises(haddock.NothingToDoError) as refused:
            do(shop.controller, verb, "shop")
        assert refused.value.kind == "nothing_to_do" and not refused.value.retryable


def test_rollback_goes_back(do: Any, shop: World, compose: Path) -> None:
    do(do(shop.controller, "release", compose, tag="v2"), "wait")
    back = do(shop.controller, "rollback", "shop")
    result = do(back, "wait")
    assert [it.phase for it in do.events(back)][-1] == "settled"
    status = do(shop.controller, "status", "shop")
    assert status.known_good == result.version
    images = {it.version: it.images for it in status.versions}
    assert images[result.version] == {"web": "shop:v1"}


def test_a_rollback_of_nothing_is_refused(do: Any, shop: World) -> None:
    back = do(shop.controller, "rollback", "shop")
    with pytest.raises(haddock.NothingToDoError):
        do(back, "wait")
    assert do(back, "status").phase == "refused"


def test_releasing_again_goes_on_with_the_same_release(do: Any, shop: World, compose: Path) -> None:
    first = do(shop.controller, "release", compose, tag="v2")
    next(event for event in first.events() if event.phase == "ramping")
    again = do(shop.controller, "release", compose, tag="v2")
    assert again.request == first.request
    assert do(again, "wait").version == 2
    assert len(do.events(again)) == len(do.events(first)), "told from its begin on"


def test_a_newer_release_overtakes_one_that_waits(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    third = do(shop.controller, "release", compose, tag="v3")
    assert do(third, "status").phase == "waiting"
    fourth = do(shop.controller, "release", compose, tag="v4")
    with pytest.raises(haddock.ReleaseAbortedError, match="a newer release took its place"):
        do(third, "wait")
    assert do(third, "status").phase == "skipped"
    do(fourth, "wait")
    assert do(second, "status").phase == "settled"


def test_waiting_has_a_limit_in_the_time_of_the_world(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2")
    begun = shop.time.now()
    with pytest.raises(TimeoutError) as limit:
        do(second, "wait", timeout="5m")
    assert isinstance(limit.value, haddock.TimedOutError)
    assert shop.time.now() - begun == timedelta(minutes=5)
    for enough in [1800, timedelta(hours=1)]:
        assert do(second, "wait", timeout=enough).version == 2


def test_a_dry_run_does_nothing(do: Any, shop: World, compose: Path) -> None:
    before = do(shop.controller, "history", "shop")
    plan = do(shop.controller, "release", compose, tag="v2", dry_run=True)
    assert plan.images == {"web": "shop:v2"} and plan.service == "shop"
    assert plan.steps[0] == "pull `shop:v2` for `web`" and "10%" in plan.steps[2]
    assert do(shop.controller, "history", "shop") == before


def test_resolve_says_what_is_versioned_and_why(do: Any, sim: World, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(
        "services:\n  db: { image: 'db:1' }\n"
        "  web: { image: 'shop:${TAG}', links: [db], ports: ['8080'], environment: [KEY=secret] }\n"
        "x-haddock: { service: shop }\n"
    )
    found = do(sim.controller, "resolve", path, tag="v1")
    assert {it.name: it.versioned for it in found.components} == {"db": False, "web": True}
    web = next(it for it in found.components if it.name == "web")
    assert web.reason == "versioned: its image mentions `${TAG}`" and web.variables == ["KEY"]
    assert "secret" not in repr(found) and "secret" not in json.dumps(found.to_dict())
    given = do(sim.controller, "resolve", path, tag="v1", images={"web": ":v9"})
    assert next(it.image for it in given.components if it.name == "web") == "shop:v9"
    other = do(sim.controller, "resolve", path, tag="v1", images={"db": "other:2"})
    assert next(it for it in other.components if it.name == "db").versioned
    with pytest.raises(haddock.NotFoundError):
        do(sim.controller, "resolve", path, tag="v1", images={"cache": ":v9"})


def test_a_wrong_file_is_told_with_its_place(do: Any, sim: World, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services:\n  web: { image: shop, tiger: 1 }\n")
    with pytest.raises(haddock.ComposeFileError) as wrong:
        do(sim.controller, "release", path)
    place = wrong.value.place
    assert place is not None and (place.line, place.key) == (2, "services.web.tiger")
    assert str(wrong.value).startswith(f"{path}:2:")


def test_files_are_found_as_compose_finds_them(
    do: Any, sim: World, compose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = compose.parent / "deep" / "down"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert do(sim.controller, "resolve", tag="v1").service == "shop"


def test_a_service_that_was_never_released_is_nothing(do: Any, sim: World) -> None:
    assert do(sim.controller, "status", "nothing") is None
    assert do(sim.controller, "services") == []
    assert do(sim.controller, "history", "nothing") == []
    with pytest.raises(haddock.InvalidNameError):
        do(sim.controller, "status", "No Name")


def test_status_names_versions_instances_and_who_acts(do: Any, shop: World) -> None:
    people = [shop.open_session("shop") for _ in range(3)]
    status = do(shop.controller, "status", "shop")
    assert do(shop.controller, "services") == ["shop"]
    (version,), (instance,) = status.versions, status.instances
    assert (version.version, version.share, version.sessions) == (1, 1.0, 3)
    assert (instance.instance, instance.phase, instance.sessions) == (people[0].instance, "serving", 3)
    assert (instance.share, instance.share_in_force, instance.external) == (1.0, 1.0, False)
    assert status.acting is not None and status.acting.startswith("test")
    assert shop.sessions("shop") == {1: 3}


def test_a_journal_outlives_its_controller(do: Any, sim: World, compose: Path, tmp_path: Path) -> None:
    """A script that is killed in the ramp and run again goes on."""
    journal = tmp_path / "state" / "journal.db"
    journal.parent.mkdir()
    with sim.another_controller(journal=journal) as first:
        do(do(first, "release", compose, tag="v1"), "wait")
        request = do(first, "release", compose, tag="v2")
        next(event for event in request.events() if event.share_in_force == 0.1)
    with sim.another_controller(journal=journal) as second:
        again = do(second, "release", compose, tag="v2")
        assert again.request == request.request
        assert do(again, "wait").version == 2
        kinds = [event.kind for event in do(second, "history", "shop")]
        assert kinds.count("release_started") == 2
    assert (journal.parent / "specs").stat().st_mode & 0o077 == 0


def test_only_one_acts_and_others_submit(do: Any, sim: World, compose: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with (
        sim.another_controller(journal=journal, by="one") as one,
        sim.another_controller(journal=journal, by="two") as two,
    ):
        do(do(one, "release", compose, tag="v1"), "wait")
        second = do(two, "release", compose, tag="v2")
        assert do(second, "wait").version == 2
        assert do(two, "status", "shop").known_good == 2
        one.close()
        assert do(do(two, "release", compose, tag="v3"), "wait").version == 3, "it takes over"


def test_a_journal_that_does_not_answer_for_a_while_is_waited_for(
    sim: World, compose: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"
    with sim.another_controller(journal=journal) as controller:
        controller.release(compose, tag="v1").wait()
        second = controller.release(compose, tag="v2")
        with closing(sqlite3.connect(journal, check_same_thread=False, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            # Longer than the journal itself waits for others.
            unlock = threading.Timer(6, lambda: other.execute("ROLLBACK"))
            unlock.start()
            assert second.wait().version == 2
            unlock.join()


def test_serve_acts_for_what_others_submit(do: Any, sim: World, compose: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"

    async def both() -> int:
        served = sim.another_controller(journal=journal)
        serving = asyncio.ensure_future(served.serve_async())
        async with sim.another_controller(journal=journal) as other:
            release = await other.release_async(compose, tag="v1")
            result = await release.wait_async()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        return result.version

    assert asyncio.run(both()) == 1


def test_several_threads_may_use_one_controller(shop: World, compose: Path) -> None:
    second = shop.controller.release(compose, tag="v2")
    answers: list[Any] = []
    waits = [threading.Thread(target=lambda: answers.append(second.wait())) for _ in range(4)]
    looks = [threading.Thread(target=lambda: answers.append(shop.controller.status("shop"))) for _ in range(4)]
    for thread in waits + looks:
        thread.start()
    for thread in waits + looks:
        thread.join(30)
    assert len(answers) == 8


def test_virtual_time_passes_only_while_something_waits(do: Any, sim: World) -> None:
    before = sim.time.now()
    assert sim.time.now() == before == datetime(2030, 1, 1, tzinfo=timezone.utc)
    do(sim, "advance", "8h30m")
    assert sim.time.now() - before == timedelta(hours=8, minutes=30)
    with pytest.raises(haddock.InvalidValueError):
        do(sim, "advance", "8 hours")


def test_what_serves_already_is_settled_at_once(do: Any, shop: World, compose: Path) -> None:
    again = do(shop.controller, "release", compose, tag="v1")
    begun = shop.time.now()
    assert do(again, "wait").version == 1, "the version that serves"
    assert (shop.time.now() - begun).total_seconds() < 5
    assert do.events(again)[-1].kind == "release_unchanged"
    forced = do(shop.controller, "release", compose, tag="v1", force=True)
    assert do(forced, "wait").version > 1
    assert [it.kind for it in do.events(forced)].count("instance_starting") == 1


def test_other_rules_need_no_new_instance(do: Any, shop: World, compose: Path) -> None:
    """Who changes only how releases go, gets that, and no release."""
    file = compose.with_name("rules.yaml")
    text = compose.read_text()
    assert "\nx-haddock:" not in text or "guard:" not in text
    rules = "guard: { tolerate: 3% }"
    file.write_text(f"{text}  {rules}\n" if "x-haddock:" in text else f"{text}\nx-haddock: {{ {rules} }}\n")
    again = do(shop.controller, "release", file, tag="v1")
    assert do(again, "wait").version == 1
    last = do.events(again)[-1]
    assert last.kind == "release_unchanged" and last.data["other_rules"] is True
    assert "new settings" in last.message
    assert "other_rules" not in do.events(do(shop.controller, "release", file, tag="v1"))[-1].data, "the second time, nothing is new"


def test_a_server_is_adopted_and_drained(do: Any, compose: Path, tmp_path: Path) -> None:
    with serving() as address, haddock.Controller(
        runtime=haddock.Process(tmp_path / "process"), locator=toy.ToyLocator(wall), by="me", tick=0.05
    ) as controller:
        do(controller, "adopt", "shop", address, idle="30m")
        status = do(controller, "status", "shop")
        (instance,) = status.instances
        assert (instance.external, instance.address, status.known_good) == (True, address, 1)
        kinds = {event.kind: event for event in do(controller, "history", "shop")}
        assert kinds["external_adopted"].message == f"the server at `{address}` is being adopted as version 1"
        with pytest.raises(haddock.NothingToDoError):
            do(controller, "adopt", "shop", address)
        with pytest.raises(haddock.InvalidValueError, match="is not an address"):
            do(controller, "adopt", "shop", "nowhere")
        with pytest.raises(haddock.InvalidNameError, match="describes service `shop`, not `other`"):
            do(controller, "adopt", "other", address, file=compose)


def test_a_lost_journal_is_recovered(do: Any, sim: World, compose: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with sim.another_controller(journal=tmp_path / "one" / "journal.db") as first:
        do(do(first, "release", compose, tag="v1"), "wait")
    person = sim.open_session("shop")
    with sim.another_controller(journal=tmp_path / "two" / "journal.db") as second:
        with pytest.raises(haddock.NotFoundError):
            do(second, "recover", "other")
        with pytest.raises(haddock.NotFoundError, match="specification"):
            do(second, "recover", "shop")
        plan = do(second, "recover", "shop", dry_run=True)
        assert "containers of `shop`" in plan.steps[0] and do(second, "services") == [], "nothing was done"
        status = do(second, "recover", "shop", file=compose, tag="v1")
        assert [it.instance for it in status.instances] == [person.instance]
        for dry_run in (True, False):
            with pytest.raises(haddock.NothingToDoError):
                do(second, "recover", "shop", dry_run=dry_run)
        do(do(second, "release", compose, tag="v2"), "wait", "gone")
        assert do(second, "history", "shop")[0].message == "the journal was lost; 1 instance found again"
    assert person.opened == 1


def test_a_handle_steers_its_own_release_alone(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    third = do(shop.controller, "release", compose, tag="v3")
    do(third, "abort")
    with pytest.raises(haddock.ReleaseAbortedError) as dropped:
        do(third, "wait")
    assert dropped.value.version is None and not isinstance(dropped.value, haddock.ReleaseSupersededError)
    fourth = do(shop.controller, "release", compose, tag="v4")
    do(second, "wait")
    next(event for event in fourth.events() if event.phase == "ramping")
    for verb in ("abort", "pause", "resume", "advance"):
        with pytest.raises(haddock.NothingToDoError, match="version 2 has settled"):
            do(second, verb)
    assert do(fourth, "status").phase == "ramping", "a colleague's release goes on"
    assert do(fourth, "wait").version == 3


def test_a_rollback_goes_back_once_and_further_by_name(do: Any, shop: World, compose: Path) -> None:
    do(do(shop.controller, "release", compose, tag="v2"), "wait")
    third = do(shop.controller, "release", compose, tag="v3")
    next(event for event in third.events() if event.phase == "ramping")
    back = do(shop.controller, "rollback", "shop")
    assert do(back, "wait").version == 2, "during a release it is its abort, and ends with it"
    with pytest.raises(haddock.NothingToDoError, match="already back on version 2") as refused:
        do(do(shop.controller, "rollback", "shop"), "wait")
    assert "name the version" in str(refused.value.hint)
    with pytest.raises(haddock.NothingToDoError, match="already back on version 2"):
        do(shop.controller, "rollback", "shop", dry_run=True)
    with pytest.raises(haddock.NotFoundError, match="no version 9"):
        do(do(shop.controller, "rollback", "shop", to=9), "wait")
    [step] = do(shop.controller, "rollback", "shop", to=1, dry_run=True).steps
    assert step == "go back from version 2 of `shop` to what version 1 was"
    do(do(shop.controller, "rollback", "shop", to=1), "wait")
    status = do(shop.controller, "status", "shop")
    good = next(version for version in status.versions if version.version == status.known_good)
    assert good.images == {"web": "shop:v1"}


def test_one_that_was_overtaken_is_no_failure(do: Any, shop: World, compose: Path) -> None:
    second = do(shop.controller, "release", compose, tag="v2")
    next(event for event in second.events() if event.phase == "ramping")
    third = do(shop.controller, "release", compose, tag="v3")
    do(shop.controller, "release", compose, tag="v4")
    with pytest.raises(haddock.ReleaseSupersededError) as overtaken:
        do(third, "wait")
    assert overtaken.value.kind == "release_superseded" and overtaken.value.cause is None


def test_a_name_with_a_typo_makes_no_service(do: Any, shop: World) -> None:
    for verb in ("pause", "resume", "advance", "abort", "rollback", "retire"):
        with pytest.raises(haddock.NothingToDoError) as refused:
            do(shop.controller, verb, "shpo")
        assert "there are `shop`" in str(refused.value.hint)
    assert do(shop.controller, "services") == ["shop"]
