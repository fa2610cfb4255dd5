//! Processes outlive the controlling process, and the next one knows what became of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use haddock_core::JournalId;
use haddock_core::container::{Container, ContainerSpec, ContainerState, Identity, Selector};
use haddock_core::environment::probe::Probe;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::process::ProcessRuntime;
use haddock_tests::environment::{Corner, component};
use haddock_tests::pause;
use haddock_tests::process::ProcessHarness;

const FIXTURE: &str = env!("CARGO_BIN_EXE_fixture");
const JOURNAL: &str = "recovery";

/// A controlling process that has started `serve` and `exit`.
fn starter(folder: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_starter"))
        .arg(folder)
        .args([FIXTURE, JOURNAL])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let read = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
    assert!(read.is_ok() && line == "started\n", "{line:?}");
    child
}

async fn look(runtime: &ProcessRuntime) -> [Container; 2] {
    let journal = JournalId::new(JOURNAL).expect("a name");
    let list = runtime.list(&Selector::journal(&journal)).await.expect("a list");
    let mut list = list.into_iter();
    // By name: `exit`, `serve`.
    [list.next().expect("two"), list.next().expect("two")]
}

async fn ended(runtime: &ProcessRuntime) -> Container {
    for _ in 0..1_000 {
        let [exit, _] = look(runtime).await;
        if matches!(exit.state, ContainerState::Exited { .. }) {
            return exit;
        }
        pause().await;
    }
    panic!("it never ended")
}

#[tokio::test]
async fn a_killed_controllers_processes_are_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut former = starter(folder.path());
    // Killed in the middle of everything; its processes are not.
    former.kill().expect("killed");
    former.wait().expect("reaped");

    let next = ProcessRuntime::builder(folder.path()).build().expect("a runtime");
    let exit = ended(&next).await;
    let code = ContainerState::Exited { code: 3, out_of_memory: false };
    assert_eq!(exit.state, code, "the exit code is known although its parent is dead");
    assert_eq!(next.logs(&exit.id, 1).await.expect("logs"), ["line 5"]);
    next.start(&exit.id).await.expect("left as it is");
    assert_eq!(ended(&next).await, exit, "it is not run a second time");

    let [_, serve] = look(&next).await;
    assert_eq!(serve.state, ContainerState::Running);
    let probe = Probe { http: Some("/".to_owned()), ..Probe::tcp(serve.addresses[&8080]) };
    assert_eq!(probe.once(Duration::from_secs(5)).await, Ok(()), "it serves on");
    next.start(&serve.id).await.expect("left as it is");
    let another = ProcessRuntime::builder(folder.path()).build().expect("a runtime");
    assert_eq!(look(&another).await[1].incarnation(), serve.incarnation(), "the same life, whoever looks");

    next.stop(&serve.id, Duration::from_secs(30)).await.expect("stopped");
    assert_eq!(look(&another).await[1].state, ContainerState::Exited { code: 0, out_of_memory: false });
    for container in look(&next).await {
        another.remove(&container.id).await.expect("removed");
        assert_eq!(next.inspect(&container.id).await.expect("an answer"), None);
    }
}

#[tokio::test]
async fn a_process_that_was_killed_from_outside_has_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut former = starter(folder.path());
    former.kill().expect("killed");
    former.wait().expect("reaped");
    let runtime = ProcessRuntime::builder(folder.path()).build().expect("a runtime");
    let [_, serve] = look(&runtime).await;

    // Its shell and all, as an operator or the kernel does it.
    let run = std::fs::read_to_string(folder.path().join("containers/serve/run")).expect("it runs");
    let pid: i32 = run.lines().nth(1).and_then(|stat| stat.split(' ').next()?.parse().ok()).expect("a pid");
    let group = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).expect("killed");
    for _ in 0..1_000 {
        let [_, now] = look(&runtime).await;
        if let ContainerState::Exited { code, .. } = now.state {
            assert_eq!((code, now.started), (137, serve.started));
            return;
        }
        pause().await;
    }
    panic!("it is still said to run")
}

#[tokio::test]
async fn a_pid_of_somebody_else_is_not_taken_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut former = starter(folder.path());
    former.kill().expect("killed");
    former.wait().expect("reaped");
    let runtime = ProcessRuntime::builder(folder.path()).build().expect("a runtime");
    let [_, serve] = look(&runtime).await;
    let path = folder.path().join("containers/serve/run");
    let run = std::fs::read_to_string(&path).expect("it runs");

    // The machine was restarted, and the pid means another process now.
    let boot = run.lines().next().expect("a boot id");
    for other in [run.replace(boot, "another-boot"), run.replace(" 0 -1 ", " 0 0 -1 ")] {
        std::fs::write(&path, &other).expect("written");
        let [_, now] = look(&runtime).await;
        assert_ne!(other, run, "the case is met");
        assert_eq!(now.state, ContainerState::Exited { code: 137, out_of_memory: false });
        runtime.stop(&now.id, Duration::ZERO).await.expect("nothing to stop");
        std::fs::write(&path, &run).expect("written");
        let _ = std::fs::remove_file(folder.path().join("containers/serve/exit"));
    }
    runtime.remove(&serve.id).await.expect("removed");
}

#[tokio::test]
async fn a_port_that_was_lost_before_the_start_is_replaced() {
    let harness = ProcessHarness::new(FIXTURE);
    let corner = Corner::new(&harness);
    let plan = corner.plan(1, [("web", component(&harness, &["serve"]))]).await;
    let spec = ContainerSpec {
        name: "web".to_owned(),
        image: plan.images.values().next().expect("one").clone(),
        identity: Identity::environment(&plan.journal, &plan.instance),
        expose: vec![8080],
        ..ContainerSpec::default()
    };
    // Created, and then somebody else listens on the port that was chosen.
    let id = corner.runtime().create(&spec).await.expect("created");
    let record = harness.folder().join("containers/web/container.json");
    let text = std::fs::read_to_string(&record).expect("a record");
    let chosen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let chosen = u16::try_from(chosen["ports"][0][1].as_u64().expect("a port")).expect("a port");
    let _somebody = std::net::TcpListener::bind(("127.0.0.1", chosen)).expect("still free");

    corner.runtime().start(&id).await.expect("started");
    let address = corner.runtime().inspect(&id).await.expect("an answer").expect("it runs").addresses[&8080];
    assert_ne!(address.port(), chosen);
    let probe = Probe { http: Some("/".to_owned()), ..Probe::tcp(address) };
    for _ in 0..500 {
        if probe.once(Duration::from_secs(1)).await.is_ok() {
            return corner.clean().await;
        }
        pause().await;
    }
    panic!("it does not serve at {address}")
}
