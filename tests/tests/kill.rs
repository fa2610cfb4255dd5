//! A controlling process that is killed at any point leaves nothing that its successor does not bring to its end:
//! under load no request fails, no session is lost or moved, and nothing is left behind on the engine.
#![allow(clippy::print_stdout, reason = "figures, for who reads the test's output")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haddock_core::controller::Release;
use haddock_core::release::{Event, PhaseName, ServiceState, Verb};
use haddock_core::{Error, ErrorKind, VersionId};
use haddock_examples::client::Options;
use haddock_examples::show::Load;
use haddock_tests::points::{Death, Point, When};
use haddock_tests::site::{Answer, Controlling, Draft, Site, assert_clean, excuse, tell_to_fail};
use tokio::time::{Instant, timeout};

const PLAYER: &str = env!("CARGO_BIN_EXE_player");
/// How long the first process may take to reach its point, or the release to end.
const RELEASE: Duration = Duration::from_secs(60);

/// What each kill test shares.
struct Stage {
    site: Site,
    draft: Draft,
    /// The version that runs.
    version: u32,
    /// How often each point was the last of a process.
    hit: BTreeMap<Point, u32>,
    /// The longest and the sum of the times that releases took.
    took: Vec<Duration>,
}

/// A candidate that has a share.
struct Ramping {
    release: Release,
    /// The length of the record before it.
    already: usize,
    addresses: Vec<std::net::SocketAddr>,
}

impl Stage {
    async fn open(change: impl FnOnce(&mut Draft)) -> Option<Self> {
        let site = Site::open(PLAYER).await?;
        let mut draft = site.draft();
        change(&mut draft);
        let mut stage = Self { site, draft, version: 0, hit: BTreeMap::new(), took: Vec::new() };
        stage.release(&[]).await;
        Some(stage)
    }

    fn tag(&self) -> String {
        format!("v{}", self.version)
    }

    /// Releases the next version. Its controlling processes end one after another as they are told, each followed at
    /// once by its successor; the last one brings it to its end. Answers whether the first was killed.
    async fn release(&mut self, deaths: &[Death]) -> bool {
        self.version += 1;
        let tag = self.tag();
        self.site.image(&tag).await;
        let started = now();
        let already = self.site.record().len();
        let mut process = self.site.controlling("the first", deaths.first().cloned().unwrap_or(Death::None)).await;
        let release = self.site.release(&self.draft, &tag).await;
        let mut killed = false;
        for (n, _) in deaths.iter().enumerate() {
            tokio::select! {
                was_killed = process.dies() => {
                    assert!(was_killed, "{tag}: a controlling process ended by itself");
                    killed = true;
                    let next = deaths.get(n + 1).cloned().unwrap_or(Death::None);
                    process = self.site.controlling("a successor", next).await;
                }
                gone = timeout(RELEASE, release.gone()) => {
                    let Ok(gone) = gone else { panic!("{tag} is stuck: {:#?}", self.site.state().await) };
                    gone.unwrap_or_else(|error| panic!("{tag}: {error:#}"));
                    break;
                }
            }
        }
        killed |= self.finish(&tag, &release, process).await;
        self.note(already);
        self.took.push(now() - started);
        killed
    }

    /// Releases the next version and, once it ramps, aborts it; the process that begins to is told when to end. Answers
    /// whether it was killed.
    async fn abort(&mut self, death: Death) -> bool {
        let ramping = self.ramp().await;
        let process = self.site.controlling("who aborts", death).await;
        self.site.service().submit(Verb::Abort, "the test").await.expect("a request");
        let (killed, error) = self.end_of(ramping, process).await;
        assert_eq!(error.kind(), ErrorKind::ReleaseAborted);
        killed
    }

    /// Releases the next version, which begins to fail once it has a share; the process that gives it up is told when to end.
    /// Answers whether it was killed.
    async fn give_up(&mut self, death: Death) -> bool {
        let ramping = self.ramp().await;
        let process = self.site.controlling("who gives up", death).await;
        for address in &ramping.addresses {
            tell_to_fail(*address, 0.8).await;
        }
        let (killed, error) = self.end_of(ramping, process).await;
        assert_eq!(error.kind(), ErrorKind::Harmful);
        killed
    }

    /// Releases the next version until it has a share. Nobody acts any more then.
    async fn ramp(&mut self) -> Ramping {
        self.version += 1;
        let tag = self.tag();
        self.site.image(&tag).await;
        let already = self.site.record().len();
        let starting = self.site.controlling("the first", Death::None).await;
        let release = self.site.release(&self.draft, &tag).await;
        let version = VersionId(u64::from(self.version));
        let serves = |state: &ServiceState| state.instances_of(version).any(|(_, i)| i.is(PhaseName::Serving));
        let state = self.site.until("the candidate serves", serves).await;
        assert!(!starting.stop().await, "nobody told it to die");
        let addresses = state.instances_of(version).filter_map(|(_, instance)| instance.address()).collect();
        Ramping { release, already, addresses }
    }

    /// Waits until nothing is left of a candidate. Answers whether its process was killed, and why its release failed.
    async fn end_of(&mut self, ramping: Ramping, mut process: Controlling) -> (bool, Error) {
        let only_first = |state: &ServiceState| {
            state.release.is_none() && state.instances.values().all(|instance| instance.version == VersionId(1))
        };
        let killed = tokio::select! {
            was_killed = process.dies() => {
                assert!(was_killed, "{}: a controlling process ended by itself", self.tag());
                process = self.site.controlling("a successor", Death::None).await;
                true
            }
            _ = self.site.until("the candidate is gone", only_first) => false,
        };
        let error = ramping.release.settled().await.expect_err("it was given up");
        self.site.until("the candidate is gone", only_first).await;
        let killed = self.retire(process).await || killed;
        self.site.assert_only(VersionId(1)).await;
        self.note(ramping.already);
        (killed, error)
    }

    /// Notes at which points processes were killed since the record had this length.
    fn note(&mut self, already: usize) {
        for passed in self.site.record()[already..].iter().filter(|passed| passed.died) {
            *self.hit.entry(passed.point.clone()).or_default() += 1;
        }
    }

    /// Waits until nothing but the release is left. Answers whether its process was killed after all: at a point that
    /// comes after that.
    async fn finish(&mut self, tag: &str, release: &Release, process: Controlling) -> bool {
        let gone = timeout(RELEASE, release.gone()).await;
        let Ok(gone) = gone else { panic!("{tag} is stuck: {:#?}", self.site.state().await) };
        gone.unwrap_or_else(|error| panic!("{tag}: {error:#}"));
        let killed = self.retire(process).await;
        self.site.assert_only(VersionId(u64::from(self.version))).await;
        killed
    }

    /// Stops a process that has nothing to do any more; one that was killed at the last moment has a successor, which
    /// finds nothing to do.
    async fn retire(&self, process: Controlling) -> bool {
        let killed = process.stop().await;
        if killed {
            let successor = self.site.controlling("a successor", Death::None).await;
            assert!(!successor.stop().await, "nobody told it to die");
        }
        killed
    }

    /// The release of the next version, with a kill from outside after each of these times.
    async fn release_with_kills_after(&mut self, times: &[Duration]) {
        self.version += 1;
        let tag = self.tag();
        self.site.image(&tag).await;
        let mut process = self.site.controlling("the first", Death::None).await;
        let release = self.site.release(&self.draft, &tag).await;
        for time in times {
            // The pause is the test's input: when the blow falls.
            let _ = timeout(*time, std::future::pending::<()>()).await;
            process.kill().await;
            process = self.site.controlling("a successor", Death::None).await;
        }
        let killed = self.finish(&tag, &release, process).await;
        assert!(!killed, "nobody told it to die");
    }
}

#[allow(clippy::disallowed_methods, reason = "the test tells how long it took")]
fn now() -> Instant {
    Instant::now()
}

fn point(phase: &str, what: &str, when: When) -> Point {
    Point { phase: phase.to_owned(), what: what.to_owned(), when }
}

/// Every commit of each phase of a release and every action, before and after.
fn required() -> BTreeSet<(Option<&'static str>, &'static str, When)> {
    let commits = ["preparing", "launching", "ramping 0", "ramping 1", "settling", "over"];
    let commits = commits.map(|phase| (Some(phase), "commit"));
    let actions = ["pull", "launch", "apply", "close", "stop"].map(|action| (None, action));
    let all = commits.into_iter().chain(actions);
    all.flat_map(|(phase, what)| [(phase, what, When::Before), (phase, what, When::After)]).collect()
}

fn missing(hit: &BTreeMap<Point, u32>) -> Vec<(Option<&'static str>, &'static str, When)> {
    let is_hit = |(phase, what, when): &(Option<&str>, &str, When)| {
        hit.keys().any(|p| phase.is_none_or(|phase| p.phase == phase) && p.what == *what && p.when == *when)
    };
    required().into_iter().filter(|wanted| !is_hit(wanted)).collect()
}

/// In which phase an action is met for certain.
fn phase_of(action: &str) -> &'static str {
    match action {
        "pull" => "preparing",
        "launch" => "launching",
        "apply" => "ramping 0",
        _ => "over",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_survives_the_death_of_its_controller_at_every_point() {
    let began = now();
    let Some(mut stage) = Stage::open(|_| {}).await else { return };
    let mut load = stage.site.load(&stage.site.steady(40)).await;

    let mut number = 1;
    while stage.release(&[Death::At(number)]).await {
        load = still_clean(load, &format!("killed at point {number}")).await;
        number += 1;
    }
    eprintln!("a release has {} points; {} releases took {:.1?}", number - 1, stage.took.len(), began.elapsed());

    // Points come in another order when something is faster or slower than the time before.
    for (phase, what, when) in missing(&stage.hit) {
        let on = point(phase.unwrap_or(phase_of(what)), what, when);
        eprintln!("not met by counting, aimed at: {on}");
        stage.release(&[Death::On(on)]).await;
    }

    // At any moment, in the middle of what is being done; the successor too.
    let typical = stage.took.iter().sum::<Duration>() / u32::try_from(stage.took.len()).expect("a few");
    for _ in 0..10 {
        let times = [rand::random_range(0.0..0.6), rand::random_range(0.0..0.4)].map(|part| typical.mul_f64(part));
        eprintln!("{}: killed after {:.0?} and {:.0?}", stage.version + 1, times[0], times[1]);
        stage.release_with_kills_after(&times).await;
        load = still_clean(load, &format!("killed after {times:?}")).await;
    }

    let summary = load.stop().await.expect("a summary");
    table(&stage.hit);
    eprintln!(
        "{} releases, {} requests of {} sessions: {} failed, {} lost, {} moved, p99 {} ms; {:.0?} in all",
        stage.version,
        summary.requests,
        summary.sessions,
        summary.failed,
        summary.lost,
        summary.moved,
        summary.p99_ms,
        began.elapsed()
    );
    assert_eq!(missing(&stage.hit), [], "points at which no process was killed");
    assert_clean(&summary);
}

/// The load, if nothing has gone wrong so far; else it is asked what.
async fn still_clean(load: Load, when: &str) -> Load {
    let report = load.report();
    if (report.failed, report.lost, report.moved) == (0, 0, 0) {
        return load;
    }
    let summary = load.stop().await.expect("a summary");
    panic!("{when}: {report:#?}\n{summary:#?}{}", excuse());
}

fn table(hit: &BTreeMap<Point, u32>) {
    eprintln!("\n{:<12} {:<8} {:>7} {:>7}", "phase", "what", "before", "after");
    let rows: BTreeSet<(&str, &str)> = hit.keys().map(|p| (p.phase.as_str(), p.what.as_str())).collect();
    for (phase, what) in rows {
        let times = |when| hit.get(&point(phase, what, when)).copied().unwrap_or(0);
        eprintln!("{phase:<12} {what:<8} {:>7} {:>7}", times(When::Before), times(When::After));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_controller_is_busy_until_the_first_one_dies() {
    let Some(site) = Site::open(PLAYER).await else { return };
    let first = site.controlling("the build server", Death::None).await;
    assert!(matches!(first.answer, Some(Answer::Acting)), "{:?}", first.answer);

    let busy = site.service().act().await.expect_err("another acts");
    assert_eq!(busy.kind(), ErrorKind::Busy);
    assert!(busy.message().contains("the build server"), "{busy}");
    let second = site.controlling("a colleague", Death::None).await;
    assert!(matches!(&second.answer, Some(Answer::Busy(error)) if error.message().contains("the build server")));
    drop(second);

    // The lease has half a minute to go: that is not waited for.
    let died = now();
    first.kill().await;
    let acting = site.service().act().await.expect("nobody acts any more");
    assert!(died.elapsed() < Duration::from_secs(5), "{:?}", died.elapsed());
    acting.stop().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_survives_the_death_of_its_controller() {
    let change = |draft: &mut Draft| draft.evict_after = Some(Duration::from_millis(300));
    let Some(mut stage) = Stage::open(change).await else { return };
    // Sessions that never end by themselves: each release evicts all of them, once.
    let sessions = 10;
    let residents = Options { stay: None, slow: 0.0, websockets: 0.0, ..stage.site.steady(sessions) };
    let load = stage.site.load(&residents).await;
    let deaths = [When::Before, When::After].map(|when| point("over", "evict", when));
    let overdue = point("over", "commit", When::After);
    for death in deaths.clone().into_iter().chain([overdue]) {
        assert!(stage.release(&[Death::On(death.clone())]).await, "nobody was killed {death}");
    }
    let summary = load.stop().await.expect("a summary");
    let evicted = 3 * sessions as u64;
    assert_eq!((summary.failed, summary.lost, summary.moved), (0, evicted, evicted), "{summary:#?}");
    let told = stage.site.events(|event| match event {
        Event::InstanceRetiring { sessions_lost, .. } => Some(sessions_lost),
        _ => None,
    });
    assert_eq!(told.await.iter().sum::<u64>(), evicted, "what was lost is told, and told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_survives_the_death_of_its_controller_at_every_point() {
    let Some(mut stage) = Stage::open(|_| {}).await else { return };
    let mut load = stage.site.load(&stage.site.steady(20)).await;
    stage.draft.every = Duration::from_secs(3600);
    let mut number = 1;
    while stage.abort(Death::At(number)).await {
        load = still_clean(load, &format!("killed at point {number}")).await;
        number += 1;
    }
    let summary = load.stop().await.expect("a summary");
    table(&stage.hit);
    for when in [When::Before, When::After] {
        let aborting =
            stage.hit.keys().any(|p| (p.phase.as_str(), p.what.as_str(), p.when) == ("aborting", "commit", when));
        assert!(aborting, "no process was killed {}", point("aborting", "commit", when));
    }
    assert_clean(&summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guard_s_abort_survives_the_death_of_its_controller_at_every_point() {
    let Some(mut stage) = Stage::open(|_| {}).await else { return };
    let load = stage.site.load(&stage.site.steady(20)).await;
    stage.draft.every = Duration::from_secs(3600);
    let mut number = 1;
    while stage.give_up(Death::At(number)).await {
        number += 1;
    }
    for (phase, what) in [("aborting", "commit"), ("over", "evict"), ("over", "stop")] {
        for on in [When::Before, When::After].map(|when| point(phase, what, when)) {
            // Points come in another order when something is faster or slower than the time before.
            if !stage.hit.contains_key(&on) {
                stage.give_up(Death::On(on.clone())).await;
            }
            assert!(stage.hit.contains_key(&on), "no process was killed {on}");
        }
    }
    table(&stage.hit);
    let summary = load.stop().await.expect("a summary");
    // The sessions of the candidates failed, and were lost with them. Nobody else's were.
    let evicted = stage.site.events(|event| match event {
        Event::InstanceRetiring { sessions_lost, .. } => Some(sessions_lost),
        _ => None,
    });
    let evicted = evicted.await.iter().sum::<u64>();
    assert!(summary.lost <= evicted, "{evicted} were evicted: {summary:#?}");
}
