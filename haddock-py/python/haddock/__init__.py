"""Zero-downtime releases for services that keep client sessions in memory.

A new version of a service is started beside the old one and gets more and more of the *new* sessions; sessions that
run stay where they began. When the last session of the old version has expired, its containers are removed.

    import haddock

    with haddock.connect() as h:                  # engine, gateway and journal from the environment
        release = h.release("compose.yaml", tag="main-3f2a1bc")
        for event in release.events():
            print(f"{event.at:%T} {event.share:.0%} {event.message}")
        release.wait("gone")                      # the last old session has expired

Each verb blocks, and can be interrupted by Ctrl-C; `verb_async()` is the same as a coroutine. To try a script out,
and to test it, see `haddock.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from . import testing as testing
    from ._controller import Controller, connect
    from ._environments import Environment, EnvironmentComponent, EnvironmentEvent, EnvironmentPlan, Executed, PlannedChange, Pruned, Switched
    from ._environments import Difference, LogLines
    from ._errors import (
        AddressPoolExhausted,
        Busy,
        ComposeFileError,
        ContainerExited,
        Fenced,
        HaddockError,
        HookFailed,
        ImageMissing,
        InvalidImageReference,
        InvalidName,
        InvalidValue,
        IoError,
        JournalCorrupt,
        JournalFull,
        JournalTooNew,
        JournalUnavailable,
        LocatorRefused,
        LocatorUnavailable,
        NameTaken,
        NeverReady,
        NotFound,
        NothingToDo,
        NotSupported,
        Place,
        PortTaken,
        RegistryRefused,
        RegistryUnavailable,
        ReleaseAborted,
        RuntimeRefused,
        RuntimeUnavailable,
        StaleNumber,
        TimedOut,
    )
    from ._exec import RunningCommand
    from ._locators import Gateway, RemoteGateway, ServiceLocator, SimLocator
    from ._ports import (
        Adopted,
        Attachment,
        Container,
        ContainerSpec,
        HealthCheck,
        InstanceFigures,
        LocatorCapabilities,
        LocatorReport,
        Network,
        Number,
        PublishedPort,
        Route,
        RoutingTable,
        RuntimeCapabilities,
    )
    from ._release import Events, Release
    from ._results import (
        ComponentInfo,
        Event,
        InstanceStatus,
        Plan,
        ReleaseResult,
        ReleaseStatus,
        ResolvedFile,
        ServiceStatus,
        VersionStatus,
    )
    from ._runtimes import ContainerRuntime, Docker, Process, Sim, SimImage
    from ._time import VirtualTime
    from ._values import Duration

__all__ = [
    "AddressPoolExhausted",
    "Adopted",
    "Attachment",
    "Busy",
    "ComponentInfo",
    "ComposeFileError",
    "Container",
    "ContainerExited",
    "ContainerRuntime",
    "ContainerSpec",
    "Controller",
    "Difference",
    "Docker",
    "Duration",
    "Environment",
    "EnvironmentComponent",
    "EnvironmentEvent",
    "EnvironmentPlan",
    "Executed",
    "Event",
    "Events",
    "Fenced",
    "Gateway",
    "HaddockError",
    "HealthCheck",
    "HookFailed",
    "ImageMissing",
    "InstanceFigures",
    "InstanceStatus",
    "InvalidImageReference",
    "InvalidName",
    "InvalidValue",
    "IoError",
    "JournalCorrupt",
    "JournalFull",
    "JournalTooNew",
    "JournalUnavailable",
    "LocatorCapabilities",
    "LocatorRefused",
    "LocatorReport",
    "LocatorUnavailable",
    "LogLines",
    "NameTaken",
    "Network",
    "NeverReady",
    "NotFound",
    "NotSupported",
    "NothingToDo",
    "Number",
    "Place",
    "Plan",
    "PlannedChange",
    "PortTaken",
    "Process",
    "Pruned",
    "PublishedPort",
    "RegistryRefused",
    "RegistryUnavailable",
    "Release",
    "ReleaseAborted",
    "ReleaseResult",
    "ReleaseStatus",
    "RemoteGateway",
    "ResolvedFile",
    "Route",
    "RoutingTable",
    "RunningCommand",
    "RuntimeCapabilities",
    "RuntimeRefused",
    "RuntimeUnavailable",
    "ServiceLocator",
    "ServiceStatus",
    "Sim",
    "SimImage",
    "SimLocator",
    "StaleNumber",
    "Switched",
    "TimedOut",
    "VersionStatus",
    "VirtualTime",
    "__version__",
    "connect",
]

# Where each public name lives. It is loaded when it is first asked for, so that `import haddock` costs next to nothing.
_HOMES = {
    "_controller": ("Controller", "connect"),
    "_environments": ("Environment", "EnvironmentComponent", "EnvironmentEvent", "EnvironmentPlan", "Executed", "PlannedChange", "Pruned", "Switched",
                      "Difference", "LogLines"),
    "_errors": (
        "AddressPoolExhausted", "Busy", "ComposeFileError", "ContainerExited", "Fenced", "HaddockError", "HookFailed",
        "ImageMissing", "InvalidImageReference", "InvalidName", "InvalidValue", "IoError", "JournalCorrupt",
        "JournalFull", "JournalTooNew", "JournalUnavailable", "LocatorRefused", "LocatorUnavailable", "NameTaken",
        "NeverReady", "NotFound", "NotSupported", "NothingToDo", "Place", "PortTaken", "RegistryRefused",
        "RegistryUnavailable", "ReleaseAborted", "RuntimeRefused", "RuntimeUnavailable", "StaleNumber", "TimedOut",
    ),
    "_exec": ("RunningCommand",),
    "_locators": ("Gateway", "RemoteGateway", "ServiceLocator", "SimLocator"),
    "_ports": (
        "Adopted", "Attachment", "Container", "ContainerSpec", "HealthCheck", "InstanceFigures",
        "LocatorCapabilities", "LocatorReport", "Network", "Number", "PublishedPort", "Route", "RoutingTable",
        "RuntimeCapabilities",
    ),
    "_release": ("Events", "Release"),
    "_results": (
        "ComponentInfo", "Event", "InstanceStatus", "Plan", "ReleaseResult", "ReleaseStatus", "ResolvedFile",
        "ServiceStatus", "VersionStatus",
    ),
    "_runtimes": ("ContainerRuntime", "Docker", "Process", "Sim", "SimImage"),
    "_time": ("VirtualTime",),
    "_values": ("Duration",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("haddock")
    elif name == "testing":
        from importlib import import_module

        return import_module("haddock.testing")
    elif name in _HOME:
        from importlib import import_module

        value = getattr(import_module(f"haddock.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'haddock' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
