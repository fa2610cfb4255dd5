//! A small service to rehearse with.

use std::collections::BTreeMap;
use std::time::Duration;

use haddock_core::environment::{Entry, Readiness, ReleaseSettings, ServiceSettings, Stage};
use haddock_core::rehearsal::{Errors, Faults, Rehearsal, Stay, Traffic};
use haddock_core::release::NewVersion;
use haddock_core::routing::{Rate, SessionPolicy};
use haddock_core::{ComponentName, ServiceName, Share};

pub(crate) const IDLE: Duration = Duration::from_secs(300);

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// 10 %, 50 % and 100 %, five minutes each, then settled after ten; sessions of a fixed length.
pub(crate) fn plan(per_minute: f64) -> Rehearsal {
    let app = ComponentName::new("app").expect("valid");
    let stage = |percent| Stage::new(Share::percent(percent), minutes(5));
    let settings = ServiceSettings {
        service: ServiceName::new("shop").expect("valid"),
        entry: Entry { component: app.clone(), port: 8080 },
        ready: Readiness::default(),
        session: SessionPolicy { idle: IDLE, ..SessionPolicy::default() },
        release: ReleaseSettings {
            ramp: vec![stage(10), stage(50), stage(100)],
            settle: minutes(10),
            ..ReleaseSettings::default()
        },
        notify: 0,
    };
    let version = NewVersion::new("digest".to_owned(), settings, BTreeMap::from([(app, "app:1".to_owned())]));
    let traffic = Traffic::steady(per_minute, Stay::fixed(minutes(10))).expect("valid");
    Rehearsal::new(version, traffic)
}

pub(crate) fn rate(rate: f64) -> Rate {
    Rate::new(rate).expect("from 0 to 1")
}

pub(crate) fn errors(share: f64) -> Faults {
    Faults { errors: Some(Errors::always(rate(share))), ..Faults::default() }
}
