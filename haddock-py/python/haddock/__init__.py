"""Zero-downtime releases for services that keep client sessions in memory.

A new version of a service is started beside the old one and gets more and more of the *new* sessions. Existing sessions
stay where they began. When the last session of the old version has expired, its containers are removed.

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
    from ._connect import connect
    from ._controller import Controller
    from ._drains import ApplicationSessions, RemainingSessions
    from ._environment_results import (
        Difference,
        EnvironmentComponent,
        EnvironmentEvent,
        EnvironmentPlan,
        Executed,
        PlannedChange,
        Pruned,
        Switched,
    )
    from ._environments import Environment
    from ._errors import (
        AddressPoolExhaustedError,
        BuildFailedError,
        BusyError,
        ClosedError,
        ComposeFileError,
        ContainerExitedError,
        FencedError,
        HaddockError,
        HarmfulError,
        HookFailedError,
        ImageMissingError,
        ImageTreeError,
        InvalidImageReferenceError,
        InvalidNameError,
        InvalidValueError,
        IoError,
        JournalCorruptError,
        JournalFullError,
        JournalTooNewError,
        JournalUnavailableError,
        LocatorRefusedError,
        LocatorUnavailableError,
        NameTakenError,
        NeverReadyError,
        NotFoundError,
        NobodyActsError,
        NothingToDoError,
        NotSupportedError,
        PanickedError,
        Place,
        PortTakenError,
        RegistryRefusedError,
        RegistryUnavailableError,
        ReleaseAbortedError,
        ReleaseSupersededError,
        RuntimeRefusedError,
        RuntimeUnavailableError,
        StaleNumberError,
        TimedOutError,
    )
    from ._exec import RunningCommand
    from ._gates import GateAnswer, GateQuestion
    from ._images import (
        BuildEvent,
        BuiltImage,
        Images,
        PlannedImage,
        PrunedFromRegistry,
        PrunedImage,
        TransferredImage,
        TreeImage,
        prune_images,
        prune_images_async,
    )
    from ._log_lines import LogLine, Logs
    from ._logs import LogLines
    from ._locators import Gateway, Haproxy, RemoteGateway, ServiceLocator, SimLocator
    from ._ports import (
        Adopted,
        ApplicationCookie,
        Attachment,
        Cohort,
        Container,
        ContainerSpec,
        CookiePolicy,
        FailedPolicy,
        FailureKind,
        FencingToken,
        HealthCheck,
        InstanceFigures,
        LocatorCapabilities,
        LocatorReport,
        Network,
        PublishedPort,
        Route,
        RoutingTable,
        RuntimeCapabilities,
        Watermark,
    )
    from ._progress import ProgressEvent, ProgressEvents
    from ._rehearsal import Quantiles, RehearsedEvent, Rehearsal, rehearse, rehearse_async
    from ._release import Events, Release
    from ._results import (
        ComponentInfo,
        Event,
        Finding,
        GuardStatus,
        InstanceStatus,
        Judgement,
        LoopEnd,
        Outlook,
        Plan,
        ReleaseResult,
        ReleaseStatus,
        ResolvedFile,
        ServiceStatus,
        TrafficMinute,
        VersionStatus,
    )
    from ._revision import Revision, revision
    from ._runtimes import ContainerRuntime, Docker, Process, Sim, SimImage
    from ._time import VirtualTime
    from ._values import Address, Duration

__all__ = [
    "Address",
    "AddressPoolExhaustedError",
    "Adopted",
    "ApplicationCookie",
    "ApplicationSessions",
    "Attachment",
    "BuildEvent",
    "BuildFailedError",
    "BuiltImage",
    "BusyError",
    "ClosedError",
    "Cohort",
    "ComponentInfo",
    "ComposeFileError",
    "Container",
    "ContainerExitedError",
    "ContainerRuntime",
    "ContainerSpec",
    "Controller",
    "CookiePolicy",
    "Difference",
    "Docker",
    "Duration",
    "Environment",
    "EnvironmentComponent",
    "EnvironmentEvent",
    "EnvironmentPlan",
    "Event",
    "Events",
    "Executed",
    "FailedPolicy",
    "FailureKind",
    "FencedError",
    "FencingToken",
    "Finding",
    "GateAnswer",
    "GateQuestion",
    "Gateway",
    "GuardStatus",
    "HaddockError",
    "Haproxy",
    "HealthCheck",
    "HarmfulError",
    "HookFailedError",
    "ImageMissingError",
    "ImageTreeError",
    "Images",
    "InstanceFigures",
    "InstanceStatus",
    "Judgement",
    "InvalidImageReferenceError",
    "InvalidNameError",
    "InvalidValueError",
    "IoError",
    "JournalCorruptError",
    "JournalFullError",
    "JournalTooNewError",
    "JournalUnavailableError",
    "LocatorCapabilities",
    "LocatorRefusedError",
    "LocatorReport",
    "LocatorUnavailableError",
    "LogLine",
    "LogLines",
    "Logs",
    "LoopEnd",
    "NameTakenError",
    "Network",
    "NeverReadyError",
    "NobodyActsError",
    "NotFoundError",
    "NotSupportedError",
    "NothingToDoError",
    "Outlook",
    "PanickedError",
    "Place",
    "Plan",
    "PlannedChange",
    "PlannedImage",
    "PortTakenError",
    "Process",
    "ProgressEvent",
    "ProgressEvents",
    "Pruned",
    "PrunedFromRegistry",
    "PrunedImage",
    "PublishedPort",
    "Quantiles",
    "RegistryRefusedError",
    "RegistryUnavailableError",
    "Rehearsal",
    "RehearsedEvent",
    "Release",
    "ReleaseAbortedError",
    "ReleaseResult",
    "ReleaseStatus",
    "RemainingSessions",
    "ReleaseSupersededError",
    "RemoteGateway",
    "ResolvedFile",
    "Revision",
    "Route",
    "RoutingTable",
    "RunningCommand",
    "RuntimeCapabilities",
    "RuntimeRefusedError",
    "RuntimeUnavailableError",
    "ServiceLocator",
    "ServiceStatus",
    "Sim",
    "SimImage",
    "SimLocator",
    "StaleNumberError",
    "Switched",
    "TimedOutError",
    "TrafficMinute",
    "TransferredImage",
    "TreeImage",
    "VersionStatus",
    "VirtualTime",
    "Watermark",
    "__version__",
    "connect",
    "prune_images",
    "prune_images_async",
    "rehearse",
    "rehearse_async",
    "revision",
]

# The module of each public name. It is loaded when first needed, so that `import haddock` is fast.
_HOMES = {
    "_connect": ("connect",),
    "_controller": ("Controller",),
    "_drains": ("ApplicationSessions", "RemainingSessions"),
    "_environment_results": (
        "Difference", "EnvironmentComponent", "EnvironmentEvent", "EnvironmentPlan", "Executed", "PlannedChange", "Pruned",
        "Switched",
    ),
    "_environments": ("Environment",),
    "_errors": (
        "AddressPoolExhaustedError", "BuildFailedError", "BusyError", "ClosedError", "ComposeFileError",
        "ContainerExitedError", "FencedError", "HaddockError", "HarmfulError", "HookFailedError", "ImageMissingError", "ImageTreeError",
        "InvalidImageReferenceError", "InvalidNameError", "InvalidValueError", "IoError", "JournalCorruptError",
        "JournalFullError", "JournalTooNewError", "JournalUnavailableError", "LocatorRefusedError", "LocatorUnavailableError", "NameTakenError",
        "NeverReadyError", "NobodyActsError", "NotFoundError", "NotSupportedError", "NothingToDoError", "PanickedError", "Place",
        "PortTakenError", "RegistryRefusedError", "RegistryUnavailableError", "ReleaseAbortedError", "ReleaseSupersededError",
        "RuntimeRefusedError", "RuntimeUnavailableError", "StaleNumberError", "TimedOutError",
    ),
    "_exec": ("RunningCommand",),
    "_gates": ("GateAnswer", "GateQuestion"),
    "_images": (
        "BuildEvent", "BuiltImage", "Images", "PlannedImage", "PrunedFromRegistry", "PrunedImage", "TransferredImage", "TreeImage",
        "prune_images", "prune_images_async",
    ),
    "_log_lines": ("LogLine", "Logs"),
    "_logs": ("LogLines",),
    "_locators": ("Gateway", "Haproxy", "RemoteGateway", "ServiceLocator", "SimLocator"),
    "_ports": (
        "Adopted", "ApplicationCookie", "Attachment", "Cohort", "Container", "ContainerSpec", "CookiePolicy", "FailedPolicy",
        "FailureKind", "FencingToken", "HealthCheck",
        "InstanceFigures", "LocatorCapabilities", "LocatorReport", "Network", "PublishedPort", "Route", "RoutingTable",
        "RuntimeCapabilities", "Watermark",
    ),
    "_progress": ("ProgressEvent", "ProgressEvents"),
    "_rehearsal": ("Quantiles", "RehearsedEvent", "Rehearsal", "rehearse", "rehearse_async"),
    "_release": ("Events", "Release"),
    "_results": (
        "ComponentInfo", "Event", "Finding", "GuardStatus", "InstanceStatus", "Judgement", "LoopEnd", "Outlook", "Plan", "ReleaseResult", "ReleaseStatus", "ResolvedFile",
        "ServiceStatus", "TrafficMinute", "VersionStatus",
    ),
    "_revision": ("Revision", "revision"),
    "_runtimes": ("ContainerRuntime", "Docker", "Process", "Sim", "SimImage"),
    "_time": ("VirtualTime",),
    "_values": ("Address", "Duration"),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}
# Before 0.2 these exceptions had names without `Error` at the end. The old names still work for a while.
_RENAMED = {name.removesuffix("Error") for name in _HOMES["_errors"]} - {"Closed", "ComposeFile", "Haddock", "Io", "Place"}


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
    elif name in _RENAMED:
        import warnings
        from importlib import import_module

        warnings.warn(f"`haddock.{name}` is called `haddock.{name}Error` now", DeprecationWarning, stacklevel=2)
        return getattr(import_module("haddock._errors"), f"{name}Error")
    else:
        raise AttributeError(f"module 'haddock' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
