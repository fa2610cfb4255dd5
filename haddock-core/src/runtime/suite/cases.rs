//! The cases. Each is one sentence of the contract.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};

use futures_util::future::join_all;

use super::ask::{GRACE, get, serves};
use super::*;
use crate::container::{AttachSpec, Health, HealthCheck, Output, OutputStream, PublishedPort, VolumeSpec};
use crate::runtime::Attached;
use crate::time::{Clock, SystemClock};

pub use super::capabilities::*;

/// An id means the same image for ever.
pub async fn pull_answers_the_same_id_again(bench: &Bench<'_>) {
    let image = bench.harness.serving();
    let first = bench.runtime().pull(&image, false).await.expect("pulled");
    assert_eq!(bench.runtime().pull(&image, false).await.expect("pulled"), first);
    assert_eq!(bench.runtime().pull(&image, true).await.expect("pulled"), first);
    let other = bench.runtime().pull(&bench.harness.exiting(), false).await.expect("pulled");
    assert_ne!(other, first);
}

/// An image that is neither on the host nor in a registry.
pub async fn an_image_that_is_nowhere_is_told(bench: &Bench<'_>) {
    for refresh in [false, true] {
        let kind = kind(bench.runtime().pull(&bench.harness.missing(), refresh).await);
        // A registry may be unavailable, or may refuse us. The image is reported missing only if this is certain.
        let told = [ErrorKind::ImageMissing, ErrorKind::RegistryRefused, ErrorKind::RegistryUnavailable];
        assert!(told.contains(&kind), "{kind:?}");
    }
}

/// Created is not started.
pub async fn a_created_container_does_not_run(bench: &Bench<'_>) {
    let spec = bench.spec(bench.harness.serving(), 1).await;
    let id = bench.runtime().create(&spec).await.expect("created");
    let container = bench.inspect(&id).await;
    assert_eq!((&container.id, &container.name), (&id, &spec.name));
    assert_eq!(container.state, ContainerState::Created);
    assert_eq!(container.started, 0, "it was never started");
    assert!(container.addresses.is_empty(), "nothing listens");
    assert!(spec.identity.is_carried_by(&container.labels), "{:?}", container.labels);
}

/// The same call twice has the same effect as once.
pub async fn create_again_takes_the_same(bench: &Bench<'_>) {
    let spec = bench.spec(bench.harness.serving(), 1).await;
    let id = bench.runtime().create(&spec).await.expect("created");
    assert_eq!(bench.runtime().create(&spec).await.expect("taken"), id);
    bench.runtime().start(&id).await.expect("started");
    assert_eq!(bench.runtime().create(&spec).await.expect("taken"), id, "one that runs is taken too");
    assert_eq!(bench.runtime().list(&bench.selector()).await.expect("a list").len(), 1);
}

/// What is known about a thing changes while it stays the same thing.
pub async fn other_labels_make_no_other(bench: &Bench<'_>) {
    let spec = bench.spec(bench.harness.serving(), 1).await;
    let (volume, network) = (bench.volume(1), bench.network(1));
    let capabilities = bench.runtime().capabilities();
    let mut made = Vec::new();
    for labels in [&[("commit", "1")][..], &[("commit", "2"), ("team", "shop")], &[]] {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let spec = ContainerSpec { labels: labels.clone(), ..spec.clone() };
        made.push(bench.runtime().create(&spec).await.expect("created or taken"));
        if capabilities.networks {
            let network = NetworkSpec { labels: labels.clone(), ..network.clone() };
            bench.runtime().create_network(&network).await.expect("created or taken");
        }
        if capabilities.volumes {
            bench.runtime().create_volume(&VolumeSpec { labels, ..volume.clone() }).await.expect("created or taken");
        }
    }
    assert!(made.iter().all(|id| *id == made[0]), "{made:?}");
    if capabilities.volumes {
        let theirs = VolumeSpec { identity: bench.identity(&bench.foreign, 1), ..volume.clone() };
        assert_eq!(kind(bench.runtime().create_volume(&theirs).await), ErrorKind::NameTaken);
        let found = bench.runtime().volumes(&bench.selector()).await.expect("a list");
        assert_eq!(found.iter().map(|it| &it.labels["commit"]).collect::<Vec<_>>(), ["1"], "it is the first");
        bench.runtime().remove_volume(&volume.name).await.expect("removed");
    }
}

/// Two callers that create the same container at once get the same one.
pub async fn creates_at_once_make_one(bench: &Bench<'_>) {
    let spec = bench.spec(bench.harness.serving(), 1).await;
    let ids = join_all((0..4).map(|_| bench.runtime().create(&spec))).await;
    let ids: Vec<ContainerId> = ids.into_iter().map(|id| id.expect("created or taken")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(bench.runtime().list(&bench.selector()).await.expect("a list").len(), 1);
}

/// A container of our name without our labels is another's.
pub async fn a_name_of_others_is_left_alone(bench: &Bench<'_>) {
    let ours = bench.spec(bench.harness.serving(), 1).await;
    let theirs = ContainerSpec { identity: bench.of_web(&bench.foreign, 1), ..ours.clone() };
    let existing = bench.running(&theirs).await;
    assert_eq!(kind(bench.runtime().create(&ours).await), ErrorKind::NameTaken);
    assert_eq!(bench.inspect(&existing.id).await, existing);
}

/// What was not pulled cannot be created.
pub async fn a_missing_image_cannot_be_created(bench: &Bench<'_>) {
    let image = bench.harness.missing().to_string();
    let spec = ContainerSpec { image, ..bench.spec(bench.harness.serving(), 1).await };
    assert_eq!(kind(bench.runtime().create(&spec).await), ErrorKind::ImageMissing);
    assert_eq!(bench.runtime().list(&bench.selector()).await.expect("a list"), []);
}

/// A started container runs, says since when, and is reached at the address of its exposed port.
pub async fn a_started_container_runs_and_is_reached(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    assert_eq!((&container.state, container.health), (&ContainerState::Running, Health::None));
    assert_ne!(container.started, 0);
    let address = container.addresses.get(&PORT).copied().expect("the exposed port has an address");
    if bench.harness.connects() {
        assert_eq!(get(bench, address).await, "");
    }
    let other = bench.running(&bench.spec(bench.harness.serving(), 2).await).await;
    assert_ne!(other.addresses.get(&PORT).copied(), Some(address), "each has an address of its own");
}

/// A second start is not another incarnation.
pub async fn start_again_is_the_same_incarnation(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    bench.runtime().start(&container.id).await.expect("left as it is");
    assert_eq!(bench.inspect(&container.id).await, container);
    let again = join_all((0..3).map(|_| bench.runtime().start(&container.id))).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(bench.runtime().list(&bench.selector()).await.expect("a list"), [container]);
}

/// A container that has ended stays ended: a one-shot migration does not run twice.
pub async fn start_does_not_revive(bench: &Bench<'_>) {
    let id = bench.running(&bench.spec(bench.harness.exiting(), 1).await).await.id;
    assert_eq!(bench.until_exited(&id).await, 3);
    let before = bench.inspect(&id).await;
    bench.runtime().start(&id).await.expect("left as it is");
    for _ in 0..10 {
        assert_eq!(bench.inspect(&id).await, before);
        bench.harness.pause().await;
    }
    assert_ne!(before.started, 0);
    assert!(before.addresses.is_empty());
}

/// A container that has ended can be started again by a caller that saw it end. It is the same container in another
/// life, and a repeated call does not start it a second time.
pub async fn start_again_begins_another_life_once(bench: &Bench<'_>) {
    let first = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    serves(bench, &first).await;
    bench.runtime().stop(&first.id, GRACE).await.expect("stopped");
    bench.until_exited(&first.id).await;
    let ended = bench.inspect(&first.id).await.incarnation();
    let again = join_all((0..3).map(|_| bench.runtime().start_again(&ended))).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    let second = bench.inspect(&first.id).await;
    assert_eq!(second.state, ContainerState::Running);
    assert_ne!(second.incarnation(), first.incarnation(), "it is another life");
    serves(bench, &second).await;

    // A late repetition, after that life has ended too.
    bench.runtime().stop(&first.id, GRACE).await.expect("stopped");
    bench.until_exited(&first.id).await;
    let before = bench.inspect(&first.id).await;
    bench.runtime().start_again(&ended).await.expect("left as it is");
    assert_eq!(bench.inspect(&first.id).await, before);
    assert_eq!(bench.runtime().list(&bench.selector()).await.expect("a list"), [before]);
}

/// Starting again changes nothing for a container that was never started, or that runs.
pub async fn start_again_leaves_what_has_not_ended(bench: &Bench<'_>) {
    let id = bench.runtime().create(&bench.spec(bench.harness.serving(), 1).await).await.expect("created");
    let created = bench.inspect(&id).await;
    bench.runtime().start_again(&created.incarnation()).await.expect("left as it is");
    assert_eq!(bench.inspect(&id).await, created);
    bench.runtime().start(&id).await.expect("started");
    let running = bench.inspect(&id).await;
    bench.runtime().start_again(&running.incarnation()).await.expect("left as it is");
    assert_eq!(bench.inspect(&id).await, running);
    bench.runtime().remove(&id).await.expect("removed");
    assert_eq!(kind(bench.runtime().start_again(&running.incarnation()).await), ErrorKind::NotFound);
}

/// Calls on what does not exist.
pub async fn a_missing_container_is_told(bench: &Bench<'_>) {
    let id = bench.runtime().create(&bench.spec(bench.harness.serving(), 1).await).await.expect("created");
    bench.runtime().remove(&id).await.expect("removed");
    for id in [id, ContainerId("no-such-container".to_owned())] {
        assert_eq!(bench.runtime().inspect(&id).await.expect("an answer"), None);
        assert_eq!(kind(bench.runtime().start(&id).await), ErrorKind::NotFound);
        assert_eq!(kind(bench.runtime().logs(&id, 1).await), ErrorKind::NotFound);
    }
}

/// A program that ends when asked is not killed, and not waited for longer.
pub async fn stop_asks_first(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    serves(bench, &container).await;
    let clock = SystemClock::new();
    let begun = clock.now();
    bench.runtime().stop(&container.id, GRACE).await.expect("stopped");
    assert!(clock.now().since(begun) < GRACE, "the grace is not sat out");
    let code = bench.until_exited(&container.id).await;
    assert!(matches!(code, 0 | 143), "ended with {code}");
    assert!(bench.inspect(&container.id).await.addresses.is_empty());
}

/// A program that does not end when asked is killed.
pub async fn stop_kills_after_the_grace(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.stubborn(), 1).await).await;
    serves(bench, &container).await;
    bench.runtime().stop(&container.id, Duration::from_secs(1)).await.expect("stopped");
    assert_eq!(bench.until_exited(&container.id).await, 137);
}

/// Stopping a container that does not run changes nothing.
pub async fn stop_again_and_of_nothing_is_fine(bench: &Bench<'_>) {
    let id = bench.runtime().create(&bench.spec(bench.harness.serving(), 1).await).await.expect("created");
    bench.runtime().stop(&id, GRACE).await.expect("nothing to stop");
    assert_eq!(bench.inspect(&id).await.state, ContainerState::Created);
    bench.runtime().start(&id).await.expect("started");
    serves(bench, &bench.inspect(&id).await).await;
    bench.runtime().stop(&id, GRACE).await.expect("stopped");
    let before = bench.inspect(&id).await;
    bench.runtime().stop(&id, GRACE).await.expect("nothing to stop");
    assert_eq!(bench.inspect(&id).await, before);
    bench.runtime().remove(&id).await.expect("removed");
    bench.runtime().stop(&id, GRACE).await.expect("nothing to stop");
}

/// When a removal answers, the name is free.
pub async fn remove_ends_what_runs_and_frees_the_name(bench: &Bench<'_>) {
    let spec = bench.spec(bench.harness.stubborn(), 1).await;
    let mut former = bench.running(&spec).await;
    for _ in 0..3 {
        bench.runtime().remove(&former.id).await.expect("removed");
        assert_eq!(bench.runtime().inspect(&former.id).await.expect("an answer"), None);
        let next = bench.running(&spec).await;
        assert_ne!(next.id, former.id, "a container of the same name is another one");
        assert_ne!(next.incarnation(), former.incarnation());
        former = next;
    }
}

/// Removing a container that is gone succeeds.
pub async fn remove_again_and_of_nothing_is_fine(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    let at_once = join_all((0..3).map(|_| bench.runtime().remove(&container.id))).await;
    assert!(at_once.iter().all(Result::is_ok), "{at_once:?}");
    bench.runtime().remove(&container.id).await.expect("it is gone");
    bench.runtime().remove(&ContainerId("no-such-container".to_owned())).await.expect("it is gone");
    assert_eq!(bench.runtime().list(&bench.selector()).await.expect("a list"), []);
}

/// A list has all containers with the labels, whatever they are doing, and no others.
pub async fn a_list_holds_what_the_selector_matches(bench: &Bench<'_>) {
    let created = bench.spec(bench.harness.serving(), 1).await;
    let running = bench.spec(bench.harness.serving(), 2).await;
    let exited = bench.spec(bench.harness.exiting(), 3).await;
    let mut foreign = bench.spec(bench.harness.serving(), 4).await;
    foreign.identity = bench.of_web(&bench.foreign, 4);
    bench.runtime().create(&created).await.expect("created");
    bench.running(&running).await;
    bench.running(&foreign).await;
    let exited = bench.running(&exited).await;
    bench.until_exited(&exited.id).await;

    let names = async |selector: Selector| {
        let list = bench.runtime().list(&selector).await.expect("a list");
        assert!(list.iter().all(|it| selector.matches(&it.labels)), "{list:?}");
        let mut names: Vec<String> = list.into_iter().map(|it| it.name).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(bench.selector()).await, [created.name, running.name.clone(), exited.name]);
    assert_eq!(names(Selector::environment(&bench.journal, &bench.instance(2))).await, [running.name]);
    assert_eq!(names(Selector::environment(&bench.journal, &bench.instance(9))).await, [""; 0]);
    assert_eq!(names(Selector::journal(&bench.foreign)).await, [foreign.name]);
}

/// Logs come oldest first, also after the program has ended.
pub async fn logs_are_the_last_lines(bench: &Bench<'_>) {
    let id = bench.runtime().create(&bench.spec(bench.harness.exiting(), 1).await).await.expect("created");
    assert_eq!(bench.runtime().logs(&id, 10).await.expect("logs"), [""; 0], "nothing was said yet");
    bench.runtime().start(&id).await.expect("started");
    bench.until_exited(&id).await;
    let all = ["line 1", "line 2", "line 3", "line 4", "line 5"];
    for _ in 0..LOOKS {
        // The last lines may be on their way when the program has ended.
        if bench.runtime().logs(&id, 10).await.expect("logs").len() == all.len() {
            break;
        }
        bench.harness.pause().await;
    }
    assert_eq!(bench.runtime().logs(&id, 10).await.expect("logs"), all);
    assert_eq!(bench.runtime().logs(&id, 2).await.expect("logs"), all[3..]);
    assert_eq!(bench.runtime().logs(&id, 0).await.expect("logs"), [""; 0]);
}

/// Starts, ends and removals are reported. Those of others are not.
pub async fn events_wake(bench: &Bench<'_>) {
    let mut events = bench.runtime().events(&bench.selector()).await.expect("a stream");
    let mut foreign = bench.spec(bench.harness.exiting(), 2).await;
    foreign.identity = bench.of_web(&bench.foreign, 2);
    bench.running(&foreign).await;
    let id = bench.running(&bench.spec(bench.harness.exiting(), 1).await).await.id;
    bench.until_exited(&id).await;
    bench.runtime().remove(&id).await.expect("removed");

    let mut told = Vec::new();
    for _ in 0..LOOKS {
        while let Some(Some(event)) = events.next().now_or_never() {
            assert_eq!(event.container, id, "{event:?} is of another");
            told.push(event.action);
        }
        if told.iter().any(|action| action == "destroy") {
            break;
        }
        bench.harness.pause().await;
    }
    let place = |wanted: &str| told.iter().position(|action| action == wanted);
    let (start, die, destroy) = (place("start"), place("die"), place("destroy"));
    assert!(start.is_some() && start < die && die < destroy, "{told:?}");
}

/// Variables reach the program.
pub async fn environment_variables_arrive(bench: &Bench<'_>) {
    let mut spec = bench.spec(bench.harness.serving(), 1).await;
    spec.environment.insert("GREETING".to_owned(), Sensitive::new("hello = $HOME 'there'"));
    let container = bench.running(&spec).await;
    assert_eq!(get(bench, container.addresses[&PORT]).await, "hello = $HOME 'there'");
}

/// A component reaches another under its alias.
pub async fn links_lead_to_the_component(bench: &Bench<'_>) {
    let command = bench.harness.calling("oracle").expect("else the case is left out");
    let mut oracle = bench.spec(bench.harness.serving(), 1).await;
    oracle.environment.insert("GREETING".to_owned(), Sensitive::new("from the oracle"));
    let oracle = bench.running(&bench.joined(oracle, 1, "oracle").await).await;
    get(bench, oracle.addresses[&PORT]).await;

    let mut caller = bench.spec(bench.harness.serving(), 1).await;
    caller.name = format!("{}-caller", bench.instance(1));
    caller.command = Some(command);
    let caller = bench.running(&bench.joined(caller, 1, "caller").await).await;
    let code = bench.until_exited(&caller.id).await;
    let log = bench.runtime().logs(&caller.id, 1).await.expect("logs");
    assert_eq!((code, log), (0, vec!["from the oracle".to_owned()]));
}

/// A port of the host that something else has is an error.
pub async fn a_taken_port_is_told(bench: &Bench<'_>) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    let host_address = Some([127, 0, 0, 1].into());
    let mut spec = bench.spec(bench.harness.serving(), 1).await;
    spec.publish = vec![PublishedPort { container: PORT, host_address, host: Some(port), ..PublishedPort::default() }];
    let id = bench.runtime().create(&spec).await.expect("created");
    assert_eq!(kind(bench.runtime().start(&id).await), ErrorKind::PortTaken);
    assert_eq!(bench.inspect(&id).await.state, ContainerState::Created, "it can be tried again");

    drop(free);
    bench.runtime().start(&id).await.expect("started");
    assert_eq!(get(bench, SocketAddr::from(([127, 0, 0, 1], port))).await, "");
}

/// A component's own health check.
pub async fn health_checks_decide_health(bench: &Bench<'_>) {
    for (number, code, expected) in [(1, 0, Health::Healthy), (2, 1, Health::Unhealthy)] {
        let test = bench.harness.checking(code).expect("else the case is left out");
        let mut spec = bench.spec(bench.harness.serving(), number).await;
        spec.health_check = Some(HealthCheck {
            test,
            interval: Some(Duration::from_millis(100)),
            timeout: Some(Duration::from_secs(5)),
            retries: Some(2),
            start_period: None,
            ..HealthCheck::default()
        });
        let id = bench.running(&spec).await.id;
        bench.until(&id, "of a verdict", |it| !matches!(it.health, Health::Starting)).await;
        assert_eq!(bench.inspect(&id).await.health, expected);
        let output = bench.runtime().health_output(&id).await.expect("an answer");
        assert_eq!(output, Some(format!("the check ended with {code}")));
    }
}

/// Creating a network twice gives one network. Two networks are on different subnets.
pub async fn networks_are_taken_over_and_apart(bench: &Bench<'_>) {
    let spec = bench.network(1);
    let first = bench.runtime().create_network(&spec).await.expect("a network");
    assert_eq!(first.name, spec.name);
    assert_eq!(bench.runtime().create_network(&spec).await.expect("taken"), first);
    let twice = bench.network(2);
    let at_once = join_all((0..3).map(|_| bench.runtime().create_network(&twice))).await;
    let at_once: Vec<_> = at_once.into_iter().map(|it| it.expect("created or taken")).collect();
    assert!(at_once.iter().all(|it| it.id == at_once[0].id), "{at_once:?}");

    let all = bench.runtime().networks(&bench.selector()).await.expect("a list");
    assert_eq!(all.len(), 2, "{all:?}");
    if let [Some(one), Some(other)] = [all[0].subnet, all[1].subnet] {
        assert!(!one.contains(&other.network()) && !other.contains(&one.network()), "{one} and {other}");
    }
    let environment = Selector::environment(&bench.journal, &bench.instance(1));
    assert_eq!(bench.runtime().networks(&environment).await.expect("a list"), [first]);
}

/// A network of our name without our labels is another's.
pub async fn a_network_of_others_is_left_alone(bench: &Bench<'_>) {
    let ours = bench.network(1);
    let mut theirs = ours.clone();
    theirs.identity = bench.identity(&bench.foreign, 1);
    let existing = bench.runtime().create_network(&theirs).await.expect("a network");
    assert_eq!(kind(bench.runtime().create_network(&ours).await), ErrorKind::NameTaken);
    assert_eq!(bench.runtime().networks(&bench.selector()).await.expect("a list"), []);
    assert_eq!(bench.runtime().networks(&Selector::journal(&bench.foreign)).await.expect("a list"), [existing]);
}

/// Removing a network that is gone succeeds. One with containers on it stays.
pub async fn remove_network_again_is_fine(bench: &Bench<'_>) {
    let network = bench.runtime().create_network(&bench.network(1)).await.expect("a network");
    let spec = bench.spec(bench.harness.serving(), 1).await;
    let container = bench.running(&bench.joined(spec, 1, "web").await).await;
    assert_eq!(kind(bench.runtime().remove_network(&network.id).await), ErrorKind::RuntimeRefused);
    bench.runtime().remove(&container.id).await.expect("removed");
    for _ in 0..2 {
        bench.runtime().remove_network(&network.id).await.expect("removed");
    }
    assert_eq!(bench.runtime().networks(&bench.selector()).await.expect("a list"), []);
}

/// No error text holds the value of an environment variable.
pub async fn errors_keep_values_to_themselves(bench: &Bench<'_>) {
    let secret = "hunter2hunter2";
    let mut spec = bench.spec(bench.harness.serving(), 1).await;
    spec.environment.insert("PASSWORD".to_owned(), Sensitive::new(secret));
    let mut errors = Vec::new();
    let mut attempt = async |spec: &ContainerSpec| {
        let started = async {
            let id = bench.runtime().create(spec).await?;
            let started = bench.runtime().start(&id).await;
            bench.runtime().remove(&id).await?;
            started
        };
        errors.extend(started.await.err());
    };
    attempt(&ContainerSpec { entrypoint: Some(vec!["/no/such/program".to_owned()]), ..spec.clone() }).await;
    attempt(&ContainerSpec { image: bench.harness.missing().to_string(), ..spec.clone() }).await;
    let unnamed = [(String::new(), Sensitive::new(secret))].into_iter().collect();
    attempt(&ContainerSpec { environment: unnamed, ..spec.clone() }).await;
    let theirs = ContainerSpec { identity: bench.of_web(&bench.foreign, 1), ..spec.clone() };
    bench.runtime().create(&theirs).await.expect("created");
    attempt(&spec).await;

    assert!(errors.len() >= 2, "the case is met: {errors:?}");
    for error in errors {
        assert!(!format!("{error:#} {error:?}").contains(secret), "{error:?}");
    }
}

/// Any bytes can be sent as input, until its end. Output comes back byte for byte while input is still being sent. The
/// two outputs stay apart, and the exit code is the command's.
pub async fn commands_have_streams_of_their_own(bench: &Bench<'_>) {
    let command = bench.harness.copying().expect("else the case is left out");
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    let spec = AttachSpec { command, stdin: true, ..AttachSpec::default() };
    // More than any buffer on the way holds. A test that first writes everything and then reads would wait for ever.
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let Attached { mut input, mut output, control } =
        bench.runtime().attach(&container.id, &spec).await.expect("it is started");
    let write = async {
        for part in sent.chunks(100_000) {
            assert!(input.write(part).await.expect("written"), "it reads all");
        }
        input.close().await.expect("closed");
        input.close().await.expect("closed again");
    };
    let read = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(written) = output.next().await {
            let Output { stream, bytes } = written.expect("read");
            match stream {
                OutputStream::Stdout => out.extend(bytes),
                OutputStream::Stderr => err.extend(bytes),
            }
        }
        (out, err)
    };
    let ((), (out, err)) = futures_util::future::join(write, read).await;
    assert!(out == sent, "{} bytes went in, and {} others came out", sent.len(), out.len());
    assert_eq!(String::from_utf8_lossy(&err), "done");
    assert_eq!(control.exit_code(Duration::from_secs(10)).await.expect("a code"), 7);
}

/// A command without an input reads the end at once. One that has ended takes no more input, and this is no error.
pub async fn what_a_command_does_not_read_is_no_error(bench: &Bench<'_>) {
    let command = bench.harness.copying().expect("else the case is left out");
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    let spec = AttachSpec { command, ..AttachSpec::default() };
    let Attached { mut input, mut output, control } =
        bench.runtime().attach(&container.id, &spec).await.expect("it is started");
    while let Some(written) = output.next().await {
        assert_eq!(written.expect("read").stream, OutputStream::Stderr, "nothing was copied");
    }
    assert_eq!(control.exit_code(Duration::from_secs(10)).await.expect("a code"), 7);
    assert!(!input.write(b"more").await.expect("no error"), "nobody reads it");
    input.close().await.expect("no error");
}
