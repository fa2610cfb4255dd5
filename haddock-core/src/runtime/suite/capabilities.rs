//! The cases of single capabilities. Each fails for a runtime that declares the capability but does not have it.

use super::ask::{GRACE, get};
use super::*;
use crate::container::{
    AttachSpec, ExecSpec, Executed, LogLine, LogQuery, PublishedPort, PullOptions, PullWhen, VolumeSpec,
};
use crate::runtime::Attached;

/// An image on the host may be used without asking a registry. One that is not on the host is missing then.
pub async fn pull_policies_are_obeyed(bench: &Bench<'_>) {
    let image = bench.harness.serving();
    let id = bench.runtime().pull(&image, false).await.expect("pulled");
    let never = PullOptions { when: PullWhen::Never, platform: None };
    assert_eq!(bench.runtime().pull_with(&image, &never).await.expect("it is on the host"), id);
    let missing = PullOptions { when: PullWhen::Missing, platform: None };
    assert_eq!(bench.runtime().pull_with(&image, &missing).await.expect("it is on the host"), id);
    let nowhere = bench.runtime().pull_with(&bench.harness.missing(), &never).await;
    assert_eq!(kind(nowhere), ErrorKind::ImageMissing);
}

/// A container joins a network and leaves it while it runs, and the network knows who is on it.
pub async fn containers_join_and_leave_networks(bench: &Bench<'_>) {
    let spec = bench.spec(bench.harness.serving(), 1).await;
    let container = bench.running(&bench.joined(spec, 1, "web").await).await;
    let network = bench.runtime().create_network(&bench.network(2)).await.expect("a network");
    let members = async || bench.runtime().members(&network.id).await.expect("a list");
    assert_eq!(members().await, []);
    let to = Attachment::new(network.name.clone(), ["web"]);
    for _ in 0..2 {
        bench.runtime().connect(&container.id, &to).await.expect("joined");
        assert_eq!(members().await, std::slice::from_ref(&container.id));
        assert!(bench.inspect(&container.id).await.networks.contains(&network.name));
    }
    for _ in 0..2 {
        bench.runtime().disconnect(&container.id, &network.name).await.expect("left");
        assert_eq!(members().await, []);
        assert!(!bench.inspect(&container.id).await.networks.contains(&network.name));
    }
}

/// Creating a volume twice gives one volume, the volumes of others are left alone, and a removed one is gone.
pub async fn volumes_are_taken_over_and_removed(bench: &Bench<'_>) {
    let volume = bench.volume(1);
    for _ in 0..2 {
        bench.runtime().create_volume(&volume).await.expect("created or taken");
        let found = bench.runtime().volumes(&bench.selector()).await.expect("a list");
        assert_eq!(found.iter().map(|it| &it.name).collect::<Vec<_>>(), [&volume.name]);
        assert!(volume.identity.is_carried_by(&found[0].labels), "{found:?}");
    }
    let theirs = VolumeSpec { identity: bench.identity(&bench.foreign, 1), ..volume.clone() };
    assert_eq!(kind(bench.runtime().create_volume(&theirs).await), ErrorKind::NameTaken);
    bench.runtime().remove_volume(&volume.name).await.expect("removed");
    assert_eq!(bench.runtime().volumes(&bench.selector()).await.expect("a list"), []);
}

/// What an image wants volumes for.
pub async fn volumes_of_an_image_are_told(bench: &Bench<'_>) {
    let (image, path) = bench.harness.with_volume().expect("else the case is left out");
    let id = bench.runtime().pull(&image, false).await.expect("pulled");
    assert_eq!(bench.runtime().image_volumes(&id).await.expect("an answer"), [path]);
    let id = bench.runtime().pull(&bench.harness.serving(), false).await.expect("pulled");
    assert_eq!(bench.runtime().image_volumes(&id).await.expect("an answer"), [""; 0]);
}

/// A command runs within a running container, and its output comes back. In any other container it does not run.
pub async fn commands_are_run_in_what_runs(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    let command = bench.harness.copying().unwrap_or_else(|| vec!["true".to_owned()]);
    let exec = ExecSpec::new(&command, Duration::from_secs(10));
    if bench.harness.copying().is_some() {
        let Executed { exit_code, stdout, stderr, .. } =
            bench.runtime().exec(&container.id, &exec).await.expect("it is run");
        let texts = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!((exit_code, texts), (7, [String::new(), "done".to_owned()]));
    }
    bench.runtime().remove(&container.id).await.expect("removed");
    assert_eq!(kind(bench.runtime().exec(&container.id, &exec).await), ErrorKind::NotFound);
}

/// The streams of a command are handed over, but only in a running container.
pub async fn commands_are_attached_to_what_runs(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    bench.runtime().remove(&container.id).await.expect("removed");
    let command = bench.harness.copying().unwrap_or_else(|| vec!["true".to_owned()]);
    let attached = bench.runtime().attach(&container.id, &AttachSpec { command, ..AttachSpec::default() }).await;
    let error = attached.map(|Attached { .. }| ()).expect_err("there is no such container");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// What a container uses is known while it runs.
pub async fn usage_is_told_of_what_runs(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    bench.runtime().usage(&container.id).await.expect("figures");
    bench.runtime().remove(&container.id).await.expect("removed");
    assert_eq!(kind(bench.runtime().usage(&container.id).await), ErrorKind::NotFound);
}

/// Unpausing a container that is not paused changes nothing, and one that does not exist is an error.
pub async fn unpause_leaves_what_is_not_paused(bench: &Bench<'_>) {
    let container = bench.running(&bench.spec(bench.harness.serving(), 1).await).await;
    bench.runtime().unpause(&container.id).await.expect("left as it is");
    assert_eq!(bench.inspect(&container.id).await, container);
    bench.runtime().remove(&container.id).await.expect("removed");
    assert_eq!(kind(bench.runtime().unpause(&container.id).await), ErrorKind::NotFound);
}

/// Each line comes once, with its time, and the stream ends when the container has ended.
pub async fn logs_are_followed_to_the_end(bench: &Bench<'_>) {
    let id = bench.running(&bench.spec(bench.harness.exiting(), 1).await).await.id;
    let mut followed = bench.runtime().follow_logs(&id, 10).await.expect("a stream");
    let lines = until_it_ends(bench, &mut followed).await;
    assert_eq!(lines, ["line 1", "line 2", "line 3", "line 4", "line 5"]);
    let query = LogQuery { tail: Some(2), since: Some(crate::Timestamp::from_millis(0)), follow: false };
    let mut read = bench.runtime().read_log(&id, &query).await.expect("a stream");
    let lines: Vec<LogLine> = until_it_ends(bench, &mut read).await;
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["line 4", "line 5"]);
    assert!(lines.iter().all(|line| line.at.is_some()), "{lines:?}");
    bench.runtime().remove(&id).await.expect("removed");
    let followed = bench.runtime().follow_logs(&id, 10).await;
    assert_eq!(followed.map(|_| ()).expect_err("it is not there").kind(), ErrorKind::NotFound);
}

async fn until_it_ends<T>(bench: &Bench<'_>, stream: &mut BoxStream<'static, crate::Result<T>>) -> Vec<T> {
    let mut all = Vec::new();
    for _ in 0..LOOKS {
        while let Some(next) = stream.next().now_or_never() {
            match next {
                Some(item) => all.push(item.expect("read")),
                None => return all,
            }
        }
        bench.harness.pause().await;
    }
    panic!("the stream did not end, after {} items", all.len())
}

/// A port of the host that a container has is not free, and is free again when the container is gone.
pub async fn a_port_is_free_or_not(bench: &Bench<'_>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").port();
    drop(listener);
    let host_address = Some([127, 0, 0, 1].into());
    let port = PublishedPort { container: PORT, host_address, host: Some(host), ..PublishedPort::default() };
    assert!(bench.runtime().port_is_free(&port).await.expect("an answer"));
    let spec = ContainerSpec { publish: vec![port.clone()], ..bench.spec(bench.harness.serving(), 1).await };
    let container = bench.running(&spec).await;
    if bench.harness.connects() {
        get(bench, container.addresses[&PORT]).await;
    }
    assert!(!bench.runtime().port_is_free(&port).await.expect("an answer"), "a container has it");
    bench.runtime().stop(&container.id, GRACE).await.expect("stopped");
    for _ in 0..LOOKS {
        if bench.runtime().port_is_free(&port).await.expect("an answer") {
            return;
        }
        bench.harness.pause().await;
    }
    panic!("the port was not free again")
}
