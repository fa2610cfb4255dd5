//! An engine that is away, frozen, too old, or does not do what it is asked.

use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt};
use haddock_core::container::{ContainerId, ContainerSpec, Identity, NetworkSpec, Selector};
use haddock_core::environment::probe::Probe;
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::{AddressPool, DockerRuntime, Reach};
use haddock_core::{ErrorKind, InstanceId, JournalId, Result};
use haddock_tests::docker::{DockerHarness, engine};
use haddock_tests::environment::{Corner, component};
use haddock_tests::proxy::{Mood, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The contract's limit, and a little for a busy machine.
const LIMIT: Duration = Duration::from_secs(12);

#[allow(clippy::disallowed_methods, reason = "the time that a call takes is what is tested")]
fn now() -> Instant {
    Instant::now()
}

fn reference() -> ImageReference {
    ImageReference::parse("127.0.0.1:1/haddock-missing:none").expect("a reference")
}

/// Every call that goes to the engine.
fn every_call(runtime: &DockerRuntime) -> Vec<(&'static str, BoxFuture<'_, Result<()>>)> {
    fn call<'a, T>(call: impl Future<Output = Result<T>> + Send + 'a) -> BoxFuture<'a, Result<()>> {
        call.map(|done| done.map(drop)).boxed()
    }
    let spec = ContainerSpec {
        name: "haddock-test-never".to_owned(),
        image: "haddock-test-never".to_owned(),
        environment: [("PASSWORD".to_owned(), haddock_core::container::Sensitive::new("hunter2"))].into(),
        identity: Identity::environment(
            &JournalId::new("never").expect("an id"),
            &InstanceId::new("never").expect("an id"),
        ),
        expose: vec![],
        publish: vec![],
        ..ContainerSpec::default()
    };
    let network = NetworkSpec {
        name: "haddock-test-never".to_owned(),
        identity: spec.identity.clone(),
        ..NetworkSpec::default()
    };
    let selector = Selector(spec.all_labels());
    let id = || ContainerId("haddock-test-never".to_owned());
    let with = |selector: &Selector| selector.clone();
    vec![
        ("pull", call(async { runtime.pull(&reference(), false).await })),
        ("refresh", call(async { runtime.pull(&reference(), true).await })),
        ("create", call(async move { runtime.create(&spec).await })),
        ("start", call(async move { runtime.start(&id()).await })),
        ("inspect", call(async move { runtime.inspect(&id()).await })),
        ("health output", call(async move { runtime.health_output(&id()).await })),
        (
            "list",
            call({
                let it = with(&selector);
                async move { runtime.list(&it).await }
            }),
        ),
        ("stop", call(async move { runtime.stop(&id(), Duration::ZERO).await })),
        ("remove", call(async move { runtime.remove(&id()).await })),
        ("logs", call(async move { runtime.logs(&id(), 10).await })),
        ("create network", call(async move { runtime.create_network(&network).await })),
        (
            "networks",
            call({
                let it = with(&selector);
                async move { runtime.networks(&it).await }
            }),
        ),
        ("remove network", call(async { runtime.remove_network("haddock-test-never").await })),
        (
            "events",
            call({
                let it = with(&selector);
                async move { runtime.events(&it).await }
            }),
        ),
    ]
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_told_by_every_call_in_time() {
    if engine().await.is_none() {
        return;
    }
    let proxy = Proxy::new();
    let runtime = DockerRuntime::connect(Some(&proxy.host())).await.expect("it is sound");
    for mood in [Mood::Away, Mood::Frozen] {
        proxy.set(mood);
        let calls = every_call(&runtime).into_iter().map(|(name, call)| async move {
            let begun = now();
            let error = call.await.expect_err(name);
            assert_eq!(error.kind(), ErrorKind::RuntimeUnavailable, "{mood:?}, {name}: {error}");
            assert!(error.is_retryable() && error.hint().is_some());
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(begun.elapsed() < LIMIT, "{mood:?}, {name}: {:?}", begun.elapsed());
        });
        join_all(calls).await;
    }
    proxy.set(Mood::Sound);
    let there = runtime.list(&Selector([("haddock.journal".to_owned(), "never".to_owned())].into())).await;
    assert_eq!(there.expect("it is back"), []);
}

#[tokio::test]
async fn an_engine_that_freezes_in_the_middle_of_a_change_is_told() {
    let Some(harness) = DockerHarness::new().await else { return };
    let proxy = Proxy::new();
    let runtime = DockerRuntime::connect(Some(&proxy.host())).await.expect("it is sound");
    let corner = Corner::new(&harness);
    let plan = corner.plan(1, [("web", component(&harness, &["stubborn"]))]).await;
    let launched = haddock_core::environment::launch::launch(corner.runtime(), &plan).await.expect("launched");
    let id = launched.containers.values().next().expect("one").id.clone();
    // The stop waits for its grace; the engine goes away while it does.
    let begun = now();
    let stop = runtime.stop(&id, Duration::from_secs(60));
    let freeze = async {
        haddock_tests::pause().await;
        proxy.set(Mood::Frozen);
    };
    let (stopped, ()) = futures_util::join!(stop, freeze);
    corner.clean().await;
    assert_eq!(stopped.expect_err("it froze").kind(), ErrorKind::RuntimeUnavailable);
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nobody_there_is_told_at_the_connect() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    for host in ["unix:///no/such/docker.sock".to_owned(), format!("tcp://{address}")] {
        let error = DockerRuntime::connect(Some(&host)).await.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::RuntimeUnavailable, "{error}");
    }
    let error = DockerRuntime::connect(Some("carrier-pigeon://loft")).await.expect_err("no such way");
    assert_eq!(error.kind(), ErrorKind::NotSupported);
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused() {
    for (api, expected) in [("1.40", Some(ErrorKind::NotSupported)), ("1.41", None), ("1.100", None), ("2.0", None)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = format!("tcp://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = format!(r#"{{"ApiVersion":"{api}","Version":"0"}}"#);
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        let connected = DockerRuntime::connect(Some(&host)).await;
        assert_eq!(connected.err().map(|error| error.kind()), expected, "{api}");
    }
}

#[tokio::test]
async fn an_engine_that_ignores_filters_does_not_make_us_touch_what_is_not_ours() {
    let Some(_) = engine().await else { return };
    let proxy = Proxy::new();
    let runtime = DockerRuntime::connect(Some(&proxy.host())).await.expect("it is sound");
    let harness = DockerHarness::on(runtime).await;
    let (ours, theirs) = (Corner::new(&harness), Corner::new(&harness));
    for corner in [&ours, &theirs] {
        let plan = corner.plan(1, [("web", component(&harness, &["serve"]))]).await;
        haddock_core::environment::launch::launch(corner.runtime(), &plan).await.expect("launched");
    }
    proxy.set(Mood::Unfiltered);
    let mut events = harness.runtime.events(&Selector::journal(&ours.journal)).await.expect("a stream");
    let list = ours.inventory().await;
    let instance = ours.instance(1);
    let gone = haddock_core::environment::launch::teardown(&harness.runtime, &ours.journal, &instance).await;
    let (after, left) = (ours.inventory().await, theirs.inventory().await);
    theirs.clean().await;
    // All that there was to hear, up to the cut.
    let mut heard = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(500), events.next()).await {
        heard.push(event);
    }
    proxy.set(Mood::Sound);
    ours.clean().await;
    theirs.clean().await;

    assert_eq!(list, (vec![format!("{instance}-web")], 1));
    gone.expect("taken down");
    assert_eq!(after, (vec![], 0));
    assert_eq!(left, (vec![format!("{}-web", theirs.instance(1))], 1), "what is not ours is left alone");
    let containers: std::collections::BTreeSet<_> = heard.iter().map(|event| &event.container).collect();
    assert_eq!(containers.len(), 1, "our own was heard, and no other: {heard:?}");
}

#[tokio::test]
async fn a_published_port_is_the_address_where_the_containers_own_cannot_be_reached() {
    let Some(_) = engine().await else { return };
    let loopback = [127, 0, 0, 1].into();
    let runtime = DockerRuntime::builder().reach(Reach::Published(loopback)).connect().await.expect("it answers");
    let harness = DockerHarness::on(runtime).await;
    let corner = Corner::new(&harness);
    let plan = corner.plan(1, [("web", component(&harness, &["serve"]))]).await;
    let launched = haddock_core::environment::launch::launch(corner.runtime(), &plan).await;
    let entry = launched.as_ref().ok().and_then(|launched| launched.entry);
    let outcome = async {
        let probe = Probe { http: Some("/".to_owned()), ..Probe::tcp(entry?) };
        for _ in 0..500 {
            if probe.once(Duration::from_secs(1)).await.is_ok() {
                return Some(());
            }
            haddock_tests::pause().await;
        }
        None
    };
    let outcome = outcome.await;
    corner.clean().await;
    let entry = entry.unwrap_or_else(|| panic!("no address: {launched:?}"));
    assert!(entry.ip().is_loopback() && entry.port() != 8080, "{entry}");
    assert_eq!(outcome, Some(()), "{entry} never answered");
}

#[tokio::test]
async fn a_pool_that_is_used_up_is_told_and_what_is_removed_is_free_again() {
    let Some(_) = engine().await else { return };
    // A corner of the address space that no other test uses: two subnets.
    let block = "10.214.77.16/28".parse().expect("a block");
    let runtime = DockerRuntime::builder().address_pool([block], 29).expect("valid").connect().await.expect("answers");
    let harness = DockerHarness::on(runtime).await;
    let corner = Corner::new(&harness);
    let spec = |number: u64| NetworkSpec {
        name: corner.instance(number).to_string(),
        identity: Identity::environment(&corner.journal, &corner.instance(number)),
        ..NetworkSpec::default()
    };
    let outcome = async {
        let one = corner.runtime().create_network(&spec(1)).await?;
        let two = corner.runtime().create_network(&spec(2)).await?;
        let full = corner.runtime().create_network(&spec(3)).await;
        corner.runtime().remove_network(&one.id).await?;
        let three = corner.runtime().create_network(&spec(3)).await?;
        Ok::<_, haddock_core::Error>((one, two, full, three))
    };
    let outcome = outcome.await;
    corner.clean().await;
    let (one, two, full, three) = outcome.expect("networks");
    assert_eq!(full.expect_err("both are in use").kind(), ErrorKind::AddressPoolExhausted);
    assert_ne!(one.subnet, two.subnet);
    assert_eq!(three.subnet, one.subnet);
    assert_eq!(AddressPool::default().len(), 1024);
}

/// A route of this machine, as a VPN has it; gone when dropped.
struct VpnRoute(&'static str);

impl VpnRoute {
    /// `None` where this user may not, or the engine has no bridge that it could lead to.
    fn new(subnet: &'static str) -> Option<Self> {
        let ip =
            |words: &[&str]| std::process::Command::new("ip").args(words).output().is_ok_and(|it| it.status.success());
        ip(&["route", "add", subnet, "dev", "docker0"]).then_some(Self(subnet))
    }
}

impl Drop for VpnRoute {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["route", "del", self.0]).status();
    }
}

#[tokio::test]
async fn a_route_that_covers_the_pool_is_no_hindrance_and_one_that_is_in_the_way_is_named() {
    let Some(_) = engine().await else { return };
    // A corner of the address space that no other test uses.
    let block = "10.214.79.0/28".parse().expect("a block");
    let runtime = DockerRuntime::builder().address_pool([block], 29).expect("valid").connect().await.expect("answers");
    let harness = DockerHarness::on(runtime.clone()).await;
    let corner = Corner::new(&harness);
    let spec = |number: u64| NetworkSpec {
        name: corner.instance(number).to_string(),
        identity: Identity::environment(&corner.journal, &corner.instance(number)),
        ..NetworkSpec::default()
    };
    let Some(wide) = VpnRoute::new("10.214.78.0/23") else {
        return haddock_tests::skip("root, and the bridge `docker0`");
    };
    let under_it = corner.runtime().create_network(&spec(1)).await;
    drop(wide);
    corner.clean().await;
    let narrow = VpnRoute::new("10.214.79.0/28").expect("as before");
    let refused = corner.runtime().create_network(&spec(2)).await;
    let report = runtime.report().await;
    drop(narrow);
    corner.clean().await;
    assert!(under_it.is_ok(), "{under_it:?}");
    let error = refused.expect_err("every subnet is somebody else's");
    assert_eq!(error.kind(), ErrorKind::AddressPoolExhausted);
    assert!(error.message().contains("the route 10.214.79.0/28 to `docker0` is in the way of 2"), "{error}");
    let report = report.expect("it answers");
    assert_eq!((report.free, report.in_the_way.len()), (0, 1), "{report:?}");
}

#[tokio::test]
async fn there_is_no_limit_near_thirty_networks() {
    let Some(harness) = DockerHarness::new().await else { return };
    let corner = Corner::new(&harness);
    let runtime = &harness.runtime;
    let made = join_all((0..40).map(|number| {
        let identity = Identity::environment(&corner.journal, &corner.instance(number));
        let spec = NetworkSpec { name: corner.instance(number).to_string(), identity, ..NetworkSpec::default() };
        async move { runtime.create_network(&spec).await.map(|network| network.subnet) }
    }));
    let mut subnets = made.await;
    corner.clean().await;
    let count = subnets.len();
    subnets.sort_by_key(|subnet| format!("{subnet:?}"));
    subnets.dedup();
    assert!(count == 40 && subnets.len() == 40 && subnets.iter().all(Result::is_ok), "{subnets:?}");
}

#[tokio::test]
async fn twins_of_a_network_become_one() {
    let Some(harness) = DockerHarness::new().await else { return };
    let corner = Corner::new(&harness);
    let identity = Identity::environment(&corner.journal, &corner.instance(1));
    let spec = NetworkSpec { name: corner.instance(1).to_string(), identity, ..NetworkSpec::default() };
    let first = corner.runtime().create_network(&spec).await.expect("a network");
    // The engine lets a second one have the name (compose#10696 had three).
    let docker = bollard::Docker::connect_with_defaults().expect("an engine");
    let twin = bollard::models::NetworkCreateRequest {
        name: spec.name.clone(),
        labels: Some(spec.all_labels().into_iter().collect()),
        ..Default::default()
    };
    docker.create_network(twin).await.expect("a twin");
    let before = corner.inventory().await.1;
    let again = corner.runtime().create_network(&spec).await;
    let after = corner.inventory().await.1;
    corner.clean().await;
    assert_eq!((before, after), (2, 1));
    assert_eq!(again.expect("taken"), first, "the oldest stays");
}
