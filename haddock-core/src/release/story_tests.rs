use super::*;
use crate::error::{Error, ErrorKind};
use crate::release::AbortReason;
use crate::time::Timestamp;

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

fn request(name: &str) -> RequestId {
    RequestId::new(name).expect("valid")
}

/// A history, numbered from 1.
fn history(events: Vec<Event>) -> Vec<RecordedEvent> {
    let recorded = |(n, event): (u64, Event)| RecordedEvent {
        sequence: n + 1,
        at: Timestamp::from_millis(n * 1_000),
        number: number(n + 1),
        event,
    };
    (0..).zip(events).map(recorded).collect()
}

fn number(revision: u64) -> FencingToken {
    FencingToken { epoch: 1, revision }
}

fn taken(name: &str) -> Event {
    let verb = name.split('-').next().expect("a verb").to_owned();
    Event::RequestTaken { id: request(name), verb, by: "me".into() }
}

fn started(name: &str, version: u64) -> Event {
    let images = BTreeMap::from([(crate::ComponentName::new("web").expect("valid"), format!("shop:v{version}"))]);
    let rollback = name.starts_with("rollback");
    Event::ReleaseStarted {
        request: request(name),
        version: VersionId(version),
        images,
        commit: None,
        promoted: None,
        rollback,
    }
}

fn starting(instance: &str, version: u64) -> Event {
    Event::InstanceStarting { instance: id(instance), version: VersionId(version), replacement: false }
}

fn asked(revision: u64, shares: &[(&str, u32)]) -> Event {
    let shares = shares.iter().map(|(name, percent)| (id(name), Share::percent(*percent))).collect();
    Event::SharesAsked { number: number(revision), shares }
}

/// The first version serves; the second is released, and the first drains.
fn a_release() -> Vec<RecordedEvent> {
    let (one, two) = (VersionId(1), VersionId(2));
    history(vec![
        taken("release-1"),
        started("release-1", 1),
        Event::ReleaseLaunching { version: one },
        starting("a", 1),
        Event::StageReached { version: one, stage: 0, share: Share::FULL },
        asked(1, &[("a", 100)]),
        Event::SharesInForce { number: number(1) },
        Event::ReleaseSettling { version: one },
        Event::ReleaseSettled { version: one },
        taken("release-2"),
        started("release-2", 2),
        Event::ReleaseLaunching { version: two },
        starting("b", 2),
        Event::InstanceReady { instance: id("b") },
        Event::StageReached { version: two, stage: 0, share: Share::percent(10) },
        asked(2, &[("a", 90), ("b", 10)]),
        Event::SharesInForce { number: number(2) },
        asked(3, &[("b", 100)]),
        Event::SharesInForce { number: number(3) },
        Event::InstanceDraining { instance: id("a"), sessions: Some(3), deadline: None },
        Event::ReleaseSettling { version: two },
        Event::ReleaseSettled { version: two },
        Event::InstanceRetiring { instance: id("a"), sessions_lost: 0, drained_for: Some(1) },
        Event::InstanceGone { instance: id("a"), log: Vec::new() },
    ])
}

#[test]
fn a_release_is_told_from_its_request_to_the_end_of_the_drain() {
    let mut story = Story::new();
    let told: Vec<String> = a_release()
        .iter()
        .map(|recorded| {
            let telling = story.tell(recorded);
            let phase = telling.phase.map_or("-", Progress::name);
            let version = telling.version.map_or(0, |version| version.0);
            let draining = telling.draining.map_or("?".to_owned(), |sessions| sessions.to_string());
            let (share, in_force) = (telling.share, telling.share_in_force);
            format!("{phase} {version} {share} {in_force} {draining}: {}", telling.message)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_story_of_a_request_is_about_that_release_alone() {
    let phases = |about: &str| -> Vec<Option<Progress>> {
        let mut story = Story::of(request(about));
        a_release().iter().map(|recorded| story.tell(recorded).phase).collect()
    };
    let first = phases("release-1");
    assert_eq!(first[8..], [Some(Progress::Settled); 16], "what follows changes nothing");
    let second = phases("release-2");
    assert_eq!(second[..9], [None; 9], "nothing of it has happened");
    assert_eq!(second[9..12], [Some(Progress::Waiting), Some(Progress::Preparing), Some(Progress::Launching)]);
    assert_eq!(second.last(), Some(&Some(Progress::Settled)));
}

#[test]
fn the_sessions_of_a_drain_can_be_counted_anew() {
    let mut story = Story::new();
    for recorded in &a_release()[..20] {
        story.tell(recorded);
    }
    assert_eq!((story.drains(), story.draining()), (true, Some(3)));
    story.count(&id("a"), Some(1));
    story.count(&id("b"), Some(9));
    assert_eq!(story.draining(), Some(1), "what does not drain does not count");
    story.count(&id("a"), None);
    assert_eq!(story.draining(), None);
}

#[test]
fn an_abort_tells_who_and_why() {
    let version = VersionId(1);
    let error = Error::new(ErrorKind::ContainerExited, "component `web` exited with code 3");
    for (reason, why) in [
        (AbortReason::Asked { by: "me".into() }, "`me` asked for it"),
        (AbortReason::Superseded, "a newer release takes its place"),
        (AbortReason::Failed(error), "component `web` exited with code 3"),
    ] {
        let events = history(vec![
            taken("release-1"),
            started("release-1", 1),
            Event::ReleaseAborting { version, reason: reason.clone() },
            Event::ReleaseAborted { version, reason },
        ]);
        let mut story = Story::new();
        let told: Vec<Telling> = events.iter().map(|recorded| story.tell(recorded)).collect();
        assert_eq!(told[2].message, format!("version 1 gives its share back: {why}"));
        assert_eq!(told[3].message, format!("the release of version 1 was aborted: {why}"));
        assert_eq!((told[2].phase, told[3].phase), (Some(Progress::Aborting), Some(Progress::Aborted)));
    }
}

#[test]
fn what_is_refused_or_overtaken_has_its_own_end() {
    let error = Error::new(ErrorKind::NothingToDo, "there is no version to go back to");
    let refused = history(vec![taken("rollback-1"), Event::RequestRefused { id: request("rollback-1"), error }]);
    let mut story = Story::of(request("rollback-1"));
    let told: Vec<Telling> = refused.iter().map(|recorded| story.tell(recorded)).collect();
    assert_eq!(told[1].phase, Some(Progress::Refused));
    assert_eq!(told[1].message, "rollback was refused: there is no version to go back to");

    let skipped = history(vec![
        taken("release-1"),
        started("release-1", 1),
        taken("release-2"),
        Event::ReleaseQueued { id: request("release-2") },
        taken("release-3"),
        Event::ReleaseSkipped { id: request("release-2") },
        Event::ReleaseQueued { id: request("release-3") },
    ]);
    let last = |mut story: Story| skipped.iter().map(|recorded| story.tell(recorded).phase).last().flatten();
    assert_eq!(last(Story::of(request("release-2"))), Some(Progress::Skipped));
    assert_eq!(last(Story::of(request("release-3"))), Some(Progress::Waiting));
    assert_eq!(last(Story::new()), Some(Progress::Preparing), "the first goes on");
}

#[test]
fn one_that_waited_and_was_dropped_was_aborted() {
    let events = history(vec![
        taken("release-1"),
        started("release-1", 1),
        taken("release-2"),
        Event::ReleaseQueued { id: request("release-2") },
        taken("abort-1"),
        Event::ReleaseWithdrawn { id: request("release-2"), by: "me".into() },
    ]);
    let last = |mut story: Story| events.iter().map(|recorded| story.tell(recorded)).last().expect("told");
    let told = last(Story::of(request("release-2")));
    assert_eq!((told.phase, told.version), (Some(Progress::Aborted), None));
    assert_eq!(told.message, "the waiting release is dropped: `me` asked for it");
    assert_eq!(last(Story::of(request("release-1"))).phase, Some(Progress::Preparing), "the first goes on");
}

#[test]
fn a_rollback_during_a_release_has_settled_when_that_is_aborted() {
    for back_to in [Some(VersionId(1)), None] {
        let (version, reason) = (VersionId(2), AbortReason::Asked { by: "me".into() });
        let events = history(vec![
            taken("release-2"),
            started("release-2", 2),
            taken("rollback-1"),
            Event::ReleaseAborting { version, reason: reason.clone() },
            Event::RollbackAborts { request: request("rollback-1"), version, back_to },
            Event::ReleaseAborted { version, reason },
        ]);
        let told = |about: &str| -> Vec<Option<Progress>> {
            let mut story = Story::of(request(about));
            events.iter().map(|recorded| story.tell(recorded).phase).collect()
        };
        let (aborting, aborted) = (Some(Progress::Aborting), Some(Progress::Aborted));
        assert_eq!(told("release-2")[3..], [aborting, aborting, aborted]);
        // Without a version to go back to it is an abort, and no more.
        let end = if back_to.is_some() { Some(Progress::Settled) } else { aborted };
        assert_eq!(told("rollback-1")[2..], [Some(Progress::Waiting), Some(Progress::Waiting), aborting, end]);
        let mut story = Story::of(request("rollback-1"));
        events.iter().for_each(|recorded| drop(story.tell(recorded)));
        assert_eq!(story.version(), back_to.or(Some(version)));
    }
}

/// A table that did not arrive is sent again under another number, and so is one that lists another instance.
#[test]
fn shares_are_told_after_a_table_that_was_sent_again() {
    let in_force = |revision| Event::SharesInForce { number: number(revision) };
    let events = history(vec![
        taken("release-1"),
        started("release-1", 1),
        starting("a", 1),
        asked(4, &[("a", 100)]),
        in_force(6),
        in_force(8),
        starting("b", 1),
        asked(9, &[("b", 40), ("a", 60)]),
        in_force(8),
        in_force(9),
    ]);
    let mut story = Story::of(request("release-1"));
    let told: Vec<Telling> = events.iter().map(|recorded| story.tell(recorded)).collect();
    assert_eq!((told[3].share_in_force, told[4].share_in_force), (Share::ZERO, Share::FULL));
    let messages: Vec<&str> = [4, 5, 8, 9].map(|n: usize| told[n].message.as_str()).to_vec();
    assert_eq!(messages, ["new sessions go to version 1 100%"; 4]);
}

#[test]
fn a_release_of_what_serves_ends_with_the_version_that_serves() {
    let mut events: Vec<Event> = a_release().into_iter().map(|recorded| recorded.event).collect();
    let (version, known_good) = (VersionId(3), VersionId(2));
    events.extend([
        taken("release-3"),
        started("release-3", 3),
        Event::ReleaseUnchanged { version, known_good, other_rules: false },
    ]);
    let mut story = Story::of(request("release-3"));
    let last = history(events).iter().map(|recorded| story.tell(recorded)).last().expect("a telling");
    assert_eq!((last.phase, last.version, last.share), (Some(Progress::Settled), Some(known_good), Share::FULL));
    assert_eq!(last.message, "nothing would change: that is version 2, which serves already");
}

#[test]
fn an_adopted_server_is_told_by_its_address() {
    let (instance, address) = (id("a"), ([10, 0, 0, 1], 8080).into());
    let adopted = Event::ExternalAdopted {
        request: request("adopt-1"),
        instance: instance.clone(),
        version: VersionId(1),
        address,
    };
    let draining = Event::InstanceDraining { instance: instance.clone(), sessions: Some(1), deadline: None };
    let events = history(vec![taken("adopt-1"), adopted, draining, Event::ExternalReleased { instance, address }]);
    let mut story = Story::new();
    let told: Vec<Telling> = events.iter().map(|recorded| story.tell(recorded)).collect();
    let messages: Vec<&str> = told[1..].iter().map(|telling| telling.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the server at `10.0.0.1:8080` is being adopted as version 1",
            "instance `a` of version 1 drains, 1 session left",
            "nothing is left on the server at `10.0.0.1:8080`, which was adopted: it may be stopped",
        ]
    );
    assert_eq!((told[2].draining, told[3].draining), (Some(1), Some(0)));
    assert!(story.instances().is_empty());
}
