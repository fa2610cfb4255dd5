//! What can take the place of a component: something outside the environment.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};

/// Where a link leads that leaves its environment.
///
/// ```
/// use haddock_core::environment::Target;
///
/// let database: Target = "tcp://db.internal:5432".parse()?;
/// assert_eq!(database.to_string(), "tcp://db.internal:5432");
/// assert!("accounting-shared/db".parse::<Target>().is_ok());
/// assert!("container:postgres".parse::<Target>().is_ok());
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Target {
    /// `tcp://HOST:PORT`: a server that containers reach over the host's network. The host's name is looked up when a
    /// container is made. Haddock checks this port; components use the port of their own settings.
    Address {
        /// A host name or an IP address.
        host: String,
        /// Its TCP port.
        port: u16,
    },
    /// `ENVIRONMENT/COMPONENT`: a component of another environment of the same journal.
    Component {
        /// The other environment.
        environment: EnvironmentName,
        /// Its component.
        component: ComponentName,
    },
    /// `container:NAME`: a container that is not Haddock's. It is on a network that was made for it.
    Container(String),
}

const TARGET_FORMS: &str = "write `tcp://HOST:PORT`, `ENVIRONMENT/COMPONENT` or `container:NAME`";

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            // What stands before an `@` may be a password.
            let shown = text.rsplit('@').next().unwrap_or_default();
            Error::new(ErrorKind::InvalidValue, format!("`{shown}` is no target of a link: {why}"))
                .with_hint(TARGET_FORMS)
        };
        if let Some(address) = text.strip_prefix("tcp://") {
            return address_of(address).map_err(invalid);
        }
        if let Some(name) = text.strip_prefix("container:") {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            let good = name.bytes().all(known) && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
            return if good {
                Ok(Self::Container(name.to_owned()))
            } else {
                Err(invalid("the name of the container is not valid"))
            };
        }
        match text.split_once('/') {
            Some((environment, component)) if !text.contains(':') => Ok(Self::Component {
                environment: EnvironmentName::new(environment)?,
                component: ComponentName::new(component)?,
            }),
            _ => Err(invalid("it has none of the known forms")),
        }
    }
}

fn address_of(text: &str) -> std::result::Result<Target, &'static str> {
    if text.contains('@') {
        return Err("user and password do not belong to an address");
    }
    let (host, port) = text.trim_end_matches('/').rsplit_once(':').ok_or("it has no port")?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or("a port is a number from 1 to 65535")?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = host.parse::<IpAddr>().ok();
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if host.is_empty() || (address.is_none() && !host.bytes().all(name)) {
        return Err("it has no host");
    }
    if address.is_some_and(|address| address.is_loopback() || address.is_unspecified()) || host == "localhost" {
        return Err("within a container that is the container itself");
    }
    Ok(Target::Address { host: host.to_owned(), port })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Address { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Component { environment, component } => write!(f, "{environment}/{component}"),
            Self::Container(name) => write!(f, "container:{name}"),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_as_it_is_written() {
        for text in ["tcp://db.internal:5432", "tcp://10.0.0.1:1", "tcp://[fd00::1]:5432", "live/db", "container:a_1.b"]
        {
            assert_eq!(text.parse::<Target>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_reached_or_read_is_refused_without_its_password() {
        for text in [
            "",
            "db",
            "tcp://db",
            "tcp://:1",
            "tcp://db:0",
            "tcp://db:x",
            "tcp://127.0.0.1:1",
            "tcp://localhost:1",
            "tcp://[::1]:1",
            "tcp://me:sesame@db:1",
            "http://db:1",
            "container:",
            "container:a/b",
            "a/b/c",
            "A b/c",
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }
}
