//! Names and ids. They are checked when they are made, so each [`ServiceName`] is valid.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// The `rule` of a name says whether its first character is free, or has to be a letter or a digit.
fn check(what: &str, name: &str, longest: usize, allowed: fn(char) -> bool, rule: &str) -> Result<(), Error> {
    let hint = format!("use 1 to {longest} characters: {rule}");
    let starts_well = !rule.contains("first") || name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.is_empty() {
        return Err(Error::new(ErrorKind::InvalidName, format!("a {what} is empty")).with_hint(hint));
    }
    if name.len() > longest {
        let message = format!("{what} `{name}` has {} characters, more than {longest}", name.chars().count());
        return Err(Error::new(ErrorKind::InvalidName, message).with_hint(hint));
    }
    if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        return Err(Error::new(ErrorKind::InvalidName, format!("{what} `{name}` contains `{bad}`")).with_hint(hint));
    }
    if !starts_well {
        let message = format!("{what} `{name}` does not start with a letter or a digit");
        return Err(Error::new(ErrorKind::InvalidName, message).with_hint(hint));
    }
    Ok(())
}

/// The first bytes of a name, as a number with the same order. No name has a zero byte.
fn head(name: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = name.len().min(bytes.len());
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $longest:literal, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type {
            // Decides most comparisons, in the order of the text; compared before it.
            head: u128,
            text: Arc<str>,
        }

        impl $type {
            /// Checks and takes the name.
            ///
            /// # Errors
            /// [`ErrorKind::InvalidName`] with the rule that is broken.
            pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
                check($what, name.as_ref(), $longest, $allowed, $rule)?;
                Ok(Self { head: head(name.as_ref()), text: name.as_ref().into() })
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        // As that of its text, by which maps can be searched.
        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.text.hash(state);
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.text)
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(name: String) -> Result<Self, Error> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.text.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.text
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.text
            }
        }
    };
}

fn dns(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

fn compose(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

name!(
    /// What clients use, such as `accounting`. It has instances, at one or more versions.
    ServiceName, "service name", 40, dns, "lower-case letters, digits and `-`, a letter or digit first"
);
name!(
    /// One entry under the compose file's `services:`.
    ComponentName, "component name", 63, compose, "letters, digits, `-`, `_` and `.`"
);
name!(
    /// A named set of running containers.
    EnvironmentName, "environment name", 63, dns, "lower-case letters, digits and `-`, a letter or digit first"
);
name!(
    /// The alias under which a component reaches another.
    LinkAlias, "link alias", 63, compose, "letters, digits, `-`, `_` and `.`"
);
name!(
    /// The uid of an instance's environment. A journal never uses one twice.
    InstanceId, "instance id", 80, dns, "lower-case letters, digits and `-`, a letter or digit first"
);
name!(
    /// The id of a journal. Everything on an engine that carries it as a label belongs to that journal.
    JournalId, "journal id", 32, dns, "lower-case letters, digits and `-`, a letter or digit first"
);
name!(
    /// The id of a request, chosen by its sender. Two requests with the same id are one request.
    RequestId, "request id", 64, compose, "letters, digits, `-`, `_` and `.`, a letter or digit first"
);
name!(
    /// The name of a locator within a service's group of locators.
    LocatorName, "locator name", 63, compose, "letters, digits, `-`, `_` and `.`, a letter or digit first"
);

impl EnvironmentName {
    /// The name of a branch's environment. It has the file's name and the branch's, in lower case, as far as they fit.
    /// Characters that a name cannot have become `-`. Without a branch it is the file's name.
    ///
    /// A name that had to be altered or cut ends in a short hash, so that two branches never get one name. So does a
    /// name that is reserved for the shared environment of a service.
    ///
    /// ```
    /// use haddock_core::{EnvironmentName, ServiceName};
    ///
    /// let shop = ServiceName::new("shop")?;
    /// assert_eq!(EnvironmentName::of_branch(&shop, Some("feature/PAY_42")).as_str(), "shop-feature-pay-42-878618");
    /// assert_eq!(EnvironmentName::of_branch(&shop, Some("pay-42")).as_str(), "shop-pay-42");
    /// assert_eq!(EnvironmentName::of_branch(&shop, None).as_str(), "shop");
    /// # Ok::<(), haddock_core::Error>(())
    /// ```
    #[must_use]
    pub fn of_branch(file: &ServiceName, branch: Option<&str>) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let branch = branch.unwrap_or_default();
        let mut text = file.to_string();
        if !branch.is_empty() {
            text.push('-');
            text.extend(branch.chars().map(plain));
        }
        let is_whole = text.len() <= MAX_NAME && !text.ends_with('-') && text.ends_with(branch);
        if !is_whole || text.ends_with(SHARED) {
            text.truncate(MAX_NAME - 1 - HASH_LENGTH);
            text = format!("{}-{}", text.trim_end_matches('-'), short_hash(branch));
        }
        Self { head: head(&text), text: text.into() }
    }

    /// The service of a shared environment, if this is the name of one.
    #[must_use]
    #[cfg(feature = "controller")]
    pub(crate) fn shares_for(&self) -> Option<ServiceName> {
        self.text.strip_suffix(SHARED).and_then(|service| ServiceName::new(service).ok())
    }
}

/// The longest name of an environment.
const MAX_NAME: usize = 63;
/// The end of the name of a shared environment.
const SHARED: &str = "-shared";
/// Six hexadecimal digits are enough to distinguish the branches of one repository.
const HASH_LENGTH: usize = 6;

/// A hash that stays the same in every version: 24 bits of a 64-bit FNV-1a (draft-eastlake-fnv).
pub(crate) fn short_hash(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:0HASH_LENGTH$x}", (hash ^ (hash >> 24) ^ (hash >> 48)) & 0x00ff_ffff)
}

impl EnvironmentName {
    /// The name of the shared environment of a service.
    #[must_use]
    pub fn shared_by(service: &ServiceName) -> Self {
        let text = format!("{service}{SHARED}");
        Self { head: head(&text), text: text.into() }
    }
}

impl InstanceId {
    /// The id of the `number`-th instance that this journal ever started for the service.
    #[must_use]
    pub fn of(journal: &JournalId, service: &ServiceName, number: u64) -> Self {
        let text = format!("{service}-{number}-{}", Self::short(journal));
        Self { head: head(&text), text: text.into() }
    }

    /// The uid of the environment of that name. No instance has such a uid, because `env` is no number.
    #[must_use]
    pub fn of_environment(journal: &JournalId, name: &EnvironmentName) -> Self {
        let text = format!("{name}-env-{}", Self::short(journal));
        Self { head: head(&text), text: text.into() }
    }

    /// Whether it is an instance of the service in this journal.
    #[must_use]
    pub fn is_of(&self, journal: &JournalId, service: &ServiceName) -> bool {
        self.parts(journal).is_some_and(|(name, _)| name == service.as_str())
    }

    /// Its service in this journal; `None` if it belongs to another journal.
    #[must_use]
    pub fn service(&self, journal: &JournalId) -> Option<ServiceName> {
        ServiceName::new(self.parts(journal)?.0).ok()
    }

    /// Its number among the instances of its service, from 1; `None` if it belongs to another journal.
    #[must_use]
    pub fn number(&self, journal: &JournalId) -> Option<u64> {
        self.parts(journal)?.1.parse().ok()
    }

    /// The service's name, and the digits of the number.
    fn parts(&self, journal: &JournalId) -> Option<(&str, &str)> {
        let own = self.text.strip_suffix(Self::short(journal))?.strip_suffix('-')?;
        let (service, number) = own.rsplit_once('-')?;
        let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        digits.then_some((service, number))
    }

    /// The part of an instance's id that stands for its journal. It distinguishes the journals that share an engine.
    fn short(journal: &JournalId) -> &str {
        // A journal's id is ASCII.
        journal.as_str().get(..8).unwrap_or(journal.as_str())
    }
}

/// A version of a service, counted from 1 in the order of the releases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(pub u64);

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_taken_and_bad_ones_say_why() {
        assert_eq!(ServiceName::new("accounting").expect("valid").as_str(), "accounting");
        for (name, message) in [
            ("", "a service name is empty"),
            ("Shop", "service name `Shop` contains `S`"),
            ("-a", "service name `-a` does not start with a letter or a digit"),
        ] {
            assert_eq!(ServiceName::new(name).expect_err("invalid").message(), message);
        }
        assert!(ServiceName::new("a".repeat(41)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn names_are_in_the_order_of_their_texts(a in "[a-z][a-z0-9-]{0,20}", tail in "[a-z0-9-]{0,20}", cut in 0_usize..21) {
            let common = &a[..cut.min(a.len())];
            let b = format!("{common}{tail}");
            let (Ok(one), Ok(other)) = (InstanceId::new(&a), InstanceId::new(&b)) else { return Ok(()) };
            proptest::prop_assert_eq!(one.cmp(&other), a.cmp(&b));
            proptest::prop_assert_eq!(one == other, a == b);
        }
    }

    #[test]
    fn an_instance_tells_its_journal_its_service_and_its_number() {
        let (journal, service) = (JournalId::new("0123456789abcdef").expect("valid"), ServiceName::new("shop-2"));
        let service = service.expect("valid");
        let id = InstanceId::of(&journal, &service, 17);
        assert_eq!(id.as_str(), "shop-2-17-01234567");
        assert!(id.is_of(&journal, &service));
        assert_eq!((id.service(&journal), id.number(&journal)), (Some(service), Some(17)));
        let other = JournalId::new("f123456789abcdef").expect("valid");
        assert_eq!((id.service(&other), id.number(&other)), (None, None));
        assert!(!id.is_of(&journal, &ServiceName::new("shop").expect("valid")));
        for stranger in ["shop-01234567", "shop--01234567", "shop-x-01234567", "17-01234567"] {
            let stranger = InstanceId::new(stranger).expect("valid");
            assert_eq!(stranger.number(&journal).filter(|_| stranger.service(&journal).is_some()), None, "{stranger}");
        }
    }

    #[test]
    fn names_are_checked_when_read_back() {
        assert!(serde_json::from_str::<ServiceName>("\"Not Valid\"").is_err());
        let name: ServiceName = serde_json::from_str("\"shop\"").expect("valid");
        assert_eq!(serde_json::to_string(&name).expect("plain"), "\"shop\"");
    }
}
