"""The exceptions. Whatever goes wrong is a `HaddockError`; there is a subclass for each kind that people catch."""

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
    """What went wrong, whose fault it was (`kind`), and what to do (`hint`).

    A runtime or locator written in Python raises a subclass of it, to say what happened:

    >>> error = ImageMissingError("image `shop:v2` is not in the registry", hint="push it")
    >>> error.kind, error.retryable, error.hint
    ('image_missing', False, 'push it')
    """

    kind: str = "other"
    """Whose fault it was, in one word, as in the journal."""
    retryable: bool = False
    """Whether the same call may succeed later without anybody changing anything."""

    message: str
    """What happened, without place and hint."""
    hint: str | None
    """What to do about it."""
    place: Place | None
    """The place in a file, if a file is to blame."""
    log_tail: list[str]
    """The last lines of the log of what failed, oldest first."""

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


class RegistryRefusedError(HaddockError):
    """The registry wants other credentials, or none would do."""

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
    """The container runtime answered with a refusal that no other kind names."""

    kind = "runtime_refused"


class ContainerExitedError(HaddockError):
    """A component's process ended although it should run."""

    kind = "container_exited"


class NeverReadyError(HaddockError):
    """An instance did not become ready within its deadline; `log_tail` has its last lines."""

    kind = "never_ready"


class HookFailedError(HaddockError):
    """A hook, or somebody who was to be notified, did not do what was wanted."""

    kind = "hook_failed"


class NameTakenError(HaddockError):
    """A container or network of our name exists and is not ours."""

    kind = "name_taken"


class PortTakenError(HaddockError):
    """A host port is used by something else."""

    kind = "port_taken"


class AddressPoolExhaustedError(HaddockError):
    """Every subnet of the address pool is in use."""

    kind = "address_pool_exhausted"


class NotFoundError(HaddockError, LookupError):
    """What was asked for does not exist."""

    kind = "not_found"


class LocatorUnavailableError(HaddockError):
    """A locator does not answer."""

    kind = "locator_unavailable"
    retryable = True


class StaleNumberError(HaddockError):
    """A locator has seen a newer number than that of the call."""

    kind = "stale_number"


class LocatorRefusedError(HaddockError):
    """A locator's answer or a request to it breaks its contract."""

    kind = "locator_refused"


class JournalUnavailableError(HaddockError):
    """The journal cannot be read or written for now."""

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
    """It took longer than its time limit. Whatever was waited for goes on."""

    kind = "timed_out"
    retryable = True


class NothingToDoError(HaddockError):
    """A request that makes no sense in the present state, such as an abort with nothing in progress."""

    kind = "nothing_to_do"


class NobodyActsError(HaddockError):
    """Nobody acts for the service, so that what was asked for is not taken up."""

    kind = "nobody_acts"


class PanickedError(HaddockError):
    """A task of Haddock's, or of a port that was given to it, panicked: a bug."""

    kind = "panicked"


class ClosedError(HaddockError):
    """The controller was closed, so neither it nor what it gave can be used any more."""

    kind = "closed"


class IoError(HaddockError, OSError):
    """A file of the operator's or of Haddock's own cannot be read or written."""

    kind = "io"


class ReleaseAbortedError(HaddockError):
    """A release that was waited for gave its share back. `cause` is what failed, if something did."""

    kind = "release_aborted"

    release: Release | None
    """The release."""
    version: int | None
    """Its version, if it had begun."""
    cause: HaddockError | None
    """What failed; `None` if somebody asked for the abort."""

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
    """A newer release took the place of one that was waited for, before it began or in its course."""

    kind = "release_superseded"
