//! Which release is meant.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind};
use crate::name::{ComponentName, RequestId, ServiceName, VersionId};
use crate::release::{Event, RecordedEvent};
use crate::time::Timestamp;

/// The shortest part of a commit that names it, as git has it.
const SHORTEST_COMMIT: usize = 7;
/// The releases that an error names, the newest ones.
const NAMED: usize = 8;

/// How a release began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) version: VersionId,
    pub(crate) images: BTreeMap<ComponentName, String>,
    pub(crate) commit: Option<String>,
    pub(crate) rollback: bool,
    /// Who asked for it.
    pub(crate) by: Option<String>,
}

impl Begun {
    fn tags(&self) -> impl Iterator<Item = &str> {
        // What follows the last colon is a port if a slash follows that.
        self.images.values().filter_map(|image| {
            let image = image.split('@').next().unwrap_or(image);
            image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))
        })
    }

    fn is(&self, which: &str) -> bool {
        let is_commit = |commit: &String| which.len() >= SHORTEST_COMMIT && commit.starts_with(which);
        self.tags().any(|tag| tag == which) || self.commit.as_ref().is_some_and(is_commit)
    }
}

/// The releases of a history, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    begun: Vec<Begun>,
    asked: BTreeMap<RequestId, String>,
}

impl Releases {
    /// Takes the next event.
    pub(crate) fn take(&mut self, recorded: &RecordedEvent) {
        match &recorded.event {
            Event::RequestTaken { id, verb, by } if matches!(verb.as_str(), "release" | "rollback") => {
                self.asked.insert(id.clone(), by.clone());
            }
            Event::ReleaseStarted { request, version, images, commit, rollback, .. } => self.begun.push(Begun {
                sequence: recorded.sequence,
                at: recorded.at,
                version: *version,
                images: images.clone(),
                commit: commit.clone(),
                rollback: *rollback,
                by: self.asked.remove(request),
            }),
            _ => {}
        }
    }

    /// The release that is meant: by the number of its version, else by a tag of its images or by its commit. The newest
    /// one that fits, and without a name the newest of all.
    pub(crate) fn choose(&self, service: &ServiceName, which: Option<&str>) -> Result<&Begun, Error> {
        let Some(newest) = self.begun.last() else {
            return Err(Error::new(ErrorKind::NotFound, format!("the history of `{service}` has no release")));
        };
        let Some(which) = which else { return Ok(newest) };
        let number = which.strip_prefix('v').unwrap_or(which).parse().ok().map(VersionId);
        let by_number = self.begun.iter().rev().find(|begun| Some(begun.version) == number);
        by_number.or_else(|| self.begun.iter().rev().find(|begun| begun.is(which))).ok_or_else(|| {
            let named: Vec<String> = self.begun.iter().rev().take(NAMED).map(name).collect();
            let more = self.begun.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(", and {more} older ones") } else { String::new() };
            Error::new(ErrorKind::NotFound, format!("the history of `{service}` has no release of `{which}`"))
                .with_hint(format!("there are {}{more}", named.join(", ")))
        })
    }
}

fn name(begun: &Begun) -> String {
    match begun.tags().next() {
        Some(tag) => format!("`{}` (`{tag}`)", begun.version.0),
        None => format!("`{}`", begun.version.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::FencingToken;

    fn releases() -> Releases {
        let mut releases = Releases::default();
        for version in 1..=12_u64 {
            let image = format!("registry.local:5000/app:main-{}@sha256:00", version.min(11));
            let event = Event::ReleaseStarted {
                request: RequestId::new(format!("release-{version}")).unwrap(),
                version: VersionId(version),
                images: [(ComponentName::new("app").unwrap(), image)].into(),
                commit: Some(format!("{version:04}abcdef01")),
                promoted: None,
                rollback: false,
            };
            let at = Timestamp::from_millis(version);
            releases.take(&RecordedEvent { sequence: version, at, number: FencingToken::default(), event });
        }
        releases
    }

    #[test]
    fn a_release_is_named_by_number_tag_or_commit() {
        let (releases, shop) = (releases(), ServiceName::new("shop").unwrap());
        let chosen = |which| releases.choose(&shop, which).map(|begun| begun.version.0).ok();
        assert_eq!(chosen(None), Some(12));
        assert_eq!([chosen(Some("3")), chosen(Some("v3"))], [Some(3), Some(3)]);
        assert_eq!(chosen(Some("main-4")), Some(4));
        assert_eq!(chosen(Some("main-11")), Some(12), "the newest with that tag");
        assert_eq!(chosen(Some("0005abc")), Some(5));
        for unknown in ["13", "v", "", "0005ab", "app", "5000/app:main-4", "00"] {
            assert_eq!(chosen(Some(unknown)), None, "{unknown}");
        }
    }

    #[test]
    fn an_error_names_the_releases() {
        let shop = ServiceName::new("shop").unwrap();
        let error = releases().choose(&shop, Some("main-99")).expect_err("unknown");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("there are `12` (`main-11`), `11` (`main-11`), `10` (`main-10`)"), "{hint}");
        assert!(hint.ends_with("and 4 older ones"), "{hint}");
        assert!(Releases::default().choose(&shop, None).is_err());
    }
}
