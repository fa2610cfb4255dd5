//! The one error type of the crate.
//!
//! An [`Error`] has a kind ([`ErrorKind`]), a message (what happened), a hint (what to do about it) and, if the error
//! is in a file, the place. It is plain data: comparable, cloneable and serialisable. So it can be kept in a journal
//! and asserted in a test. It never holds the value of an environment variable or a secret.
//!
//! It has no [`source`](std::error::Error::source): what an engine, a database or the system said is part of the message.
//! There the values of variables are masked. A source would still hold them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A result with Haddock's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error. It tells a program what it can do about the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name that breaks the rules for names.
    InvalidName,
    /// An image reference that breaks the OCI distribution grammar.
    InvalidImageReference,
    /// A duration, size, percentage, port or other value that cannot be read.
    InvalidValue,
    /// The compose file is wrong; the error carries the place.
    ComposeFile,
    /// Something standard or planned that Haddock does not do yet.
    NotSupported,
    /// The image is neither on the host nor in its registry.
    ImageMissing,
    /// A Dockerfile, the files of an image tree or a context are wrong; the error carries the place if it is in a file.
    ImageTree,
    /// A step of a build failed.
    BuildFailed,
    /// The registry refuses the credentials, or refuses access without any.
    RegistryRefused,
    /// The registry cannot be reached.
    RegistryUnavailable,
    /// The container runtime does not answer.
    RuntimeUnavailable,
    /// The container runtime refuses for a reason that has no kind of its own.
    RuntimeRefused,
    /// A component's process ended although it should run.
    ContainerExited,
    /// An instance did not become ready within its deadline, or it was ready and has not answered for too long.
    NeverReady,
    /// More sessions of a version or an instance fail, or are slow, than is tolerated.
    Harmful,
    /// A hook or a notification failed, or a gate said stop.
    HookFailed,
    /// A container or network with the wanted name exists and is not Haddock's.
    NameTaken,
    /// A port of the host is in use.
    PortTaken,
    /// Every subnet of the address pool is in use.
    AddressPoolExhausted,
    /// The named thing does not exist.
    NotFound,
    /// A locator does not answer.
    LocatorUnavailable,
    /// A locator has seen a newer fencing token than the call's.
    StaleNumber,
    /// A locator's answer or a request to it breaks its contract.
    LocatorRefused,
    /// The journal cannot be read or written at present.
    JournalUnavailable,
    /// The journal's disk is full; nothing was committed.
    JournalFull,
    /// The journal was written by a newer Haddock.
    JournalTooNew,
    /// The journal's content cannot be understood.
    JournalCorrupt,
    /// Another holds what is needed: the lease of this service, a state directory, the last free version. Try again later.
    Busy,
    /// A newer epoch has committed: this controller no longer acts.
    Fenced,
    /// The call took longer than its time limit. It may have taken effect or not.
    TimedOut,
    /// A request that makes no sense in the present state, such as an abort with nothing in progress.
    NothingToDo,
    /// No controller acts for the service, so the request is not carried out.
    NobodyActs,
    /// The release was aborted because somebody asked for it.
    ReleaseAborted,
    /// A newer release replaced this one.
    ReleaseSuperseded,
    /// A task of Haddock's, or of your own runtime, locator or journal, panicked: a bug.
    Panicked,
    /// A file cannot be read or written, or the system refuses a thread or another resource.
    Io,
}

impl ErrorKind {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RegistryUnavailable
                | Self::RuntimeUnavailable
                | Self::LocatorUnavailable
                | Self::JournalUnavailable
                | Self::JournalFull
                | Self::Busy
                | Self::TimedOut
        )
    }
}

/// Where in a file something is wrong. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
    /// The path of keys that leads there, such as `services.web.ports[0]`.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// An error: its kind, what went wrong, and what to do.
///
/// ```
/// use haddock_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::ImageMissing, "image `shop:v2` is not on the host and not in its registry")
///     .with_hint("push it, or check the tag");
/// assert!(!error.is_retryable());
/// assert_eq!(error.hint(), Some("push it, or check the tag"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Box<Place>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log_tail: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost_in_compose: Option<Box<str>>,
}

impl Error {
    /// An error of this kind. Messages are lower case, without a full stop, with values in backticks.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, place: None, log_tail: Vec::new(), lost_in_compose: None }
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place in a file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// Adds the last lines of a log, oldest first.
    #[must_use]
    pub fn with_log_tail(mut self, lines: Vec<String>) -> Self {
        self.log_tail = lines;
        self
    }

    /// Adds that Docker Compose accepts what Haddock refuses here, and what Compose drops or what fails later.
    #[must_use]
    pub fn stricter_than_compose(mut self, lost: impl Into<Box<str>>) -> Self {
        self.lost_in_compose = Some(lost.into());
        self
    }

    /// The same error with the component's name instead of its container's id, because people ask for `web` and know no
    /// ids.
    #[must_use]
    #[cfg(feature = "controller")]
    pub(crate) fn of_component(mut self, container: &dyn fmt::Display, component: &dyn fmt::Display) -> Self {
        self.message = self.message.replace(&format!("container `{container}`"), &format!("component `{component}`"));
        self
    }

    /// The same error, with the name of the image that it is about.
    #[must_use]
    #[cfg(feature = "build")]
    pub(crate) fn of_image(mut self, image: &str) -> Self {
        self.message = format!("image `{image}`: {}", self.message);
        self
    }

    /// The same error, with each of its texts changed by a function.
    #[must_use]
    #[cfg(feature = "controller")]
    pub(crate) fn retold(mut self, tell: impl Fn(&str) -> String) -> Self {
        self.message = tell(&self.message);
        self.hint = self.hint.map(|hint| tell(&hint));
        self.log_tail = self.log_tail.iter().map(|line| tell(line)).collect();
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without place and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The place in a file, if the error is in a file.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// The last log lines of the component that failed, oldest first.
    #[must_use]
    pub fn log_tail(&self) -> &[String] {
        &self.log_tail
    }

    /// If Docker Compose accepts the file: what Compose drops, or what fails later. `None`: Compose refuses the file,
    /// too.
    #[must_use]
    pub fn lost_in_compose(&self) -> Option<&str> {
        self.lost_in_compose.as_deref()
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if f.alternate() {
            if let Some(hint) = &self.hint {
                write!(f, "\nhint: {hint}")?;
            }
            for line in &self.log_tail {
                write!(f, "\nlog: {line}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
