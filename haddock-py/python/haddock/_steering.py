"""The verbs of a controller that steer a release in progress, go back from one that is over, or end a service."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from ._bridge import Asked
from ._errors import NothingToDoError
from ._given import flag, text
from ._release import Release
from ._results import Plan, ServiceStatus

if TYPE_CHECKING:
    from . import _native
    from ._values import Duration

Verb = Literal["pause", "resume", "advance", "abort"]
"""What can be asked of a release in progress."""

_STEPS = {
    "pause": "hold the ramp of {release} where it is: at {share:.0%} of the new sessions",
    "resume": "go on with the ramp of {release}, which is at {share:.0%} of the new sessions",
    "advance": "end this stage of {release}, or its settling, at once",
    "abort": "end {release} and give its share of {share:.0%} back",
}
_OVER = ("settled", "aborted", "skipped", "refused")


class SteeringVerbs:
    """What a controller can do with a release in progress."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller
        _by: str

    def pause(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Holds the ramp of the release in progress where it is. With `dry_run` nothing is done, and the answer is the plan."""
        return self._steer("pause", service, by or self._by, dry_run).wait(timeout)

    async def pause_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `pause`, in the running loop."""
        return await self._steer("pause", service, by or self._by, dry_run).wait_async(timeout)

    def resume(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Goes on with the ramp. With `dry_run` nothing is done, and the answer is the plan."""
        return self._steer("resume", service, by or self._by, dry_run).wait(timeout)

    async def resume_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `resume`, in the running loop."""
        return await self._steer("resume", service, by or self._by, dry_run).wait_async(timeout)

    def advance(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Does not wait for the end of this stage, or of the settling. With `dry_run` nothing is done, and the answer is the plan."""
        return self._steer("advance", service, by or self._by, dry_run).wait(timeout)

    async def advance_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `advance`, in the running loop."""
        return await self._steer("advance", service, by or self._by, dry_run).wait_async(timeout)

    def abort(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Ends the release in progress and gives its share back; of a service that is being retired, lets it serve again.

        With `dry_run` nothing is done, and the answer is the plan.
        """
        return self._steer("abort", service, by or self._by, dry_run).wait(timeout)

    async def abort_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `abort`, in the running loop."""
        return await self._steer("abort", service, by or self._by, dry_run).wait_async(timeout)

    @overload
    def rollback(
        self, service: str, *, by: str | None = None, dry_run: Literal[False] = False, timeout: Duration | None = None
    ) -> Release: ...
    @overload
    def rollback(
        self, service: str, *, by: str | None = None, dry_run: Literal[True], timeout: Duration | None = None
    ) -> Plan: ...
    @overload
    def rollback(
        self, service: str, *, by: str | None = None, dry_run: bool, timeout: Duration | None = None
    ) -> Release | Plan: ...
    def rollback(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Release | Plan:
        """Goes back: an abort while a release goes on, else a release of the version that was good before.

        With `dry_run` nothing is done, and the answer is the plan.
        """
        return self._rollback(service, by or self._by, dry_run).wait(timeout)

    @overload
    async def rollback_async(
        self, service: str, *, by: str | None = None, dry_run: Literal[False] = False, timeout: Duration | None = None
    ) -> Release: ...
    @overload
    async def rollback_async(
        self, service: str, *, by: str | None = None, dry_run: Literal[True], timeout: Duration | None = None
    ) -> Plan: ...
    @overload
    async def rollback_async(
        self, service: str, *, by: str | None = None, dry_run: bool, timeout: Duration | None = None
    ) -> Release | Plan: ...
    async def rollback_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Release | Plan:
        """As `rollback`, in the running loop."""
        return await self._rollback(service, by or self._by, dry_run).wait_async(timeout)

    def retire(
        self, service: str, *, wait: bool = True, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Takes a service away: its instances get no new sessions, and drain as in a release; then it is forgotten.

        Returns when nothing is left of it, or without `wait` once it has been asked for. Its name can be used again then;
        its history stays. After `timeout`, or when this process ends, it goes on, for the next that acts. Until the last
        instance is gone, `abort` lets the service serve again. With `dry_run` nothing is done, and the answer is the plan.

        Raises `BusyError` while a release goes on, `NothingToDoError` if there is nothing of it.
        """
        return self._retire(service, wait, by or self._by, dry_run).wait(timeout)

    async def retire_async(
        self, service: str, *, wait: bool = True, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `retire`, in the running loop."""
        return await self._retire(service, wait, by or self._by, dry_run).wait_async(timeout)

    def _retire(self, service: str, wait: bool, by: str, dry_run: bool) -> Asked[Plan | None]:
        name = text(service, "service")
        if flag(dry_run, "dry_run"):
            return Asked("retire", self._native.plan_retire(name), lambda steps: Plan(name, {}, [], [], steps))
        return Asked("retire", self._native.retire(name, text(by, "by"), flag(wait, "wait")))

    def _rollback(self, service: str, by: str, dry_run: bool) -> Asked[Any]:
        if flag(dry_run, "dry_run"):
            return Asked("rollback", self._native.status(text(service, "service")), partial(_back, service))
        return Asked("rollback", self._native.rollback(text(service, "service"), text(by, "by")), partial(Release, by=by))

    def _steer(self, verb: Verb, service: str, by: str, dry_run: bool) -> Asked[Plan | None]:
        if flag(dry_run, "dry_run"):
            return Asked(verb, self._native.status(text(service, "service")), partial(planned, service, verb))
        return Asked(verb, getattr(self._native, verb)(text(service, "service"), text(by, "by")))


def planned(service: str, verb: Verb, data: dict[str, Any] | None) -> Plan:
    """What a verb would do with the release in progress."""
    status = None if data is None else ServiceStatus._of(data)
    if status is not None and status.retiring is not None and verb == "abort":
        return Plan(service, {}, [], [], [f"let `{service}` serve again, which `{status.retiring}` retires"])
    release = None if status is None else status.release
    if release is None or release.phase in _OVER:
        raise NothingToDoError(f"no release of `{service}` is in progress", hint="look at its status")
    named = f"the release of `{service}`" if release.version is None else f"version {release.version} of `{service}`"
    return Plan(service, {}, [], [], [_STEPS[verb].format(release=named, share=release.share)])


def _back(service: str, data: dict[str, Any] | None) -> Plan:
    """What going back would do."""
    status = None if data is None else ServiceStatus._of(data)
    if status is None:
        raise NothingToDoError(f"`{service}` was never released", hint="release it first")
    if status.release is not None and status.release.phase not in _OVER:
        return planned(service, "abort", data)
    good = status.known_good
    before = [it.version for it in status.versions if it.verdict == "settled" and it.version != good]
    if good is None or not before:
        raise NothingToDoError(f"`{service}` has no version to go back to", hint="release the version that is wanted")
    return Plan(service, {}, [], [], [f"go back from version {good} of `{service}` to what version {before[-1]} was"])
