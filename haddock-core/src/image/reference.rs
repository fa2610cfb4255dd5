//! Image references.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::grammar::{self, Reason};
use crate::error::{Error, ErrorKind, Result};

/// The registry of a reference that names none.
const HUB: &str = "docker.io";
/// Where Docker Hub keeps images without a user.
const OFFICIAL: &str = "library/";

/// The name of an image: registry, repository, tag, digest.
///
/// Each reference is valid, and normalised as in Docker: `postgres` and `docker.io/library/postgres:latest` are
/// equal. With neither tag nor digest the tag is `latest`; with a digest the tag is only for people.
///
/// `Display` and serialisation give the [`familiar`](Self::familiar) form.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageReference {
    /// Reads a reference as people write it.
    ///
    /// # Errors
    /// [`InvalidImageReference`](ErrorKind::InvalidImageReference) with the reason.
    pub fn parse(text: &str) -> Result<Self> {
        read(text).map_err(|reason| refused(text, reason))
    }

    /// The registry's host and port; `docker.io` if none was written.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry; official images of Docker Hub begin with `library/`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` only if there is a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest with its algorithm, such as `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether both are in the same repository of the same registry, at whatever tag or digest.
    #[must_use]
    pub fn has_repository_of(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }

    /// The same repository at another tag, without digest.
    ///
    /// # Errors
    /// [`InvalidImageReference`](ErrorKind::InvalidImageReference) if that is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        grammar::check_tag(tag).map_err(|reason| refused(&format!("{}:{tag}", self.name()), reason))?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository and tag, pinned to a digest such as `sha256:…`.
    ///
    /// # Errors
    /// [`InvalidImageReference`](ErrorKind::InvalidImageReference) if that is no digest.
    pub fn with_digest(&self, digest: &str) -> Result<Self> {
        grammar::check_digest(digest).map_err(|reason| refused(&format!("{}@{digest}", self.name()), reason))?;
        Ok(Self { digest: Some(digest.to_owned()), ..self.clone() })
    }

    /// The same repository at a digest, without tag: not every engine takes both.
    ///
    /// # Errors
    /// [`InvalidImageReference`](ErrorKind::InvalidImageReference) if that is no digest.
    pub fn at_digest(&self, digest: &str) -> Result<Self> {
        Ok(Self { tag: None, ..self.with_digest(digest)? })
    }

    /// The form that people write and engines take: `postgres:17`, without Docker Hub's registry.
    #[must_use]
    pub fn familiar(&self) -> String {
        format!("{}{}", self.name(), self.suffix())
    }

    /// The whole form, with the registry: `docker.io/library/postgres:17`.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.canonical_repository() + &self.suffix()
    }

    /// Registry and repository in the whole form: `docker.io/library/postgres`.
    #[must_use]
    pub fn canonical_repository(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether its registry is Docker Hub, as that of each reference that names none.
    #[must_use]
    pub fn is_on_docker_hub(&self) -> bool {
        self.registry == HUB
    }

    /// Registry and repository in the familiar form.
    fn name(&self) -> String {
        if self.registry != HUB {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix(OFFICIAL) {
            // `library/a/b` has to keep its prefix, else it would read as user `a`.
            Some(short) if !short.contains('/') => short.to_owned(),
            // A user such as `a.b` would read as a registry.
            _ if self.repository.split('/').next().is_some_and(grammar::is_registry) => {
                format!("{HUB}/{}", self.repository)
            }
            _ => self.repository.clone(),
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

fn refused(text: &str, reason: Reason) -> Error {
    let error = Error::new(ErrorKind::InvalidImageReference, format!("image reference `{text}`: {}", reason.message));
    match reason.hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn read(text: &str) -> Result<ImageReference, Reason> {
    if text.is_empty() {
        return Err(Reason::new("it is empty").hint("name an image, such as `postgres:17`"));
    }
    if let Some(space) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(Reason::new(format!("it contains the character {space:?}")).hint("remove it"));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(Reason::new(format!("it begins with `{scheme}://`")).hint(format!("write `{rest}`")));
    }
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Reason::new("64 hexadecimal digits are an image id, not a name")
            .hint("name the image, and pin it by `name@sha256:…`"));
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A `:` after the last `/` begins the tag; before it, the registry's port.
    let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[after_slash..].find(':') {
        Some(colon) => (&rest[..after_slash + colon], Some(&rest[after_slash + colon + 1..])),
        None => (rest, None),
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, path)) if grammar::is_registry(first) => (first, path),
        _ => (HUB, name),
    };
    grammar::check_registry(registry)?;
    grammar::check_repository(repository)?;
    tag.map_or(Ok(()), grammar::check_tag)?;
    digest.map_or(Ok(()), grammar::check_digest)?;
    // Docker Hub is known under an older name, too.
    let registry = if registry == "index.docker.io" { HUB } else { registry };
    let repository = match registry {
        HUB if !repository.contains('/') => format!("{OFFICIAL}{repository}"),
        _ => repository.to_owned(),
    };
    grammar::check_length(&repository)?;
    let tag = match (tag, digest) {
        (None, None) => Some("latest"),
        (tag, _) => tag,
    };
    Ok(ImageReference {
        registry: registry.to_owned(),
        repository,
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

impl FromStr for ImageReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ImageReference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<ImageReference> for String {
    fn from(image: ImageReference) -> Self {
        image.familiar()
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

impl fmt::Debug for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
