//! A controlling process that is killed at any point leaves nothing that its successor does not bring to its end:
//! under load no request fails, no session is lost or moved, and nothing is left behind on the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haddock_core::{ErrorKind, VersionId};
use haddock_tests::points::{Death, Point, When};
use haddock_tests::site::{Answer, Draft, Site};
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

impl Stage {
    async fn open() -> Option<Self> {
        let site = Site::open(PLAYER).await?;
        let draft = site.draft();
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
                gone = release.gone() => {
                    gone.unwrap_or_else(|error| panic!("{tag}: {error:#}"));
                    break;
                }
            }
        }
        self.finish(&tag, &release, process).await;
        for passed in &self.site.record()[already..] {
            if passed.died {
                *self.hit.entry(passed.point.clone()).or_default() += 1;
            }
        }
        self.took.push(now() - started);
        killed
    }

    async fn finish(
        &mut self,
        tag: &str,
        release: &haddock_core::controller::Release,
        process: haddock_tests::site::Controlling,
    ) {
        let gone = timeout(RELEASE, release.gone()).await;
        let gone = match gone {
            Ok(gone) => gone,
            Err(_) => panic!("{tag} is stuck: {:#?}", self.site.state().await),
        };
        gone.unwrap_or_else(|error| panic!("{tag}: {error:#}"));
        process.stop().await;
        self.site.assert_only(VersionId(u64::from(self.version))).await;
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
        self.finish(&tag, &release, process).await;
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
    let Some(mut stage) = Stage::open().await else { return };
    let load = stage.site.load(&stage.site.steady(40)).await;

    let mut number = 1;
    while stage.release(&[Death::At(number)]).await {
        let report = load.report();
        assert_eq!((report.failed, report.lost, report.moved), (0, 0, 0), "killed at point {number}: {report:?}");
        number += 1;
    }
    println!("a release has {} points; {} releases took {:.1?}", number - 1, stage.took.len(), began.elapsed());

    // Points come in another order when something is faster or slower than the time before.
    for (phase, what, when) in missing(&stage.hit) {
        let on = point(phase.unwrap_or(phase_of(what)), what, when);
        println!("not met by counting, aimed at: {on}");
        stage.release(&[Death::On(on)]).await;
    }

    // At any moment, in the middle of what is being done; the successor too.
    let typical = stage.took.iter().sum::<Duration>() / u32::try_from(stage.took.len()).expect("a few");
    for _ in 0..10 {
        let times = [rand::random_range(0.0..0.6), rand::random_range(0.0..0.4)].map(|part| typical.mul_f64(part));
        println!("{}: killed after {:.0?} and {:.0?}", stage.version + 1, times[0], times[1]);
        stage.release_with_kills_after(&times).await;
        let report = load.report();
        assert_eq!((report.failed, report.lost, report.moved), (0, 0, 0), "killed after {times:?}: {report:?}");
    }

    let summary = load.stop().await.expect("a summary");
    table(&stage.hit);
    println!(
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
    assert!(summary.is_clean(), "{summary:#?}");
}

fn table(hit: &BTreeMap<Point, u32>) {
    println!("\n{:<12} {:<8} {:>7} {:>7}", "phase", "what", "before", "after");
    let rows: BTreeSet<(&str, &str)> = hit.keys().map(|p| (p.phase.as_str(), p.what.as_str())).collect();
    for (phase, what) in rows {
        let times = |when| hit.get(&point(phase, what, when)).copied().unwrap_or(0);
        println!("{phase:<12} {what:<8} {:>7} {:>7}", times(When::Before), times(When::After));
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
