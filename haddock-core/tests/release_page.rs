//! The page of a real release: which one it is about, what it shows, and what it says of what is not known.
#![allow(missing_docs)]

use std::time::Duration;

use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::report::{Page, Tone};
use haddock_core::testing::World;
use haddock_core::{Error, ErrorKind, ServiceName, Share};

const FILE: &str = "
name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock: { session: { idle: 30m }, release: { ramp: [10%, 50%, 100%], every: 10m, settle: 10m } }
";

fn spec(tag: &str) -> EnvironmentSpec {
    let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", FILE).expect("a file").resolve(&options).expect("no mistakes").spec
}

fn page(world: &World, which: Option<&str>) -> Result<Page, Error> {
    world.time.block_on(world.controller.service(ServiceName::new("shop").expect("valid")).report(which))
}

fn labels(page: &Page) -> Vec<&str> {
    page.marks.iter().map(|mark| mark.label.as_str()).collect()
}

fn fact<'a>(page: &'a Page, label: &str) -> &'a str {
    let found = page.facts.iter().find(|fact| fact.label.contains(label));
    &found.unwrap_or_else(|| panic!("no {label}: {:?}", page.facts)).value
}

#[test]
fn a_release_is_drawn_from_its_begin_until_the_old_version_is_gone() {
    let world = World::new().unwrap();
    world.release(&spec("v1")).unwrap();
    let mut session = world.open_session(&ServiceName::new("shop").expect("valid")).expect("it serves");
    world.time.advance(Duration::from_secs(3600));
    assert!(!session.request(), "it has expired, so there is another");
    world.release(&spec("v2")).unwrap();

    // The session lives, so the old version drains.
    let drains = page(&world, None).unwrap();
    assert_eq!(drains.title, "shop: release of version 2");
    assert_eq!(fact(&drains, "older version"), "–");
    world.time.advance(Duration::from_secs(3600));
    let page = page(&world, None).unwrap();
    let conclusion = page.conclusion.as_ref().unwrap();
    assert_eq!((conclusion.tone, conclusion.word.as_str()), (Tone::Good, "settled"));
    for label in ["begins", "launching", "ready", "stage 10%", "stage 50%", "full share", "settled", "drains", "gone"] {
        assert!(labels(&page).contains(&label), "{label}: {:?}", labels(&page));
    }
    assert!(fact(&page, "full share").starts_with("20 min"), "{:?}", page.facts);
    assert!(fact(&page, "older version").ends_with("min") || fact(&page, "older version").contains(" s"));
    assert_eq!(fact(&page, "lost"), "0");

    let names: Vec<&str> = page.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["version 1", "version 2"]);
    let shares = |line: usize| page.lines[line].shares.iter().map(|(_, share)| *share).collect::<Vec<_>>();
    let percent = |shares: [u32; 4]| shares.map(Share::percent).to_vec();
    assert_eq!(shares(0), percent([100, 90, 50, 0]));
    assert_eq!(shares(1)[shares(1).len() - 3..], percent([0, 10, 50, 100])[1..]);
    assert_eq!(page.lines[0].share_at(page.from), Share::FULL, "it is known from the begin of the page");
    assert!(page.until_is_after_the_last_mark());
    assert!(page.notes.iter().any(|note| note.contains("keeps no record of traffic")), "{:?}", page.notes);
    assert!(page.lines[0].live.iter().any(|(_, live)| *live == Some(1)), "what the history counted is drawn");
    assert!(page.html().contains("asked for by <code>a test</code>"));
}

#[test]
fn an_aborted_release_says_why_and_an_older_one_can_be_asked_for() {
    let world = World::new().unwrap();
    let first = page(&world, None).expect_err("nothing there");
    assert_eq!((first.kind(), first.message()), (ErrorKind::NotFound, "there is no service `shop`"));
    world.release(&spec("v1")).unwrap();
    let release = world.begin_release(&spec("v2")).unwrap();
    world.time.advance(Duration::from_secs(300));
    world.time.block_on(release.abort("me")).unwrap();
    world.time.advance(Duration::from_secs(3600));
    world.release(&spec("v3")).unwrap();

    let aborted = page(&world, Some("v2")).unwrap();
    let conclusion = aborted.conclusion.as_ref().unwrap();
    assert_eq!((conclusion.tone, conclusion.word.as_str()), (Tone::Bad, "aborted"));
    assert!(conclusion.text.contains("`me` asked for it"), "{}", conclusion.text);
    assert!(labels(&aborted).contains(&"aborted") && !labels(&aborted).contains(&"settled"));
    let last = aborted.lines.last().unwrap();
    assert_eq!((last.name.as_str(), last.share_at(aborted.to)), ("version 2", Share::ZERO));
    assert_eq!(page(&world, Some("1")).unwrap().title, "shop: release of version 1");
    assert_eq!(page(&world, None).unwrap().title, "shop: release of version 3");
    let unknown = page(&world, Some("v9")).expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(unknown.hint().is_some_and(|hint| hint.contains("`3` (`v3`), `2` (`v2`), `1` (`v1`)")), "{unknown:#}");
}

#[test]
fn a_release_that_goes_on_is_shown_until_now() {
    let world = World::new().unwrap();
    world.release(&spec("v1")).unwrap();
    world.begin_release(&spec("v2")).unwrap();
    world.time.advance(Duration::from_secs(660));
    let page = page(&world, None).unwrap();
    assert_eq!(page.conclusion.as_ref().unwrap().word, "ramping");
    assert!((page.to - page.from).as_secs() >= 660);
}

trait Ends {
    fn until_is_after_the_last_mark(&self) -> bool;
}

impl Ends for Page {
    fn until_is_after_the_last_mark(&self) -> bool {
        self.marks.last().is_some_and(|mark| mark.at < self.to)
    }
}
