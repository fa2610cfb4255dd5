"""The verbs of a controller that steer a release, roll it back, or retire a service."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from ._bridge import Asked
from ._given import flag, text, whole
from ._release import Release
from ._results import Plan

if TYPE_CHECKING:
    from . import _native
    from ._values import Duration

Verb = Literal["pause", "resume", "advance", "abort"]
"""The verbs for a release in progress."""

class SteeringVerbs:
    """The verbs of a controller for releases."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller
        _by: str

    def pause(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Holds the ramp of the release in progress where it is. With `dry_run` it does nothing and returns the
        plan."""
        return self._steer("pause", service, by or self._by, dry_run).wait(timeout)

    async def pause_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `pause`, in the running loop."""
        return await self._steer("pause", service, by or self._by, dry_run).wait_async(timeout)

    def resume(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Goes on with the ramp. With `dry_run` it does nothing and returns the plan."""
        return self._steer("resume", service, by or self._by, dry_run).wait(timeout)

    async def resume_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `resume`, in the running loop."""
        return await self._steer("resume", service, by or self._by, dry_run).wait_async(timeout)

    def advance(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Ends this stage, or the settling, at once. With `dry_run` it does nothing and returns the plan."""
        return self._steer("advance", service, by or self._by, dry_run).wait(timeout)

    async def advance_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `advance`, in the running loop."""
        return await self._steer("advance", service, by or self._by, dry_run).wait_async(timeout)

    def abort(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Ends the release in progress and gives its share back. A service that is being retired serves again.

        With `dry_run` it does nothing and returns the plan.
        """
        return self._steer("abort", service, by or self._by, dry_run).wait(timeout)

    async def abort_async(
        self, service: str, *, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """As `abort`, in the running loop."""
        return await self._steer("abort", service, by or self._by, dry_run).wait_async(timeout)

    @overload
    def rollback(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: Literal[False] = False, timeout: Duration | None = None
    ) -> Release: ...
    @overload
    def rollback(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: Literal[True], timeout: Duration | None = None
    ) -> Plan: ...
    @overload
    def rollback(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: bool, timeout: Duration | None = None
    ) -> Release | Plan: ...
    def rollback(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Release | Plan:
        """Aborts the release in progress. Without one, releases the version that was good before, or `to`.

        With `dry_run` it does nothing and returns the plan. If the newest version was already given up, waiting for the
        release raises `NothingToDoError`. To go back further, give `to`.
        """
        return self._rollback(service, to, by or self._by, dry_run).wait(timeout)

    @overload
    async def rollback_async(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: Literal[False] = False, timeout: Duration | None = None
    ) -> Release: ...
    @overload
    async def rollback_async(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: Literal[True], timeout: Duration | None = None
    ) -> Plan: ...
    @overload
    async def rollback_async(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: bool, timeout: Duration | None = None
    ) -> Release | Plan: ...
    async def rollback_async(
        self, service: str, *, to: int | None = None, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Release | Plan:
        """As `rollback`, in the running loop."""
        return await self._rollback(service, to, by or self._by, dry_run).wait_async(timeout)

    def retire(
        self, service: str, *, wait: bool = True, by: str | None = None, dry_run: bool = False, timeout: Duration | None = None
    ) -> Plan | None:
        """Takes a service away: its instances get no new sessions and drain as in a release. Then it is forgotten.

        Returns when nothing is left of it, or at once without `wait`. Then its name can be used again; its history
        stays. After `timeout`, or when this process ends, the next controller that acts goes on with it. Until the last
        instance is gone, `abort` lets the service serve again. With `dry_run` it does nothing and returns the plan.

        Raises `BusyError` during a release, and `NothingToDoError` if there is no such service.
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

    def _rollback(self, service: str, to: int | None, by: str, dry_run: bool) -> Asked[Any]:
        version = None if to is None else whole(to, "to")
        if flag(dry_run, "dry_run"):
            return self._planned(service, "rollback", version)
        call = self._native.rollback(text(service, "service"), version, text(by, "by"))
        return Asked("rollback", call, partial(Release, by=by))

    def _planned(self, service: str, verb: str, to: int | None = None) -> Asked[Any]:
        name = text(service, "service")
        return Asked(verb, self._native.plan_verb(name, verb, to), lambda steps: Plan(name, {}, [], [], steps))

    def _steer(self, verb: Verb, service: str, by: str, dry_run: bool) -> Asked[Plan | None]:
        if flag(dry_run, "dry_run"):
            return self._planned(service, verb)
        return Asked(verb, getattr(self._native, verb)(text(service, "service"), text(by, "by")))
