//! Environments that nobody uses, on a simulated engine: over days, across restarts, and while others change them.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::{ContainerId, Usage};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::idle::{IdlePolicy, IdleVerdict};
use haddock_core::environment::store::SpecStore;

use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::testing::VirtualTime;
use haddock_core::{EnvironmentName, JournalId, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const NEVER: IdlePolicy = IdlePolicy { stop_after: None, remove_after: None };

struct Site {
    time: VirtualTime,
    runtime: SimRuntime,
    journal: JournalId,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let time = VirtualTime::new(Timestamp::from_millis(1_700_000_000_000)).expect("a runtime");
        let runtime = SimRuntime::new(time.clock());
        runtime.set_other_images(Some(SimImage::good(Duration::ZERO)));
        runtime.tell_usage(|_| Usage { callers: Some(Vec::new()), ..Usage::default() });
        Self {
            time,
            runtime,
            journal: JournalId::new("idle").expect("an id"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The environments as another process has them.
    fn environments(&self) -> Environments {
        let specs = SpecStore::directory(self.specs()).expect("a store");
        let (runtime, probing) = (Arc::new(self.runtime.clone()), Arc::new(self.runtime.clone()));
        Environments::new(runtime, self.journal.clone(), specs, probing).at(self.time.clock())
    }

    fn specs(&self) -> std::path::PathBuf {
        self.folder.path().join("specs")
    }

    fn up(&self, name: &EnvironmentName, spec: &EnvironmentSpec) {
        let up = async { self.environments().up(name, spec, &UpOptions::default()).await };
        self.time.block_on(up).expect("up");
    }

    fn look(&self, name: &EnvironmentName, policy: &IdlePolicy, dry_run: bool) -> Option<IdleVerdict> {
        let pruned = self.time.block_on(async { self.environments().prune(policy, dry_run).await });
        pruned.expect("looked at").into_iter().find(|it| it.name == *name).map(|it| it.verdict)
    }

    /// Looks each minute for this time. Returns the result of the last look.
    fn watch(&self, name: &EnvironmentName, time: Duration) -> Option<IdleVerdict> {
        let mut last = None;
        for _ in 0..time.as_secs() / MINUTE.as_secs() {
            self.time.advance(MINUTE);
            last = self.look(name, &NEVER, false);
        }
        last
    }

    fn states(&self, name: &EnvironmentName) -> BTreeMap<ContainerId, bool> {
        let Ok(environment) = self.time.block_on(async { self.environments().get(name).await }) else {
            return BTreeMap::new();
        };
        environment.components.values().map(|it| (it.id.clone(), it.is_running())).collect()
    }

    fn runs(&self, name: &EnvironmentName) -> bool {
        let states = self.states(name);
        !states.is_empty() && states.values().all(|runs| *runs)
    }
}

fn name(name: &str) -> EnvironmentName {
    EnvironmentName::new(name).expect("a name")
}

fn spec(idle: &str) -> EnvironmentSpec {
    let text =
        format!("name: shop\nservices: {{ web: {{ image: web, expose: [80] }} }}\nx-haddock: {{ idle: {idle} }}");
    ComposeFile::parse("compose.yaml", &text).expect("YAML").resolve(&ResolveOptions::default()).expect("good").spec
}

/// Every file of the folder except locks, with its contents.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a list").map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| (entry.file_name().into_string().expect("a name"), entry.path()));
    named.map(|(name, path)| (name, std::fs::read(path).expect("readable"))).collect()
}

#[test]
fn one_that_was_stopped_yesterday_and_is_brought_up_is_not_stopped_at_the_next_look() {
    let spec = spec("{ stop_after: 2h, remove_after: 168h }");
    // The monitor has run since then, or not. The environment is brought up, or started by hand.
    for (watched, by_hand) in [(true, false), (false, false), (true, true), (false, true)] {
        let (site, pr) = (Site::new(), name("pr"));
        site.up(&pr, &spec);
        assert!(matches!(site.watch(&pr, 2 * HOUR + MINUTE), Some(IdleVerdict::Stop { .. })));
        assert!(!site.runs(&pr));
        if watched {
            site.watch(&pr, DAY);
        } else {
            site.time.advance(DAY);
        }
        if by_hand {
            let id = site.states(&pr).into_keys().next().expect("it is there");
            site.runtime.with(|engine, now| engine.restart(&id, now));
        } else {
            site.up(&pr, &spec);
        }
        let verdict = site.watch(&pr, HOUR);
        assert!(matches!(verdict, Some(IdleVerdict::Idle { .. })) && site.runs(&pr), "{verdict:?}");
        assert!(matches!(
            site.watch(&pr, HOUR + 2 * MINUTE),
            Some(IdleVerdict::Stop { .. } | IdleVerdict::Idle { .. })
        ));
        assert!(!site.runs(&pr), "the limit holds as before");
    }
}

#[test]
fn a_changed_limit_is_in_force_after_the_next_up_and_replaces_nothing() {
    let (site, pr) = (Site::new(), name("pr"));
    site.up(&pr, &spec("{ stop_after: 1h }"));
    let before = site.states(&pr);
    site.up(&pr, &spec("{ stop_after: 3h }"));
    assert_eq!(site.states(&pr), before);
    site.watch(&pr, 2 * HOUR);
    assert!(site.runs(&pr), "it may be idle for three hours now");
    site.up(&pr, &spec("{ stop_after: 30m }"));
    assert_eq!(site.states(&pr), before);
    site.watch(&pr, HOUR);
    assert!(!site.runs(&pr), "it may be idle for half an hour now");
}

#[test]
fn a_dry_run_changes_nothing_and_is_no_look() {
    let (site, pr) = (Site::new(), name("pr"));
    let at_once = IdlePolicy { stop_after: Some(Duration::ZERO), remove_after: None };
    site.up(&pr, &spec("{}"));
    for looks in 0..2 {
        let before = files(&site.specs());
        for _ in 0..5 {
            site.time.advance(HOUR);
            site.look(&pr, &at_once, true).expect("looked at");
        }
        assert_eq!(files(&site.specs()), before);
        assert!(site.runs(&pr), "after {looks} looks");
        site.look(&pr, if looks == 0 { &at_once } else { &NEVER }, false);
        assert!(site.runs(&pr), "a single look ends nothing, whatever dry runs there were");
    }
}

#[test]
fn one_that_fails_does_not_end_the_pass_for_the_others() {
    let site = Site::new();
    let all = ["a", "b", "c"].map(name);
    for one in &all {
        site.up(one, &spec("{ stop_after: 1h }"));
    }
    // Its note cannot be read.
    std::fs::create_dir(site.specs().join("b.idle")).expect("a folder");
    let mut failed = 0;
    for _ in 0..70 {
        failed += u32::from(matches!(site.watch(&all[1], MINUTE), Some(IdleVerdict::Failed { .. })));
    }
    assert_eq!(failed, 70, "each look tells it");
    assert_eq!(all.each_ref().map(|one| site.runs(one)), [false, true, false]);
}

#[allow(clippy::disallowed_methods, reason = "time passes by a virtual clock")]
#[test]
fn what_an_up_is_at_work_on_is_neither_stopped_nor_removed() {
    let (site, pr) = (Site::new(), name("pr"));
    let spec = spec("{ stop_after: 1h, remove_after: 2h }");
    site.runtime.set_other_images(Some(SimImage::good(MINUTE)));
    site.up(&pr, &spec);
    site.watch(&pr, 2 * HOUR - MINUTE);
    assert!(!site.runs(&pr), "it is stopped, and about to be removed");
    let (one, other) = (site.environments(), site.environments());
    let options = UpOptions::default();
    let up = async {
        let up = one.up(&pr, &spec, &options);
        let prune = async {
            let mut verdicts = Vec::new();
            for _ in 0..5 {
                tokio::time::sleep(MINUTE / 10).await;
                verdicts.extend(other.prune(&NEVER, false).await.expect("looked at"));
            }
            verdicts
        };
        tokio::join!(up, prune)
    };
    let (up, looks) = site.time.block_on(up);
    up.expect("nobody removed it");
    assert!(looks.iter().all(|look| matches!(look.verdict, IdleVerdict::Used { .. })), "{looks:?}");
    assert!(matches!(site.watch(&pr, MINUTE), Some(IdleVerdict::Idle { .. })));
    assert!(site.runs(&pr));
}

#[test]
fn a_claim_that_a_killed_process_left_does_not_end_what_somebody_brought_up_since() {
    let (site, pr) = (Site::new(), name("pr"));
    let spec = spec("{ stop_after: 1h }");
    site.up(&pr, &spec);
    // This is as if its process had been killed.
    drop(site.environments().claim(&pr).expect("claimed"));
    site.up(&pr, &spec);
    assert!(matches!(site.watch(&pr, MINUTE), Some(IdleVerdict::Idle { .. })));
    assert!(site.runs(&pr));
    // A claim of a living process counts, no matter who brings the environment up.
    let claim = site.environments().claim(&pr).expect("claimed");
    site.up(&pr, &spec);
    assert!(matches!(site.watch(&pr, 2 * HOUR), Some(IdleVerdict::Used { .. })));
    // The idle time begins when the claim is released.
    claim.release();
    assert!(matches!(site.watch(&pr, MINUTE), Some(IdleVerdict::Idle { .. })));
    drop(site.environments().claim(&pr).expect("claimed"));
    assert!(matches!(site.watch(&pr, MINUTE), Some(IdleVerdict::Remove { .. })));
    assert_eq!(site.states(&pr), BTreeMap::new());
}

#[test]
fn who_keeps_it_is_heard_by_every_process_and_until_it_is_removed() {
    let (site, pr) = (Site::new(), name("pr"));
    let spec = spec("{ stop_after: 1h, remove_after: 4h }");
    site.up(&pr, &spec);
    site.watch(&pr, 30 * MINUTE);
    site.time.block_on(async { site.environments().keep(&pr, DAY).await }).expect("kept");
    site.watch(&pr, HOUR);
    site.up(&pr, &spec);
    // The time for which it is kept ends while it is stopped and nobody looks.
    let id = site.states(&pr).into_keys().next().expect("it is there");
    site.runtime.with(|engine, _| engine.stop(&id));
    assert!(matches!(site.watch(&pr, 3 * HOUR), Some(IdleVerdict::Used { .. })));
    site.time.advance(DAY);
    assert!(matches!(site.watch(&pr, MINUTE), Some(IdleVerdict::Idle { .. })));
    assert!(site.watch(&pr, 4 * HOUR).is_none(), "it is removed, and its keeping with it");
    site.up(&pr, &spec);
    site.watch(&pr, HOUR + 2 * MINUTE);
    assert!(!site.runs(&pr));
}
