"""Container runtimes, which start and stop containers."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Union

from . import _native
from ._bridge import wait
from ._given import command, mapping, path
from ._ports import Container, ContainerSpec, Network, RuntimeCapabilities, plain_answer
from ._time import VirtualTime
from ._values import seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence
    from os import PathLike
    from typing import TypeVar

    from ._given import Texts
    from ._values import Duration

    T = TypeVar("T")
    Answer = Union[T, Awaitable[T]]


class Docker:
    """Containers on a Docker Engine, API 1.41 and newer."""

    __slots__ = ("_native",)

    def __init__(
        self,
        host: str | None = None,
        *,
        context: str | None = None,
        reach: str | None = None,
        address_pool: str | None = None,
    ) -> None:
        """Connects to `host`: `unix:///path` or `tcp://host:port`. Without it, connects to the engine of the Docker
        context `context`. Without both, to the engine of the `docker` command: by `DOCKER_HOST`, by the current
        context, or at the local socket.

        `reach` says how ports of containers are reached: `direct` (at the containers' addresses), `published` (at ports
        that the engine publishes, `published:ADDRESS` if its host has another address for us), or `auto`, the default,
        which asks the engine. `address_pool` has the addresses for the subnets of networks: blocks, and the length of a
        subnet's prefix, such as `172.28.0.0/14,size=26`. The default is `10.213.0.0/16,size=26`.

        Raises `RuntimeUnavailableError` if nothing answers there, `NotFoundError` if there is no such context.
        """
        self._native: _native.Runtime = wait(_native.docker(host, context, reach, address_pool))

    def __repr__(self) -> str:
        return f"<haddock.Docker at {self._native!r}>"

    def _native_runtime(self) -> _native.Runtime:
        return self._native


class Process:
    """Instances as child processes on loopback ports: real traffic with no Docker."""

    __slots__ = ("_native",)

    def __init__(
        self, directory: str | PathLike[str], *, images: Mapping[str, Texts] | None = None
    ) -> None:
        """Keeps its containers in `directory`. `images` has a command for each image reference, as a list of words or a
        command line. Images that any process gave before are still there."""
        folder = path(directory, "directory")
        given = mapping(images or {}, "images").items()
        lines = {image: command(line, f'images["{image}"]') for image, line in given}
        self._native = _native.process(folder, _remembered(folder, lines))

    def __repr__(self) -> str:
        return f"<haddock.Process in {self._native!r}>"

    def _native_runtime(self) -> _native.Runtime:
        return self._native


def _remembered(folder: str, images: dict[str, list[str]]) -> dict[str, list[str]]:
    """The images of the directory, together with these."""
    import json
    import tempfile

    store = os.path.join(folder, "images.json")
    try:
        with open(store, encoding="utf-8") as file:
            known: dict[str, list[str]] = json.load(file)
    except FileNotFoundError:
        known = {}
    every = {**known, **images}
    if every != known:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        # Written by a rename, so that a reader never finds half of it. Only its owner may read it.
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            json.dump(every, file)
        os.replace(file.name, store)
    return every


class SimImage:
    """How simulated containers of an image behave."""

    __slots__ = ("boot", "code", "ends")

    boot: float | None
    """Seconds from the start until it answers; `None`: it never does."""
    ends: float | None
    """Seconds from the start until it ends by itself; `None`: it runs until it is stopped."""
    code: int
    """The exit code with which it ends."""

    def __init__(self, *, boot: Duration | None = "2s", ends: Duration | None = None, code: int = 0) -> None:
        self.boot = None if boot is None else seconds(boot, "boot")
        self.ends = None if ends is None else seconds(ends, "ends")
        self.code = code

    def __repr__(self) -> str:
        return f"SimImage(boot={self.boot!r}, ends={self.ends!r}, code={self.code!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimImage) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def _fields(self) -> tuple[float | None, float | None, int]:
        return self.boot, self.ends, self.code


class Sim:
    """A simulated engine: containers as data, on a virtual clock, with faults by script.

    Every image exists and behaves as `default_image` says. `image()` makes one behave differently. Instances have the
    names of `ServiceStatus.instances`.
    """

    __slots__ = ("_native", "time")

    time: VirtualTime
    """The virtual time that it lives in."""

    def __init__(self, *, default_image: SimImage | None = SimImage(), time: VirtualTime | None = None) -> None:
        """An empty engine. With `default_image=None` it has only the images that `image()` adds."""
        self.time = time or VirtualTime()
        self._native = _native.SimRuntime(self.time._native)
        if default_image is not None:
            self._native.other_images(*default_image._fields())

    def __repr__(self) -> str:
        return f"<haddock.Sim with {len(self.containers())} containers>"

    def _native_runtime(self) -> _native.SimRuntime:
        return self._native

    def image(
        self, name: str, *, boot: Duration | None = "2s", ends: Duration | None = None, code: int = 0
    ) -> None:
        """Lets containers of this image answer `boot` after their start (`None`: never), and end by themselves with
        `code` after `ends` (`None`: never)."""
        self._native.image(name, *SimImage(boot=boot, ends=ends, code=code)._fields())

    def containers(self, instance: str | None = None) -> list[Container]:
        """The containers, or those of an instance."""
        every = [Container._of(data) for data in self._native.containers()]
        return [one for one in every if instance is None or one.labels.get("haddock.environment") == instance]

    def kill(self, instance: str, code: int = 137) -> None:
        """Ends the processes of an instance's containers with this exit code."""
        for container in self.containers(instance):
            self._native.kill(container.id, code)

    def restart(self, instance: str) -> None:
        """Restarts an instance's containers without the controller's knowledge: its sessions are lost."""
        for container in self.containers(instance):
            self._native.restart(container.id)

    def pause(self, instance: str) -> None:
        """Pauses an instance's containers without the controller's knowledge: they do not answer until they go on."""
        for container in self.containers(instance):
            self._native.pause(container.id)

    def hang(self, instance: str, lasts: Duration) -> None:
        """Keeps an instance from answering for that long."""
        for container in self.containers(instance):
            self._native.hang(container.id, seconds(lasts, "lasts"))

    def down(self) -> None:
        """From now on the engine does not answer. Its containers go on."""
        self._native.set_down(True)

    def up(self) -> None:
        """It answers again."""
        self._native.set_down(False)

    def fail_next(self, calls: int) -> None:
        """The next `calls` calls are refused as if it were down."""
        self._native.fail_next(calls)

    def lose_next_answers(self, calls: int) -> None:
        """The next `calls` calls take effect, and their answers are lost."""
        self._native.lose_next_answers(calls)


class ContainerRuntime(ABC):
    """A container runtime written in Python. Subclass it, and give an instance to a `Controller`.

    Methods may be `async`: they run in an event loop of Haddock's, on a thread of its own. All methods may be called
    from several threads at once. The contract, which `haddock.testing.runtime_suite` checks:

    - Every call may be made twice, with the same effect as once.
    - A call on something that does not exist: `stop` and `remove` do nothing, the rest raise `NotFoundError`.
    - A runtime that does not answer raises `RuntimeUnavailableError`, within 10 seconds.
    - No message holds the value of an environment variable.

    Any exception other than a `HaddockError` counts as `RuntimeRefusedError`, with its type and text.
    """

    capabilities: RuntimeCapabilities = RuntimeCapabilities()
    """Its optional abilities."""

    @abstractmethod
    def pull(self, image: str, refresh: bool) -> Answer[str]:
        """Makes sure that the image is there, and returns an id that always means the same image.

        Raises `ImageMissingError`, `RegistryRefusedError` or `RegistryUnavailableError`.
        """

    @abstractmethod
    def create(self, spec: ContainerSpec) -> Answer[str]:
        """Creates the container without starting it, and returns its id.

        If a container of that name exists and carries all of `spec.identity`, returns its id, whatever its other labels
        are. If it does not carry them, raises `NameTakenError`. Raises `ImageMissingError`.
        """

    @abstractmethod
    def start(self, container: str) -> Answer[None]:
        """Starts a created container. A container that runs or has ended is left as it is."""

    def start_again(self, container: str, started: int) -> Answer[None]:
        """Starts a container that has ended again, with its file system. `started` is the `Container.started` of the
        incarnation that was seen to have ended. A container that was started at another time, or has not ended, is left
        as it is. If this is not overridden, a container that has ended is replaced by a new one."""
        raise NotImplementedError

    def unpause(self, container: str) -> Answer[None]:
        """Lets a paused container go on. A container that is not paused is left as it is. If this is not overridden, a
        paused container is replaced by a new one."""
        raise NotImplementedError

    @abstractmethod
    def inspect(self, container: str) -> Answer[Container | None]:
        """The container as it is now, or `None` if there is none."""

    @abstractmethod
    def list(self, labels: Mapping[str, str]) -> Answer[Sequence[Container]]:
        """Every container, running or not, that carries all these labels."""

    @abstractmethod
    def stop(self, container: str, grace: float) -> Answer[None]:
        """Asks the container to stop and kills it after `grace` seconds. A container that does not run is left as it
        is."""

    @abstractmethod
    def remove(self, container: str) -> Answer[None]:
        """Removes the container, and kills it if it runs. When the call returns, the name is free."""

    def logs(self, container: str, tail: int) -> Answer[Sequence[str]]:
        """The last `tail` lines that the container printed, oldest first."""
        return []

    def health_output(self, container: str) -> Answer[str | None]:
        """What the container's health check printed last."""
        return None

    def create_network(self, name: str, labels: Mapping[str, str], identity: Mapping[str, str]) -> Answer[Network]:
        """Creates a network with these labels, which include `identity`. If a network of that name carries all of
        `identity`, returns that one. Raises `NameTakenError` if it does not."""
        return Network(id=name, name=name, labels=labels)

    def networks(self, labels: Mapping[str, str]) -> Answer[Sequence[Network]]:
        """Every network that carries all these labels."""
        return []

    def remove_network(self, network: str) -> Answer[None]:
        """Removes the network by its id, after the last container has left it."""
        return None

    def probe(self, address: str, path: str | None) -> Answer[bool]:
        """Whether `path` at this address answers, or, without a path, whether it takes connections. If this is not
        overridden, Haddock connects to the address."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _call(self, method: str, arguments: list[Any]) -> Any:
        if method == "create":
            arguments = [ContainerSpec._of(arguments[0])]
        from ._background import finished

        return plain_answer(finished(getattr(self, method)(*arguments)))

    def _native_runtime(self) -> _native.Runtime:
        own = type(self)
        capabilities = self.capabilities
        return _native.python_runtime(
            repr(self),
            self._call,
            capabilities.networks,
            capabilities.pull,
            set(capabilities.options),
            own.probe is not ContainerRuntime.probe,
            own.start_again is not ContainerRuntime.start_again,
            own.unpause is not ContainerRuntime.unpause,
        )
