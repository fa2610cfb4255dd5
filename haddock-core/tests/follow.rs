//! Continuous releases in a simulated world: a registry, a controller and a follower in virtual time.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::Service;
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::follow::{Follower, Naming};
use haddock_core::release::{Event, FollowWait, SkipReason, Verdict};
use haddock_core::runtime::sim::SimImage;
use haddock_core::testing::World;
use haddock_core::{Error, ErrorKind, Result, ServiceName, VersionId};

const FILE: &str = r#"
name: shop
services: { web: { image: "registry.local/shop:${TAG}", expose: ["8080"] } }
x-haddock:
  ready: { within: 30s }
  session: { idle: 5m }
  release: { ramp: [10%, 100%], every: 10m, settle: 5m }
  follow: { release: "main-*", every: 30s }
"#;
const GOOD: SimImage = SimImage::good(Duration::from_secs(2));
const MINUTE: Duration = Duration::from_secs(60);

fn resolved(file: &str, naming: &Naming) -> Result<EnvironmentSpec> {
    let (tag, images) = (Some(naming.tag.clone()), naming.images.clone());
    let options = ResolveOptions { tag, images, purpose: Purpose::Release, ..ResolveOptions::default() };
    Ok(ComposeFile::parse("compose.yaml", file)?.resolve(&options)?.spec)
}

fn spec(tag: &str) -> EnvironmentSpec {
    resolved(FILE, &Naming { tag: tag.to_owned(), images: BTreeMap::new() }).expect("a good file")
}

async fn after(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

struct Scene {
    world: World,
    service: Service,
    file: String,
}

impl Scene {
    /// A world in which `main-0` serves; or nothing does yet.
    fn new(file: &str, serves: bool) -> Self {
        let world = World::new().expect("a world");
        world.runtime.set_other_images(None);
        let service = world.controller.service(ServiceName::new("shop").expect("a name"));
        let scene = Self { world, service, file: file.to_owned() };
        scene.world.act(&scene.service).expect("nobody else acts");
        if serves {
            scene.push("main-0", GOOD);
            scene.world.release(&spec("main-0")).expect("it settles");
        }
        scene
    }

    fn push(&self, tag: &str, image: SimImage) {
        self.world.runtime.add_image(format!("registry.local/shop:{tag}"), image);
        self.world.time.advance(Duration::from_secs(1));
    }

    fn follower(&self) -> Follower {
        let file = self.file.clone();
        let read = move |naming: &Naming| resolved(&file, naming);
        Follower::new(self.world.controller.clone(), Arc::new(self.world.runtime.clone()), Arc::new(read))
    }

    /// Follows the registry for this time, and acts.
    fn follow(&self, lasts: Duration) {
        let follower = self.follower();
        self.world.time.block_on(follower.run(after(lasts))).expect("it follows to the end");
        self.world.time.advance(MINUTE);
    }

    fn history(&self) -> Vec<Event> {
        let mut events = self.service.events(0);
        let mut all = Vec::new();
        loop {
            let page = self.world.time.block_on(events.next_within(Duration::from_secs(30))).expect("it can be read");
            if page.is_empty() {
                return all;
            }
            all.extend(page.into_iter().map(|recorded| recorded.event));
        }
    }

    /// The tags that were released, and what became of each.
    fn released(&self) -> Vec<(String, &'static str)> {
        let history = self.history();
        let end = |version: VersionId| {
            let ended = history.iter().find_map(|event| match event {
                Event::ReleaseSettled { version: this } if *this == version => Some("settled"),
                Event::ReleaseAborted { version: this, .. } if *this == version => Some("aborted"),
                Event::ReleaseUnchanged { version: this, .. } if *this == version => Some("unchanged"),
                _ => None,
            });
            ended.unwrap_or("open")
        };
        let started = history.iter().filter_map(|event| match event {
            Event::ReleaseStarted { version, images, .. } => {
                let image = images.values().next().expect("an image");
                Some((image.rsplit_once(':').expect("a tag").1.to_owned(), end(*version)))
            }
            _ => None,
        });
        started.collect()
    }

    fn waits(&self) -> Vec<FollowWait> {
        let waits = self.history().into_iter().filter_map(|event| match event {
            Event::FollowWaits { wait, .. } => Some(wait),
            _ => None,
        });
        waits.collect()
    }
}

fn settled(tags: &[&str]) -> Vec<(String, &'static str)> {
    tags.iter().map(|tag| ((*tag).to_owned(), "settled")).collect()
}

#[test]
fn the_first_tag_of_a_service_is_released() {
    let scene = Scene::new(FILE, false);
    scene.push("feature-1", GOOD);
    scene.push("main-1", GOOD);
    scene.push("main-2", GOOD);
    scene.push("other-1", GOOD);
    scene.follow(30 * MINUTE);
    assert_eq!(scene.released(), settled(&["main-2"]));
    let by = scene.history().into_iter().filter_map(|event| match event {
        Event::RequestTaken { by, .. } => Some(by),
        _ => None,
    });
    assert_eq!(by.collect::<Vec<_>>(), ["x-haddock.follow"]);
}

#[test]
fn of_twenty_tags_that_come_faster_than_the_ramp_the_last_good_one_serves() {
    let scene = Scene::new(FILE, true);
    let mut session = scene.world.open_session(scene.service.name()).expect("it serves");
    for number in 1..=20 {
        let image = if number == 20 || number == 7 { SimImage::never_ready() } else { GOOD };
        scene.push(&format!("main-{number}"), image);
    }
    scene.follow(Duration::from_secs(60));
    assert!(session.request(), "it is where it was");
    scene.follow(40 * MINUTE);
    assert_eq!(scene.released()[1..], [("main-20".to_owned(), "aborted"), ("main-19".to_owned(), "settled")]);
    let skipped = scene.history().into_iter().filter_map(|event| match event {
        Event::TagsSkipped { tags, why } => Some((tags.len(), why)),
        _ => None,
    });
    let skipped: Vec<_> = skipped.collect();
    assert_eq!(skipped[0], (19, SkipReason::Newer("main-20".to_owned())), "{skipped:?}");
    assert!(matches!(skipped[1], (1, SkipReason::GivenUp(VersionId(2)))), "{skipped:?}");
    let state = scene.world.time.block_on(scene.service.status()).expect("it is read").expect("it is there").state;
    assert_eq!(state.versions[&VersionId(2)].verdict, Verdict::Bad);
    assert_eq!(state.known_good, Some(VersionId(3)));
    let before = scene.released().len();
    scene.follow(30 * MINUTE);
    assert_eq!(scene.released().len(), before, "nothing comes back: {:?}", scene.released());
}

#[test]
fn a_release_is_asked_for_as_soon_as_the_one_before_is_over() {
    let scene = Scene::new(&FILE.replace("every: 30s", "every: 6h"), true);
    scene.push("main-1", GOOD);
    let mut follower = scene.follower();
    scene.world.time.block_on(follower.look()).expect("it looks");
    scene.push("main-2", GOOD);
    // Its first look finds that a release is in progress, and the next one would be in six hours.
    scene.follow(60 * MINUTE);
    assert_eq!(scene.released(), settled(&["main-0", "main-1", "main-2"]));
}

#[test]
fn a_registry_that_does_not_answer_is_told_of_once() {
    let scene = Scene::new(FILE, true);
    let away = |text: &str| Some(Error::new(ErrorKind::RegistryUnavailable, text.to_owned()));
    scene.world.runtime.with(|engine, _| engine.fail_registries(away("no route")));
    scene.follow(10 * MINUTE);
    scene.world.runtime.with(|engine, _| engine.fail_registries(away("connection refused")));
    scene.follow(10 * MINUTE);
    let troubles = scene.waits();
    assert!(matches!(&troubles[..], [FollowWait::Trouble(error)] if error.message() == "no route"), "{troubles:?}");
    scene.world.runtime.with(|engine, _| engine.fail_registries(None));
    scene.push("main-1", GOOD);
    scene.follow(60 * MINUTE);
    assert_eq!(scene.released(), settled(&["main-0", "main-1"]));
    assert!(scene.history().contains(&Event::FollowGoesOn));
}

#[test]
fn a_freeze_is_waited_for() {
    // The world begins on Tuesday 2030-01-01 at midnight.
    let file = FILE.replace("every: 30s", "every: 30s, freeze: Tue 00:00 – Tue 02:00 UTC");
    let scene = Scene::new(&file, true);
    scene.push("main-1", GOOD);
    scene.follow(60 * MINUTE);
    assert_eq!(scene.released(), settled(&["main-0"]));
    let waits = scene.waits();
    assert!(
        matches!(&waits[..], [FollowWait::Freeze { shown, .. }] if shown == "Tue 2030-01-01 02:00 UTC"),
        "{waits:?}"
    );
    let summary = |scene: &Scene| {
        let status = scene.world.time.block_on(scene.service.status()).expect("it is read").expect("it is there");
        status.summary().follow
    };
    assert_eq!(summary(&scene), None, "it is not followed any more");
    scene.follow(90 * MINUTE);
    assert_eq!(scene.released(), settled(&["main-0", "main-1"]));
}

#[test]
fn what_somebody_does_by_hand_is_respected() {
    let scene = Scene::new(FILE, true);
    scene.push("main-1", GOOD);
    scene.follow(60 * MINUTE);
    scene.push("main-2", GOOD);
    scene.follow(60 * MINUTE);
    let handle = scene.world.time.block_on(scene.service.rollback("me")).expect("asked");
    scene.world.time.block_on(handle.settled()).expect("it is back");
    scene.follow(60 * MINUTE);
    let rolled_back = scene.released();
    assert_eq!(rolled_back[..3], settled(&["main-0", "main-1", "main-2"]));
    assert_eq!(rolled_back.len(), 4, "only the rollback: {rolled_back:?}");
    scene.push("main-3", GOOD);
    // What somebody releases meanwhile is not overtaken.
    let other = scene.world.begin_release(&spec("main-1")).expect("asked");
    scene.follow(Duration::from_secs(30));
    assert!(!matches!(scene.world.time.block_on(other.summary()).expect("read").phase.name(), "skipped" | "aborted"));
    scene.follow(90 * MINUTE);
    assert_eq!(scene.released().last(), Some(&("main-3".to_owned(), "settled")));
}

#[test]
fn a_tag_that_means_another_image_is_new() {
    let scene = Scene::new(FILE, true);
    scene.push("main-1", GOOD);
    scene.follow(60 * MINUTE);
    scene.world.runtime.with(|engine, now| {
        engine.push_image("registry.local/shop:main-1", "second");
        engine.date_image("registry.local/shop:main-1", now);
    });
    scene.follow(60 * MINUTE);
    assert_eq!(scene.released(), settled(&["main-0", "main-1", "main-1"]));
}

#[test]
fn a_file_that_says_nothing_is_no_reason_to_wait() {
    let file = FILE.replace("  follow: { release: \"main-*\", every: 30s }\n", "");
    let scene = Scene::new(&file, true);
    let error = scene.follower().settings().expect_err("it says nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let ended = scene.world.time.block_on(scene.follower().run(std::future::pending()));
    assert_eq!(ended, Err(error));
}

#[test]
fn a_file_that_is_broken_meanwhile_is_told_of_and_read_again() {
    let scene = Scene::new(FILE, true);
    scene.push("main-1", GOOD);
    let broken = Arc::new(std::sync::Mutex::new(false));
    let read = {
        let broken = Arc::clone(&broken);
        move |naming: &Naming| resolved(if *broken.lock().expect("no panic") { "services: [" } else { FILE }, naming)
    };
    let runtime = Arc::new(scene.world.runtime.clone());
    let mut follower = Follower::new(scene.world.controller.clone(), runtime, Arc::new(read));
    scene.world.time.block_on(follower.look_only()).expect("it reads the file");
    *broken.lock().expect("no panic") = true;
    scene.world.time.block_on(follower.look()).expect_err("it cannot be read");
    scene.world.time.advance(MINUTE);
    assert!(matches!(&scene.waits()[..], [FollowWait::Trouble(_)]));
    *broken.lock().expect("no panic") = false;
    let look = scene.world.time.block_on(follower.look()).expect("it can be read");
    assert!(look.request.is_some(), "{look:?}");
}
