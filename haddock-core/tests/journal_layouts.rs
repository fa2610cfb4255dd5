//! Journals of each layout that a Haddock has written can be read, and a state that cannot be read stops only its own
//! service.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "the step of a wait that has a deadline")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::{Controller, Told, Until};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::journal::{Commit, Journal, Keep};
use haddock_core::locator::sim::SimLocator;
use haddock_core::release::{Event, Progress, ServiceState, Story, Verb};
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::{ErrorKind, FencingToken, LocatorName, RequestId, ServiceName, SystemClock, Timestamp};
use rusqlite::Connection;

/// Each layout that was ever written, and its events.
const LAYOUTS: [(&str, &str, usize); 2] = [
    ("layout-1-first", include_str!("journals/layout-1-first.sql"), 36),
    ("layout-1", include_str!("journals/layout-1.sql"), 51),
];
const LASTS: Duration = Duration::from_secs(30);

fn demo() -> ServiceName {
    ServiceName::new("demo").expect("valid")
}

/// A journal made from that file.
fn made(folder: &Path, name: &str, sql: &str) -> PathBuf {
    let path = folder.join(format!("{name}.db"));
    Connection::open(&path).expect("made").execute_batch(sql).expect("good SQL");
    path
}

fn tables(path: &Path) -> Vec<(String, String)> {
    let c = Connection::open(path).expect("opens");
    let sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = c.prepare(sql).expect("good SQL");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("readable");
    rows.collect::<Result<_, _>>().expect("readable")
}

#[tokio::test]
async fn each_layout_is_read_and_gone_on_with() {
    for (name, sql, events) in LAYOUTS {
        let folder = tempfile::tempdir().expect("a folder");
        let path = made(folder.path(), name, sql);
        let journal = SqliteJournal::open(&path).expect(name);
        assert_eq!(journal.services().await.expect(name), [demo()], "{name}");
        let state = journal.load(&demo()).await.expect(name).expect("it was released");
        assert!(state.known_good.is_some(), "{name}");
        let history = journal.history(&demo(), 0, 1_000).await.expect(name);
        assert_eq!((history.len(), journal.newest(&demo()).await.expect(name)), (events, events as u64), "{name}");
        let unreadable = history.iter().filter(|it| matches!(it.event, Event::Unreadable { .. })).count();
        assert_eq!(unreadable, 0, "{name}");
        // Requests that were taken up are found again, even if not as exactly as in the present layout.
        let first = history.iter().find_map(|it| match &it.event {
            Event::RequestTaken { id, .. } => Some(id.clone()),
            _ => None,
        });
        let first = first.expect("there was a release");
        let from = journal.taken_at(&demo(), &first).await.expect(name).expect("it was taken up");
        let checkpoint = journal.checkpoint(&demo(), from - 1).await.expect(name);
        let mut story = checkpoint.story.about(first);
        for event in journal.history(&demo(), checkpoint.sequence, 1_000).await.expect(name) {
            story.tell(&event);
        }
        assert_eq!(story.phase(), Some(Progress::Settled), "{name}");
        // Another epoch goes on.
        let lease = journal.acquire(&demo(), "here", LASTS, state.now).await.expect(name);
        assert_eq!(lease.epoch, state.number.epoch + 1, "{name}");
        let mut next = state.clone();
        (next.number.epoch, next.number.revision) = (lease.epoch, state.number.revision + 1);
        let commit = Commit { state: next.clone(), events: vec![Event::ReleasePaused], taken: Vec::new() };
        journal.commit(&lease, &commit).await.expect(name);
        drop(journal);
        let again = SqliteJournal::open(&path).expect(name);
        assert_eq!(again.load(&demo()).await.expect(name), Some(next), "{name}");
        assert_eq!(again.newest(&demo()).await.expect(name), events as u64 + 1, "{name}");
    }
}

/// The statements of the first Haddock that had a journal.
#[tokio::test]
async fn an_earlier_haddock_goes_on_with_what_this_one_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, sql, _) in LAYOUTS {
        let before = tables(&made(folder.path(), &format!("{name}-before"), sql));
        let path = made(folder.path(), name, sql);
        let journal = SqliteJournal::open(&path).expect(name);
        let mut state = journal.load(&demo()).await.expect(name).expect("it was released");
        let lease = journal.acquire(&demo(), "here", LASTS, state.now).await.expect(name);
        for revision in 1..=300 {
            (state.number.epoch, state.number.revision) = (lease.epoch, 1_000 + revision);
            let commit = Commit { state: state.clone(), events: vec![Event::ReleasePaused], taken: Vec::new() };
            journal.commit(&lease, &commit).await.expect(name);
        }
        let later = state.now + Duration::from_secs(3_600);
        journal.prune(&demo(), &Keep { age: Duration::ZERO, events: 100 }, later).await.expect(name);
        journal.give_back(&lease).await.expect(name);
        drop(journal);

        let now = tables(&path);
        assert!(before.iter().all(|table| now.contains(table)), "{name}: a table has changed: {now:#?}");
        let c = Connection::open(&path).expect("opens");
        let layout: i64 = c.pragma_query_value(None, "user_version", |row| row.get(0)).expect("readable");
        assert_eq!(layout, 1, "{name}: an earlier Haddock would refuse it");
        let newest = "SELECT coalesce(max(sequence), 0) FROM event WHERE service = 'demo'";
        let newest: u64 = c.query_row(newest, [], |row| row.get(0)).expect("readable");
        let insert =
            format!("INSERT INTO event VALUES ('demo', {newest} + 1, 1, 9, 9, '{{\"event\":\"release_paused\"}}')");
        c.execute(&insert, []).expect("six columns");
        c.execute("INSERT INTO request (service, id, request) VALUES ('demo', 'r', '{}')", []).expect("as before");
        c.execute("UPDATE request SET taken = 1 WHERE service = 'demo' AND id = 'r'", []).expect("as before");
        let pending = "SELECT count(*) FROM request WHERE service = 'demo' AND NOT taken";
        assert_eq!(c.query_row(pending, [], |row| row.get::<_, i64>(0)).expect("readable"), 0, "{name}");
        drop(c);
        // And the present Haddock works with what the first one wrote.
        let journal = SqliteJournal::open(&path).expect(name);
        assert_eq!(journal.newest(&demo()).await.expect(name), newest + 1, "{name}");
        let id = RequestId::new("r").expect("valid");
        assert_eq!(journal.taken_at(&demo(), &id).await.expect(name), Some(1), "{name}: somewhere after that");
    }
}

const FILE: &str = "
name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock: { entry: 'web:8080', release: { ramp: [100%], settle: 0s } }
";

fn spec() -> EnvironmentSpec {
    let options = ResolveOptions { tag: Some("v1".into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options).expect("good").spec
}

/// A controller with this journal, on an engine and a locator that have nothing.
fn controller(journal: &Arc<SqliteJournal>) -> Controller {
    let clock = Arc::new(SystemClock::new());
    let runtime = SimRuntime::new(Arc::clone(&clock) as _);
    runtime.set_other_images(Some(SimImage::good(Duration::ZERO)));
    let locator = SimLocator::new(LocatorName::new("gateway").expect("valid"), clock);
    let runtime = Arc::new(runtime);
    let builder =
        Controller::builder(runtime.clone(), Arc::new(locator), Arc::clone(journal) as _, SpecStore::memory());
    builder.probing(runtime).tick(Duration::from_millis(50)).build()
}

/// States of a newer Haddock, a damaged one, and names that are not valid.
const NEWER: &str = r#"
    INSERT INTO service (name, epoch, schema, state) VALUES ('billing', 7, 3, '{"schema":3,"service":"billing"}');
    INSERT INTO service (name, epoch, schema, state)
        SELECT 'mail', 7, 1, json_set(state, '$.frozen_until', 1, '$.service', 'mail') FROM service WHERE name = 'demo';
    INSERT INTO service (name, epoch, schema, state) VALUES ('torn', 7, 1, '{"schema":1,"serv');
    INSERT INTO service (name, epoch, schema, state) VALUES ('Not A Name', 7, 1, '{}');
    INSERT INTO request (service, id, request)
        VALUES ('shop', 'scale-1', '{"id":"scale-1","at":5,"by":"ci","verb":{"scale":{"replicas":3}}}');
    INSERT INTO request (service, id, request)
        VALUES ('shop', 'pause-1', '{"id":"pause-1","at":5,"by":"ci","verb":"pause","until":9}');
    INSERT INTO request (service, id, request) VALUES ('shop', 'torn-1', '{"id":');
    INSERT INTO request (service, id, request) VALUES ('shop', 'Not An Id', '{}');
    INSERT INTO event VALUES ('shop', 1, 5, 0, 0, '{"event":"instance_teleported","to":"mars"}');
"#;

#[tokio::test]
async fn what_cannot_be_read_stops_one_service_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path(), "journal", LAYOUTS[1].1);
    let journal = Arc::new(SqliteJournal::open(&path).expect("opens"));
    let c = Connection::open(&path).expect("opens");
    c.execute_batch(NEWER).expect("good SQL");
    let states = || -> Vec<(String, u64, String)> {
        let sql = "SELECT name, epoch, state FROM service WHERE name IN ('billing', 'mail', 'torn') ORDER BY name";
        let mut statement = c.prepare(sql).expect("good SQL");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.expect("readable").collect::<Result<_, _>>().expect("readable")
    };
    let before = states();
    let controller = controller(&journal);
    let service = |name: &str| controller.service(ServiceName::new(name).expect("valid"));

    let released = async {
        let release = service("shop").release(&spec(), "the test", None).await.expect("asked for");
        release.settled().await.expect("the others do not disturb it");
        // Long enough for many tries, if there were no waits.
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    controller.serve(released).await.expect("no service ends it");

    let kinds = [
        ("billing", ErrorKind::JournalTooNew),
        ("mail", ErrorKind::JournalTooNew),
        ("torn", ErrorKind::JournalCorrupt),
    ];
    for (name, kind) in kinds {
        assert_eq!(service(name).status().await.expect_err(name).kind(), kind, "{name}");
        let end = journal.last_end(service(name).name()).await.expect("readable").expect("it is told");
        assert_eq!(end.error.kind(), kind, "{name}");
        assert!(end.error.message().contains(&format!("`{name}`")), "{}", end.error);
    }
    assert_eq!(states(), before, "not a byte of theirs has changed, and no epoch was begun");
    assert!(service("demo").status().await.expect("readable").expect("released").ended.is_none());

    let mut story = Story::new();
    let history = journal.history(service("shop").name(), 0, 1_000).await.expect("readable");
    let told: Vec<String> = history.iter().map(|event| story.tell(event).message).collect();
    assert_eq!(told[0], "something that this Haddock does not know: `instance_teleported`");
    for (id, verb) in [("scale-1", "scale"), ("pause-1", "pause"), ("torn-1", "something")] {
        let refused = history.iter().find_map(|it| match &it.event {
            Event::RequestRefused { id: this, error } if this.as_str() == id => Some(error),
            _ => None,
        });
        let error = refused.unwrap_or_else(|| panic!("{id} is refused: {told:#?}"));
        assert_eq!(error.kind(), ErrorKind::NotSupported, "{error}");
        assert!(error.message().contains(&format!("`{verb}`")), "{error}");
    }
    assert_eq!(journal.pending(service("shop").name()).await.expect("readable"), []);
}

/// Old events that nobody can read do no harm.
#[tokio::test]
async fn following_a_release_reads_nothing_of_long_ago() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.db");
    let journal = Arc::new(SqliteJournal::open(&path).expect("opens"));
    let controller = controller(&journal);
    let service = controller.service(ServiceName::new("shop").expect("valid"));
    let lease = journal.acquire(service.name(), "before", LASTS, Timestamp::from_millis(1)).await.expect("free");
    for revision in 1..=50 {
        let mut state = ServiceState::new(service.name().clone(), journal.id().clone());
        state.number = FencingToken { epoch: lease.epoch, revision };
        let commit = Commit { state, events: vec![Event::ReleasePaused; 100], taken: Vec::new() };
        journal.commit(&lease, &commit).await.expect("in order");
    }
    journal.give_back(&lease).await.expect("held");
    let c = Connection::open(&path).expect("opens");
    c.execute("UPDATE event SET at = -1 WHERE sequence <= 4500", []).expect("written");
    journal.history(service.name(), 0, 1).await.expect_err("whoever reads these fails");

    let acting = service.act().await.expect("free");
    let release = service.release(&spec(), "the test", None).await.expect("asked for");
    let version = release.settled().await.expect("settles");
    let summary = release.summary().await.expect("readable");
    assert_eq!((summary.phase, summary.version), (Progress::Settled, Some(version)));
    let mut following = release.follow(Until::Settled, 0);
    let mut told = 0;
    while let Some(next) = following.next().await.expect("readable") {
        told += usize::from(matches!(next, Told::Event(_)));
    }
    assert!((5..50).contains(&told), "{told} events of the release are told, and none of before");
    service.events_from_now().await.expect("readable");
    let error = service.ask(Verb::Pause, "the test").await.expect_err("there is none in progress");
    assert_eq!(error.kind(), ErrorKind::NothingToDo, "{error}");
    acting.stop().await.expect("it acted");
}
