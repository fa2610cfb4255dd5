"""The exceptions. Every error is a `HaddockError`. There is a subclass for each kind that programs catch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._release import Release


class Place(NamedTuple):
    """Where in a file something is wrong. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    key: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class HaddockError(Exception):
    """An error: what went wrong, its `kind`, and what to do (`hint`).

    A runtime or locator written in Python raises a subclass of it:

    >>> error = ImageMissingError("image `shop:v2` is not in the registry", hint="push it")
    >>> error.kind, error.retryable, error.hint
    ('image_missing', False, 'push it')
    """

    kind: str = "other"
    """The kind of the error, in one word, as in the journal."""
    retryable: bool = False
    """Whether the same call may succeed later without any change."""

    message: str
    """What happened, without place and hint."""
    hint: str | None
    """What to do about it."""
    place: Place | None
    """The place in a file, if the error is in a file."""
    log_tail: list[str]
    """The last log lines of the component that failed, oldest first."""

    _classes: ClassVar[dict[str, type[HaddockError]]] = {}

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "kind" in cls.__dict__:
            HaddockError._classes.setdefault(cls.kind, cls)

    def __init__(
        self, message: str, *, hint: str | None = None, place: Place | None = None, log_tail: Iterable[str] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place
        self.log_tail = [log_tail] if isinstance(log_tail, str) else list(log_tail)
        # Python 3.11 and newer, and pytest, show them below a traceback.
        hints = [] if hint is None else [f"hint: {hint}"]
        self.__notes__ = hints + [f"log: {line}" for line in self.log_tail]

    @staticmethod
    def _closed() -> HaddockError:
        return ClosedError("the controller is closed", hint="make another with `haddock.connect()`, and use it within its `with`")

    def __str__(self) -> str:
        return self.message if self.place is None else f"{self.place}: {self.message}"

    def __repr__(self) -> str:
        hint = "" if self.hint is None else f", hint={self.hint!r}"
        return f"{type(self).__name__}({str(self)!r}{hint})"

    def __reduce__(self) -> Any:
        return HaddockError._from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "place": None if self.place is None else self.place._asdict(),
            "log_tail": list(self.log_tail),
            "retryable": self.retryable,
        }

    @staticmethod
    def _from_dict(plain: Mapping[str, Any]) -> HaddockError:
        kind: str = plain["kind"]
        place = plain.get("place")
        error = HaddockError._classes.get(kind, HaddockError)(
            plain["message"],
            hint=plain.get("hint"),
            place=None if place is None else Place(**place),
            log_tail=plain.get("log_tail") or (),
        )
        error.kind = kind
        return error


class InvalidNameError(HaddockError, ValueError):
    """A name that breaks the rules for names."""

    kind = "invalid_name"


class InvalidImageReferenceError(HaddockError, ValueError):
    """An image reference that breaks the grammar."""

    kind = "invalid_image_reference"


class InvalidValueError(HaddockError, ValueError):
    """A duration, size, percentage, port or other value that cannot be read."""

    kind = "invalid_value"


class ComposeFileError(HaddockError):
    """The compose file is wrong; `place` says where."""

    kind = "compose_file"


class NotSupportedError(HaddockError):
    """Something standard or planned that Haddock does not do yet."""

    kind = "not_supported"


class ImageMissingError(HaddockError):
    """The image is neither on the host nor in its registry."""

    kind = "image_missing"


class ImageTreeError(HaddockError):
    """A Dockerfile, the files of an image tree or a context are wrong; `place` says where, if it is in a file."""

    kind = "image_tree"


class BuildFailedError(HaddockError):
    """A step of a build failed; `log_tail` has its last lines."""

    kind = "build_failed"


class RegistryRefusedError(HaddockError):
    """The registry refuses the credentials, or refuses access without any."""

    kind = "registry_refused"


class RegistryUnavailableError(HaddockError):
    """The registry cannot be reached."""

    kind = "registry_unavailable"
    retryable = True


class RuntimeUnavailableError(HaddockError):
    """The container runtime does not answer."""

    kind = "runtime_unavailable"
    retryable = True


class RuntimeRefusedError(HaddockError):
    """The container runtime refuses for a reason that has no kind of its own."""

    kind = "runtime_refused"


class ContainerExitedError(HaddockError):
    """A component's process ended although it should run."""

    kind = "container_exited"


class NeverReadyError(HaddockError):
    """An instance did not become ready within its deadline; `log_tail` has its last lines."""

    kind = "never_ready"


class HarmfulError(HaddockError):
    """More sessions of a version or an instance fail, or are slow, than is tolerated."""

    kind = "harmful"


class HookFailedError(HaddockError):
    """A hook or a notification failed, or a gate said stop."""

    kind = "hook_failed"


class NameTakenError(HaddockError):
    """A container or network with the wanted name exists and is not Haddock's."""

    kind = "name_taken"


class PortTakenError(HaddockError):
    """A port of the host is in use."""

    kind = "port_taken"


class AddressPoolExhaustedError(HaddockError):
    """Every subnet of the address pool is in use."""

    kind = "address_pool_exhausted"


class NotFoundError(HaddockError, LookupError):
    """The named thing does not exist."""

    kind = "not_found"


class LocatorUnavailableError(HaddockError):
    """A locator does not answer."""

    kind = "locator_unavailable"
    retryable = True


class StaleNumberError(HaddockError):
    """A locator has seen a newer number than the call's."""

    kind = "stale_number"


class LocatorRefusedError(HaddockError):
    """A locator's answer or a request to it breaks its contract."""

    kind = "locator_refused"


class JournalUnavailableError(HaddockError):
    """The journal cannot be read or written at present."""

    kind = "journal_unavailable"
    retryable = True


class JournalFullError(HaddockError):
    """The journal's disk is full; nothing was committed."""

    kind = "journal_full"
    retryable = True


class JournalTooNewError(HaddockError):
    """The journal was written by a newer Haddock."""

    kind = "journal_too_new"


class JournalCorruptError(HaddockError):
    """The journal's content cannot be understood."""

    kind = "journal_corrupt"


class BusyError(HaddockError):
    """Another controller acts for this service."""

    kind = "busy"
    retryable = True


class FencedError(HaddockError):
    """Another controller has taken over."""

    kind = "fenced"


class TimedOutError(HaddockError, TimeoutError):
    """It took longer than its time limit. The work goes on."""

    kind = "timed_out"
    retryable = True


class NothingToDoError(HaddockError):
    """A request that makes no sense in the present state, such as an abort with nothing in progress."""

    kind = "nothing_to_do"


class NobodyActsError(HaddockError):
    """No controller acts for the service, so the request is not carried out."""

    kind = "nobody_acts"


class PanickedError(HaddockError):
    """A task of Haddock's, or of your own runtime or locator, panicked: a bug."""

    kind = "panicked"


class ClosedError(HaddockError):
    """The controller was closed. It and the objects that it returned cannot be used any more."""

    kind = "closed"


class IoError(HaddockError, OSError):
    """A file of the operator's or of Haddock's own cannot be read or written."""

    kind = "io"


class ReleaseAbortedError(HaddockError):
    """A release was aborted, and its share went back. `cause` is the failure, if there was one."""

    kind = "release_aborted"

    release: Release | None
    """The release."""
    version: int | None
    """Its version, if it had begun."""
    cause: HaddockError | None
    """The failure; `None` if somebody asked for the abort."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        log_tail: Iterable[str] = (),
        release: Release | None = None,
        version: int | None = None,
        cause: HaddockError | None = None,
    ) -> None:
        super().__init__(message, hint=hint, place=place, log_tail=log_tail)
        self.release = release
        self.version = version
        self.cause = cause

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data."""
        cause = None if self.cause is None else self.cause.to_dict()
        return {**super().to_dict(), "version": self.version, "cause": cause}


class ReleaseSupersededError(ReleaseAbortedError):
    """A newer release replaced this one, before it began or while it was in progress."""

    kind = "release_superseded"
