"""The verbs of a controller for the instances of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._bridge import wait, wait_async
from ._environment_results import Executed
from ._exec import RunningCommand, how, place, run, run_async
from ._log_lines import Logs, query

if TYPE_CHECKING:
    from . import _native
    from ._exec import Input, Writable
    from ._given import Texts
    from ._log_lines import Since
    from ._values import Duration


class InstanceVerbs:
    """The verbs of a controller within the instances of a service."""

    __slots__ = ()

    if TYPE_CHECKING:
        _native: _native.Controller

    def exec(
        self,
        service: str,
        command: Texts,
        *,
        instance: str | None = None,
        component: str | None = None,
        stdin: Input | None = None,
        stdout: Writable | None = None,
        stderr: Writable | None = None,
        timeout: Duration | None = None,
    ) -> Executed:
        """Runs a command within an instance of a service, and returns when it has ended.

        The default of `instance` is the newest one that serves. The default of `component` is the one that takes the
        traffic. The rest is as in `Environment.exec`.
        """
        where, what = place(None, component, service, instance), how(command, stdin is not None)
        return Executed(**run(self._native.environments().attach(where, what), stdin, stdout, stderr, timeout))

    async def exec_async(
        self,
        service: str,
        command: Texts,
        *,
        instance: str | None = None,
        component: str | None = None,
        stdin: Input | None = None,
        stdout: Writable | None = None,
        stderr: Writable | None = None,
        timeout: Duration | None = None,
    ) -> Executed:
        """As `exec`, in the running loop."""
        where, what = place(None, component, service, instance), how(command, stdin is not None)
        started = self._native.environments().attach(where, what)
        return Executed(**await run_async(started, stdin, stdout, stderr, timeout))

    def attach(
        self,
        service: str,
        command: Texts,
        *,
        instance: str | None = None,
        component: str | None = None,
        stdin: bool = True,
        terminal: tuple[int, int] | None = None,
    ) -> RunningCommand:
        """Starts a command within an instance of a service, and returns its streams; see `exec` and
        `Environment.attach`.
        """
        where, what = place(None, component, service, instance), how(command, stdin, terminal)
        return RunningCommand(wait(self._native.environments().attach(where, what)))

    async def attach_async(
        self,
        service: str,
        command: Texts,
        *,
        instance: str | None = None,
        component: str | None = None,
        stdin: bool = True,
        terminal: tuple[int, int] | None = None,
    ) -> RunningCommand:
        """As `attach`, in the running loop."""
        where, what = place(None, component, service, instance), how(command, stdin, terminal)
        return RunningCommand(await wait_async(self._native.environments().attach(where, what)))

    def read_logs(
        self,
        service: str,
        *components: str,
        instance: str | None = None,
        tail: int | None = 100,
        since: Since = None,
        follow: bool = False,
    ) -> Logs:
        """The merged logs of an instance's components; see `Environment.read_logs`.

        Without `instance` it is the newest one that serves.
        """
        where, found = place(None, None, service, instance), query(tail, since, follow)
        return Logs(self._native.environments().read_logs(where, list(components), found))
