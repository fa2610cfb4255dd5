use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{Attempt, Followed, NewVersion, Outlook, Request};
use crate::settings::ServiceSettings;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000 + second * 1_000)
}

fn web() -> ComponentName {
    ComponentName::new("web").expect("a name")
}

/// Tag `main-N` of an image that was built in second N.
fn tag(number: u64) -> SeenTag {
    image(&format!("main-{number}"), &format!("id{number}"), Some(number))
}

fn image(name: &str, id: &str, built: Option<u64>) -> SeenTag {
    SeenTag {
        name: name.to_owned(),
        digest: format!("sha256:{id}"),
        built: built.map(at),
        commit: None,
        images: [(web(), BTreeSet::from([id.to_owned(), format!("sha256:{id}")]))].into(),
        missing: None,
    }
}

struct Scene {
    state: ServiceState,
    tags: Vec<SeenTag>,
    queue: Queue,
    freeze: Vec<Freeze>,
    is_asked: bool,
    now: Timestamp,
}

impl Scene {
    fn new(tags: impl IntoIterator<Item = u64>) -> Self {
        let service = ServiceName::new("shop").expect("a name");
        Self {
            state: ServiceState::new(service, JournalId::new("j").expect("an id")),
            tags: tags.into_iter().map(tag).collect(),
            queue: Queue::Newest,
            freeze: Vec::new(),
            is_asked: false,
            now: at(1_000),
        }
    }

    /// The image of this tag was put out, by itself or because somebody asked for it.
    fn put_out(&mut self, of: &SeenTag, verdict: Verdict, by_itself: bool) -> VersionId {
        let id = VersionId(self.state.versions.keys().next_back().map_or(1, |last| last.0 + 1));
        let settings = ServiceSettings::external(self.state.service.clone(), ([127, 0, 0, 1], 80).into());
        let mut new = NewVersion::new("spec".to_owned(), settings, BTreeMap::new());
        let built = of.built.unwrap_or_default();
        new.followed = by_itself.then(|| Followed { tag: of.name.clone(), built, images: of.images.clone() });
        let pin = of.images[&web()].first().cloned().expect("an id");
        // As the journal has them: what else a version has does not matter here.
        let version: Version = serde_json::from_value(json!({
            "request": format!("r{}", id.0), "new": new, "pins": { "web": pin }, "verdict": verdict,
            "replacing": Attempt::default(), "begun": at(900),
        }))
        .expect("a version");
        self.state.versions.insert(id, version);
        if verdict == Verdict::Settled {
            self.state.known_good = Some(id);
        }
        id
    }

    fn serves(&mut self, number: u64) -> VersionId {
        self.put_out(&tag(number), Verdict::Settled, true)
    }

    fn releases(&mut self, number: u64, by_itself: bool) -> VersionId {
        let version = self.put_out(&tag(number), Verdict::Open, by_itself);
        let release = json!({
            "version": version, "started_at": at(900), "rollback": false, "phase": "launching", "held_since": null,
            "paused_at": null, "advance": false, "pull": Attempt::default(), "waits": null,
        });
        self.state.release = Some(serde_json::from_value(release).expect("a release"));
        version
    }

    fn decide(&self) -> Decision {
        decide(&self.state, self.is_asked, &self.tags, self.queue, &self.freeze, self.now)
    }

    #[track_caller]
    fn expect(&self, expected: &str) {
        assert_eq!(shown(&self.decide().next), expected, "{:?}", self.decide());
    }

    #[track_caller]
    fn expect_skipped(&self, expected: &[&str]) {
        let skipped: Vec<String> = self.decide().skipped.iter().map(|it| format!("{}: {}", it.tag, it.why)).collect();
        assert_eq!(skipped, expected);
    }
}

fn shown(next: &Next) -> String {
    match next {
        Next::Release(tag) => format!("release {}", tag.name),
        Next::Wait(tag, wait) => format!("{tag} waits: {wait}"),
        Next::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn the_tag_that_was_built_last_is_the_first_release() {
    let mut scene = Scene::new([3, 1, 2]);
    scene.expect("release main-3");
    scene.expect_skipped(&[]);
    // The name says nothing.
    scene.tags.push(image("a-first-in-the-alphabet", "a", Some(9)));
    scene.tags.push(image("z-last", "z", Some(0)));
    scene.expect("release a-first-in-the-alphabet");
    scene.tags.clear();
    scene.expect("nothing");
}

#[test]
fn nothing_is_older_than_what_serves() {
    let mut scene = Scene::new(1..=5);
    scene.serves(5);
    scene.expect("nothing");
    scene.expect_skipped(&[]);
    scene.tags.push(tag(6));
    scene.expect("release main-6");
    // Somebody has gone back to an old one by hand: only what is newer than all of them comes.
    scene.put_out(&tag(2), Verdict::Settled, false);
    scene.tags.pop();
    scene.expect("nothing");
    scene.tags.push(tag(7));
    scene.expect("release main-7");
}

#[test]
fn of_twenty_tags_only_the_newest_waits() {
    let mut scene = Scene::new(1..=2);
    scene.serves(1);
    scene.releases(2, true);
    scene.expect("nothing");
    for number in 3..=20 {
        scene.tags.push(tag(number));
        scene.expect(&format!("main-{number} waits: the release of version 2 is in progress"));
    }
    let skipped = scene.decide().skipped;
    assert_eq!(skipped.len(), 17, "{skipped:?}");
    assert!(skipped.iter().all(|it| it.why == SkipReason::Newer("main-20".to_owned())));
    scene.state.release = None;
    scene.state.versions.get_mut(&VersionId(2)).expect("put out").verdict = Verdict::Settled;
    scene.state.known_good = Some(VersionId(2));
    scene.expect("release main-20");
}

#[test]
fn what_was_given_up_does_not_come_back_and_the_one_before_does() {
    let mut scene = Scene::new(1..=5);
    scene.serves(1);
    let bad = scene.put_out(&tag(5), Verdict::Bad, true);
    scene.expect("release main-4");
    scene.expect_skipped(&[
        "main-5: version 2 has the same images, and was given up",
        "main-3: `main-4` is newer",
        "main-2: `main-4` is newer",
    ]);
    // The same image under another name, pushed later.
    scene.tags.push(SeenTag { name: "main-6".to_owned(), ..tag(5) });
    scene.expect("release main-4");
    // Long after its version is forgotten.
    let gone = scene.state.versions.remove(&bad).expect("put out");
    scene.expect("release main-6");
    scene.state.follow.remember(bad, &gone);
    scene.expect("release main-4");
    // The same name with another image is another tag.
    scene.tags.push(image("main-5", "mended", Some(30)));
    scene.expect("release main-5");
}

#[test]
fn an_image_that_never_came_to_the_host_is_not_tried_for_ever() {
    let mut scene = Scene::new(1..=2);
    scene.serves(1);
    let version = scene.put_out(&tag(2), Verdict::Bad, true);
    scene.state.versions.get_mut(&version).expect("put out").pins = None;
    scene.expect("nothing");
    let gone = scene.state.versions.remove(&version).expect("put out");
    scene.state.follow.remember(version, &gone);
    scene.expect("nothing");
}

#[test]
fn after_a_rollback_by_hand_only_what_is_newer_comes() {
    let mut scene = Scene::new(1..=5);
    let first = scene.serves(3);
    let left = scene.serves(5);
    let version = scene.state.versions.get_mut(&left).expect("put out");
    (version.verdict, version.left) = (Verdict::Bad, true);
    scene.state.known_good = Some(first);
    scene.expect("nothing");
    scene.tags.push(tag(6));
    scene.expect("release main-6");
    scene.tags.pop();
    let gone = scene.state.versions.remove(&left).expect("put out");
    scene.state.follow.remember(left, &gone);
    scene.expect("nothing");
}

#[test]
fn after_an_abort_by_hand_only_what_is_newer_comes() {
    let mut scene = Scene::new(1..=5);
    scene.serves(3);
    let left = scene.put_out(&tag(5), Verdict::Aborted, false);
    scene.state.versions.get_mut(&left).expect("put out").left = true;
    scene.expect("nothing");
    // One that only a newer one has replaced may come.
    scene.state.versions.get_mut(&left).expect("put out").left = false;
    scene.expect("release main-5");
}

#[test]
fn what_somebody_asked_for_comes_first() {
    let mut scene = Scene::new(1..=4);
    scene.serves(1);
    scene.is_asked = true;
    scene.expect("main-4 waits: something that was asked for comes first");
    scene.is_asked = false;
    let settings = ServiceSettings::external(scene.state.service.clone(), ([127, 0, 0, 1], 80).into());
    let new = NewVersion::new("other".to_owned(), settings, BTreeMap::new());
    scene.state.queued = Some(Request {
        id: RequestId::new("hand").expect("an id"),
        at: at(1),
        by: "somebody".to_owned(),
        verb: Verb::Release(Box::new(new)),
        about: None,
    });
    for queue in [Queue::Newest, Queue::Supersede] {
        scene.queue = queue;
        scene.expect("main-4 waits: something that was asked for comes first");
    }
    scene.state.queued = None;
    scene.releases(2, false);
    scene.expect("main-4 waits: the release of version 2 is in progress");
}

#[test]
fn a_newer_one_takes_the_place_of_one_that_came_by_itself_if_the_file_says_so() {
    let mut scene = Scene::new(1..=4);
    scene.queue = Queue::Supersede;
    scene.serves(1);
    scene.releases(3, true);
    scene.expect("release main-4");
    scene.tags.pop();
    scene.expect("nothing");
    scene.expect_skipped(&["main-2: `main-3` is newer"]);
    scene.tags.push(tag(4));
    scene.state.release.as_mut().expect("in progress").rollback = true;
    scene.expect("main-4 waits: the release of version 2 is in progress");
}

#[test]
fn a_freeze_has_two_ends() {
    let mut scene = Scene::new(1..=2);
    scene.serves(1);
    scene.freeze = vec!["Fri 16:00 – Mon 08:00 Europe/Stockholm".parse().expect("a freeze")];
    // Clocks go forward in this weekend: 2030-03-31.
    let of = |text: &str| {
        let at: jiff::Timestamp = text.parse().expect("a time");
        Timestamp::from_millis(u64::try_from(at.as_millisecond()).expect("after 1970"))
    };
    for (now, expected) in [
        ("2030-03-29T14:59:59.999Z", "release main-2"),
        ("2030-03-29T15:00:00Z", "main-2 waits: releases are frozen until Mon 2030-04-01 08:00 Europe/Stockholm"),
        ("2030-04-01T05:59:59.999Z", "main-2 waits: releases are frozen until Mon 2030-04-01 08:00 Europe/Stockholm"),
        ("2030-04-01T06:00:00Z", "release main-2"),
    ] {
        scene.now = of(now);
        scene.expect(expected);
    }
    // Nothing waits, so nothing is frozen.
    scene.now = of("2030-03-30T12:00:00Z");
    scene.tags.pop();
    scene.expect("nothing");
}

#[test]
fn a_tag_waits_until_all_its_images_are_there() {
    let mut scene = Scene::new(1..=3);
    scene.serves(1);
    scene.tags[2].missing = Some("worker:main-3".to_owned());
    scene.expect("release main-2");
    scene.tags.remove(1);
    scene.expect("main-3 waits: `worker:main-3` is not in the registry yet");
    scene.tags[1].missing = None;
    scene.expect("release main-3");
}

#[test]
fn a_version_is_known_by_all_its_images() {
    let mut scene = Scene::new([1]);
    scene.serves(1);
    let worker = ComponentName::new("worker").expect("a name");
    let of = |number: u64, worker_id: &str| {
        let mut tag = tag(number);
        tag.images.insert(worker.clone(), [worker_id.to_owned()].into());
        tag
    };
    let bad = scene.put_out(&tag(2), Verdict::Bad, true);
    let pins = scene.state.versions.get_mut(&bad).expect("put out").pins.as_mut().expect("pulled");
    pins.insert(worker.clone(), "bad".to_owned());
    scene.tags = vec![of(2, "bad")];
    scene.expect("nothing");
    // The entry is the same, the other is mended.
    scene.tags = vec![of(2, "mended")];
    scene.expect("release main-2");
}

#[test]
fn what_does_not_say_when_it_was_built_is_not_compared() {
    let mut scene = Scene::new([1, 2]);
    scene.serves(1);
    scene.tags.push(image("main-x", "x", None));
    scene.expect("release main-2");
    scene.expect_skipped(&["main-x: its image does not say when it was built"]);
    // What serves is in no registry: what was built before its release began does not come.
    let mut scene = Scene::new([899, 901]);
    scene.put_out(&image("local", "local", None), Verdict::Settled, false);
    scene.expect("release main-901");
    scene.tags.pop();
    scene.expect("nothing");
}

#[test]
fn a_service_that_was_retired_stays_so() {
    let mut scene = Scene::new([1]);
    scene.state.retired = true;
    scene.expect("main-1 waits: the service was retired: release it by hand");
}

#[test]
fn how_many_tags_are_told_of_is_bounded() {
    let mut scene = Scene::new(1..=500);
    scene.serves(1);
    let skipped = scene.decide().skipped;
    assert_eq!((skipped.len(), skipped[0].tag.as_str()), (MAX_SKIPPED, "main-499"));
    let outlook = Outlook { skipped, ..Outlook::default() };
    let written = serde_json::to_string(&outlook).expect("written").len();
    assert!(written < 8_000, "{written} bytes");
}
