//! Ways to reach an exposed port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// Where the locator and our probes reach an exposed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// At the container's address on its network: the engine's networks are on this machine.
    Direct,
    /// At an ephemeral port that the engine publishes on this address of its machine.
    Published(IpAddr),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("at the containers' own addresses"),
            Self::Published(address) => write!(f, "at published ports of {address}"),
        }
    }
}

/// What the user chose: a [`Reach`], or to find out.
///
/// As a text: `auto`, `direct`, `published`, or `published:` and an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReachChoice {
    /// The engine is asked.
    #[default]
    Auto,
    /// [`Reach::Direct`].
    Direct,
    /// [`Reach::Published`]; `None`: on the engine's host.
    Published(Option<IpAddr>),
}

impl From<Reach> for ReachChoice {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Direct => Self::Direct,
            Reach::Published(address) => Self::Published(Some(address)),
        }
    }
}

impl FromStr for ReachChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, text.strip_prefix("published:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("direct", _) => Ok(Self::Direct),
            ("published", _) => Ok(Self::Published(None)),
            (_, Some(Ok(address))) => Ok(Self::Published(Some(address))),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is no way to reach containers"))
                .with_hint("write `auto`, `direct`, `published` or `published:ADDRESS`")),
        }
    }
}
