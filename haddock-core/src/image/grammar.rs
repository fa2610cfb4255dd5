//! The parts of an image reference, each checked with the reason why it is wrong.
//!
//! The grammar is that of the OCI distribution specification 1.1 and of `distribution/reference`, which the Docker
//! Engine uses. Reasons complete the sentence "image reference `…`: ".

/// Longest repository, as `distribution/reference` has it.
const LONGEST_REPOSITORY: usize = 255;
/// Longest tag, as the OCI distribution specification has it.
pub(super) const LONGEST_TAG: usize = 128;

/// Why a part is wrong, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Reason {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Docker's rule: whether the first part of a reference is a registry, and not the start of a repository.
pub(super) fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

pub(super) fn check_registry(registry: &str) -> Result<(), Reason> {
    let (host, port) = if let Some(rest) = registry.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return Err(Reason::new(format!("registry `{registry}` lacks a `]`")));
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(Reason::new(format!("`{address}` is not an IPv6 address")));
        }
        match port.strip_prefix(':') {
            Some(port) => ("", Some(port)),
            None if port.is_empty() => ("", None),
            None => return Err(Reason::new(format!("`{port}` after the registry's `]` is not a port"))),
        }
    } else {
        match registry.split_once(':') {
            Some(("", port)) => {
                return Err(Reason::new(format!("no host stands before the port `{port}`")));
            }
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        }
    };
    if let Some(port) = port
        && !port.parse::<u16>().is_ok_and(|number| number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        let reason = Reason::new(format!("`{port}` after `{host}:` is not a port from 1 to 65535"));
        return Err(reason.hint("if it was meant as a tag: a tag has no `/`, write `-` instead"));
    }
    for label in host.split('.').filter(|_| !host.is_empty()) {
        if label.is_empty() {
            return Err(Reason::new(format!("registry `{registry}` has an empty part between dots")));
        }
        if let Some(bad) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return Err(Reason::new(format!("registry `{registry}` contains `{bad}`")));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Reason::new(format!("registry `{registry}` has a part that begins or ends with `-`")));
        }
    }
    Ok(())
}

pub(super) fn check_repository(repository: &str) -> Result<(), Reason> {
    if repository.is_empty() {
        return Err(Reason::new("no repository is named"));
    }
    for component in repository.split('/') {
        if component.is_empty() {
            return Err(Reason::new("the repository has an empty part between slashes").hint("remove the extra `/`"));
        }
        check_component(component, repository)?;
    }
    Ok(())
}

/// Checks the whole repository, with what Docker Hub puts before it.
pub(super) fn check_length(repository: &str) -> Result<(), Reason> {
    match repository.len() {
        0..=LONGEST_REPOSITORY => Ok(()),
        length => Err(Reason::new(format!("the repository has {length} characters, more than {LONGEST_REPOSITORY}"))),
    }
}

fn check_component(component: &str, repository: &str) -> Result<(), Reason> {
    if let Some(upper) = component.chars().find(char::is_ascii_uppercase) {
        return Err(Reason::new(format!("repository `{repository}` contains the upper-case letter `{upper}`"))
            .hint(format!("write `{}`; only tags may have upper-case letters", repository.to_ascii_lowercase())));
    }
    if let Some(bad) = component.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')) {
        return Err(Reason::new(format!("repository `{repository}` contains `{bad}`"))
            .hint("use lower-case letters, digits, and `.`, `_`, `-` between them"));
    }
    if !component.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !component.ends_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(Reason::new(format!("`{component}` does not begin and end with a letter or a digit")));
    }
    let mut separator = String::new();
    for c in component.chars() {
        if c.is_ascii_alphanumeric() {
            separator.clear();
            continue;
        }
        separator.push(c);
        // One `.`, one or two `_`, or any number of `-`.
        if !matches!(separator.as_str(), "." | "_" | "__") && separator.chars().any(|c| c != '-') {
            return Err(Reason::new(format!("`{component}` has `{separator}` between letters or digits"))
                .hint("use one `.`, one or two `_`, or any number of `-`"));
        }
    }
    Ok(())
}

/// Whether a tag can have this character.
pub(super) fn is_of_tag(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

pub(super) fn check_tag(tag: &str) -> Result<(), Reason> {
    if tag.is_empty() {
        return Err(Reason::new("the tag is empty").hint("name a tag after the `:`, or remove the `:`"));
    }
    let length = tag.chars().count();
    if length > LONGEST_TAG {
        return Err(Reason::new(format!("the tag has {length} characters, more than {LONGEST_TAG}")));
    }
    if let Some(bad) = tag.chars().find(|c| !is_of_tag(*c)) {
        let reason = Reason::new(format!("tag `{tag}` contains `{bad}`"));
        return Err(match bad {
            '/' => reason.hint("the `/` of a branch's name is written `-` in a tag"),
            _ => reason.hint("use letters, digits, `_`, `.` and `-`"),
        });
    }
    if tag.starts_with(['.', '-']) {
        return Err(Reason::new(format!("tag `{tag}` begins with `{}`", &tag[..1]))
            .hint("begin it with a letter, a digit or `_`"));
    }
    Ok(())
}

pub(super) fn check_digest(digest: &str) -> Result<(), Reason> {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return Err(Reason::new(format!("digest `{digest}` names no algorithm")).hint("write `sha256:` before it"));
    };
    let expected = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => {
            return Err(Reason::new(format!("digest algorithm `{algorithm}` is not known"))
                .hint("use `sha256`, `sha384` or `sha512`"));
        }
    };
    if let Some(bad) = hex.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(Reason::new(format!("the digest contains `{bad}`"))
            .hint("a digest is written in the digits `0` to `9` and the lower-case letters `a` to `f`"));
    }
    if hex.len() != expected {
        return Err(Reason::new(format!("the {algorithm} digest has {} digits instead of {expected}", hex.len()))
            .hint("copy the whole digest, for instance from `docker images --digests`"));
    }
    Ok(())
}
