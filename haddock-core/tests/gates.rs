//! Gates: real programs and functions are asked by a controller whose runtime is simulated.
#![allow(missing_docs)]

mod site;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haddock_core::controller::{Builder, GateQuestion, Service};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions, Variables};
use haddock_core::release::{Event, GateAnswer, Verb, Verdict};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{ErrorKind, Share, VersionId};

fn spec(tag: &str, gate: &str) -> EnvironmentSpec {
    let text = format!(
        "
name: shop
services: {{ shop: {{ image: 'shop:${{TAG}}', expose: ['8080'] }} }}
x-haddock:
  entry: 'shop:8080'
  release: {{ ramp: [{{ share: 25%, every: 0s, gate: {gate} }}, 100%], settle: 0s }}
"
    );
    let options = ResolveOptions {
        tag: Some(tag.to_owned()),
        variables: Variables::from_iter([("TOKEN", "s3cret")]),
        purpose: Purpose::Release,
        ..ResolveOptions::default()
    };
    ComposeFile::parse("compose.yaml", &text).expect("YAML").resolve(&options).expect("good").spec
}

async fn history(service: &Service) -> Vec<Event> {
    let mut events = service.events(0);
    let mut all = Vec::new();
    loop {
        let page = events.next_within(Duration::from_millis(300)).await.expect("a history");
        if page.is_empty() {
            return all;
        }
        all.extend(page.into_iter().map(|recorded| recorded.event));
    }
}

/// Why the release waits now.
async fn waits(service: &Service) -> String {
    let status = service.status().await.expect("a journal").expect("it was released");
    let waits = status.summary().release.and_then(|release| release.waits);
    waits.map(|error| error.message().to_owned()).unwrap_or_default()
}

/// A service whose version 1 has settled, and who acts for it.
async fn site(builder: impl Fn(Builder) -> Builder + 'static) -> (site::Site, haddock_core::controller::Acting) {
    let site = site::Site::with(SimImage::good(Duration::ZERO), builder);
    let acting = site.service.act().await.expect("nobody else acts");
    let first = site.service.release(&spec("1", "hold"), "me", None).await.expect("asked");
    first.settled().await.expect("it settles");
    (site, acting)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_asked_until_it_says_go_and_knows_what_it_is_asked_about() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let (site, acting) = site(|builder| builder).await;
    let script = format!(
        "echo $$HADDOCK_SERVICE $$HADDOCK_VERSION $$HADDOCK_STAGE $$HADDOCK_SHARE $$HADDOCK_ADDRESSES >> {told}; \
         echo checked with ${{TOKEN}}; echo warming up >&2; test -e {go} || exit 75",
        told = told.display(),
        go = folder.path().join("go").display()
    );
    let gate = format!("{{ command: '{script}', every: 100ms }}");
    let release = site.service.release(&spec("2", &gate), "me", None).await.expect("asked");
    site::until("it is asked again and again", async || lines(&told).len() > 3).await;
    assert_eq!(waits(&site.service).await, "the gate after 25% says wait");
    let state = site.service.status().await.expect("a journal").expect("released").state;
    let [instance] = state.instances_of(VersionId(2)).map(|(_, it)| it.address()).collect::<Vec<_>>()[..] else {
        panic!("one replica")
    };
    assert_eq!(lines(&told)[0], format!("shop 2 0 25% {}", instance.expect("it listens")));
    assert_eq!(state.asked_share_of(VersionId(2)), Share::percent(25));
    // Its controller ends and another goes on: asked again.
    acting.stop().await.expect("it acted");
    let asked = lines(&told).len();
    let other = site.restarted();
    let acting = other.act().await.expect("nobody else acts");
    site::until("it is asked by the other one", async || lines(&told).len() > asked).await;
    std::fs::write(folder.path().join("go"), "").expect("writable");
    release.settled().await.expect("it settles");
    let history = history(&site.service).await;
    let opened = history.iter().find_map(|event| match event {
        Event::GateOpened { version: VersionId(2), stage: 0, output } => Some(output.clone()),
        _ => None,
    });
    assert_eq!(opened.expect("it opened"), ["checked with ${TOKEN}", "warming up"]);
    let kept =
        serde_json::to_string(&history).expect("plain data") + &serde_json::to_string(&state).expect("plain data");
    assert!(!kept.contains("s3cret"), "what is secret stays out of the journal");
    acting.stop().await.expect("it acted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_does_instead_of_saying_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let left = folder.path().join("left");
    let (site, acting) = site(|builder| builder).await;
    // It ends with all that it has started. The exit code counts although somebody still has its output open.
    let leaves = format!("(sleep 300; touch {}) & echo $$! > {}", left.display(), left.with_extension("pid").display());
    for (number, command, within, stop) in [
        (2, "echo one; echo two >&2; exit 3", "5m", "it ended with exit code 3"),
        (3, "[no-such-program-at-all]", "5m", ""),
        (4, "exec sleep 300", "300ms", "it took longer than 0.3 s"),
        (5, "kill -9 $$$$", "5m", ""),
        (6, &format!("{leaves}; exit 7"), "5m", "it ended with exit code 7"),
        (7, &format!("{leaves}; wait"), "600ms", "it took longer than 0.6 s"),
    ] {
        let command = if command.starts_with('[') { command.to_owned() } else { format!("'{command}'") };
        let gate = format!("{{ command: {command}, every: 100ms, within: {within} }}");
        let release = site.service.release(&spec(&number.to_string(), &gate), "me", None).await.expect("asked");
        if stop.is_empty() {
            // Nobody has said anything about the version: it stays where it is, and people see why.
            site::until("it says why it waits", async || waits(&site.service).await.contains("the gate")).await;
            let told = waits(&site.service).await;
            let expected = if number == 3 { "the gate's command cannot be started" } else { "ended before it could" };
            site::until("it says why", async || waits(&site.service).await.contains(expected)).await;
            assert!(!told.is_empty());
            site.service.ask(Verb::Abort, "me").await.expect("asked");
            release.settled().await.expect_err("aborted");
            continue;
        }
        let error = release.settled().await.expect_err("it says stop");
        assert_eq!(error.kind(), ErrorKind::HookFailed, "{error}");
        assert_eq!(error.message(), format!("the gate after 25% says stop: {stop}"));
        if number == 2 {
            assert_eq!(error.log_tail(), ["one", "two"]);
        }
        let state = site.service.status().await.expect("a journal").expect("released").state;
        assert_eq!(state.versions[&VersionId(number)].verdict, Verdict::Bad);
    }
    let pid = lines(&left.with_extension("pid")).remove(0);
    let ends = async || !Path::new("/proc").join(&pid).exists() || state_of(&pid) == 'Z';
    site::until("what the last one has started ends with it", ends).await;
    acting.stop().await.expect("it acted");
}

/// The state of a process, as in `/proc`. One that nobody waits for stays there as `Z`.
fn state_of(pid: &str) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('Z')
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_over_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid = folder.path().join("pid");
    let (site, acting) = site(|builder| builder).await;
    let gate = format!("{{ command: 'echo $$$$ > {}; sleep 300; exit 0' }}", pid.display());
    let release = site.service.release(&spec("2", &gate), "me", None).await.expect("asked");
    site::until("it thinks", async || !lines(&pid).is_empty()).await;
    site.service.ask(Verb::Abort, "me").await.expect("asked");
    release.settled().await.expect_err("aborted");
    let pid = lines(&pid).remove(0);
    site::until("it ends", async || !Path::new("/proc").join(&pid).exists() || state_of(&pid) == 'Z').await;
    acting.stop().await.expect("it acted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_asked_by_its_name_and_a_controller_without_it_waits() {
    let open = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (site, acting) = site(|builder| builder).await;
    let release = site.service.release(&spec("2", "{ call: smoke, every: 100ms }"), "me", None).await.expect("asked");
    site::until("it says what it waits for", async || {
        waits(&site.service).await == "this controller has no gate `smoke`"
    })
    .await;
    acting.stop().await.expect("it acted");

    let (is_open, noted) = (Arc::clone(&open), Arc::clone(&asked));
    let with_gate = move |builder: Builder| {
        let (is_open, noted) = (Arc::clone(&is_open), Arc::clone(&noted));
        builder.gate("smoke", move |question: GateQuestion| {
            noted.lock().expect("no panic").push(question);
            let answer = if is_open.load(Ordering::Relaxed) { GateAnswer::Go } else { GateAnswer::Wait };
            async move { Ok(answer) }
        })
    };
    let other = site.restarted_by(with_gate);
    let acting = other.act().await.expect("nobody else acts");
    site::until("it is asked", async || asked.lock().expect("no panic").len() > 2).await;
    let question = asked.lock().expect("no panic")[0].clone();
    assert_eq!((question.service.as_str(), question.version, question.stage), ("shop", VersionId(2), 0));
    assert_eq!((question.share, question.addresses.len()), (Share::percent(25), 1));
    open.store(true, Ordering::Relaxed);
    release.settled().await.expect("it settles");
    acting.stop().await.expect("it acted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_panics_or_fails_is_asked_again_and_one_may_stop_with_a_reason() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (site, acting) = site(move |builder| {
        let count = Arc::clone(&count);
        builder.gate("smoke", move |_: GateQuestion| {
            let before = count.fetch_add(1, Ordering::Relaxed);
            async move {
                match before {
                    0 => panic!("a bug of the gate"),
                    1 => Err(haddock_core::Error::new(ErrorKind::Busy, "the checker is away")),
                    _ => Ok(GateAnswer::Stop("the basket is empty".to_owned())),
                }
            }
        })
    })
    .await;
    let release = site.service.release(&spec("2", "{ call: smoke, every: 100ms }"), "me", None).await.expect("asked");
    let error = release.settled().await.expect_err("it says stop");
    assert_eq!(error.message(), "the gate after 25% says stop: the basket is empty");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    let history = history(&site.service).await;
    let told = |text: &str| {
        history.iter().any(|event| matches!(event, Event::ReleaseWaits { error, .. } if error.message().contains(text)))
    };
    assert!(told("the checker is away") && told("panicked"), "{history:#?}");
    acting.stop().await.expect("it acted");
}
