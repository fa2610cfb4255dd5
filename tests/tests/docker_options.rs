//! What a file asks of a container or a network arrives there, on any engine, or is refused by name.

use std::collections::BTreeMap;

use bollard::Docker;
use bollard::models::HealthStatusEnum;
use haddock_core::ErrorKind;
use haddock_core::container::{
    Attachment, ContainerSpec, Endpoint, Identity, NetworkSpec, PublishedPort, PullOptions, PullWhen, Subnet,
};
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_tests::docker::{DockerHarness, NOWHERE};
use haddock_tests::environment::Corner;

const MAC: &str = "02:42:0a:00:00:07";

/// The parts of an API's version.
async fn api(docker: &Docker) -> (u32, u32) {
    let version = docker.version().await.expect("it answers").api_version.expect("a version");
    let (major, minor) = version.split_once('.').expect("two numbers");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

async fn spec(corner: &Corner<'_>, harness: &DockerHarness, number: u64) -> ContainerSpec {
    use haddock_core::runtime::suite::RuntimeHarness;
    ContainerSpec {
        name: format!("{}-web", corner.instance(number)),
        image: corner.runtime().pull(&harness.serving(), false).await.expect("the image is there"),
        identity: Identity::environment(&corner.journal, &corner.instance(number)),
        expose: vec![8080],
        ..ContainerSpec::default()
    }
}

#[tokio::test]
async fn a_hardware_address_is_the_container_s_on_old_and_new_engines() {
    let Some(harness) = DockerHarness::new().await else { return };
    let corner = Corner::new(&harness);
    let docker = Docker::connect_with_defaults().expect("an engine");
    let identity = Identity::environment(&corner.journal, &corner.instance(1));
    let network = NetworkSpec { name: corner.instance(1).to_string(), identity, ..NetworkSpec::default() };
    let mut spec = spec(&corner, &harness, 1).await;
    spec.networks = vec![Attachment::new(&network.name, ["web"])];
    spec.options.mac_address = Some(MAC.to_owned());
    let outcome = async {
        corner.runtime().create_network(&network).await?;
        let id = corner.runtime().create(&spec).await?;
        corner.runtime().start(&id).await?;
        Ok::<_, haddock_core::Error>(docker.inspect_container(&id.0, None).await.expect("it is there"))
    };
    let found = outcome.await;
    corner.clean().await;
    let settings = found.expect("it runs").network_settings.and_then(|it| it.networks).expect("on a network");
    assert_eq!(settings[&network.name].mac_address.as_deref(), Some(MAC));
}

#[tokio::test]
async fn an_interface_s_name_arrives_or_is_refused_by_name() {
    let Some(harness) = DockerHarness::new().await else { return };
    let corner = Corner::new(&harness);
    let docker = Docker::connect_with_defaults().expect("an engine");
    let identity = Identity::environment(&corner.journal, &corner.instance(1));
    let network = NetworkSpec { name: corner.instance(1).to_string(), identity, ..NetworkSpec::default() };
    let mut spec = spec(&corner, &harness, 1).await;
    let endpoint = Endpoint { interface_name: Some("door0".to_owned()), ..Endpoint::default() };
    spec.networks = vec![Attachment { endpoint, ..Attachment::new(&network.name, ["web"]) }];
    let outcome = async {
        corner.runtime().create_network(&network).await?;
        let id = corner.runtime().create(&spec).await?;
        corner.runtime().start(&id).await
    };
    let outcome = outcome.await;
    corner.clean().await;
    match outcome {
        Ok(()) => assert!(api(&docker).await >= (1, 49)),
        Err(error) => {
            assert!(api(&docker).await < (1, 49), "{error}");
            assert_eq!(error.kind(), ErrorKind::NotSupported);
            assert!(error.message().contains("`interface_name`"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_said_of_a_network_s_addresses_arrives() {
    let Some(harness) = DockerHarness::new().await else { return };
    let corner = Corner::new(&harness);
    let docker = Docker::connect_with_defaults().expect("an engine");
    let spec = |number: u64| NetworkSpec {
        name: corner.instance(number).to_string(),
        identity: Identity::environment(&corner.journal, &corner.instance(number)),
        enable_ipv6: Some(true),
        ..NetworkSpec::default()
    };
    let subnet = Subnet {
        subnet: "10.214.80.0/26".parse().expect("a subnet"),
        gateway: Some("10.214.80.62".parse().expect("an address")),
        ip_range: Some("10.214.80.16/28".parse().expect("a range")),
        aux_addresses: BTreeMap::from([("printer".to_owned(), "10.214.80.17".parse().expect("an address"))]),
    };
    let made = async {
        let told = corner.runtime().create_network(&NetworkSpec { subnets: vec![subnet], ..spec(1) }).await?;
        let ours = corner.runtime().create_network(&spec(2)).await?;
        let mut found = Vec::new();
        for network in [told, ours] {
            found.push(docker.inspect_network(&network.id, None).await.expect("it is there"));
        }
        Ok::<_, haddock_core::Error>(found)
    };
    let made = made.await;
    let podman = docker.version().await.expect("it answers").components.unwrap_or_default();
    let podman = podman.iter().any(|it| it.name.starts_with("Podman"));
    corner.clean().await;
    let made = made.expect("two networks");
    let configs: Vec<_> = made.iter().map(|it| it.ipam.clone().and_then(|it| it.config).expect("subnets")).collect();
    assert!(made.iter().all(|network| network.enable_ipv6 == Some(true)), "{made:?}");
    let of =
        |at: usize, part: &str| configs[at].iter().find(|it| it.subnet.as_deref().is_some_and(|it| it.contains(part)));
    let told = of(0, "10.214.80.0/26").expect("the one that was asked for");
    assert_eq!(told.gateway.as_deref(), Some("10.214.80.62"));
    if !podman {
        assert_eq!(told.ip_range.as_deref(), Some("10.214.80.16/28"));
        assert!(told.auxiliary_addresses.as_ref().is_some_and(|it| it.contains_key("printer")), "{told:?}");
    }
    // Where the file names no subnet, there is one of each kind.
    assert!(of(1, "10.213.").is_some() && of(1, "fd").is_some(), "{configs:?}");
}

#[tokio::test]
async fn never_asks_no_registry_and_another_platform_is_another_image() {
    let Some(harness) = DockerHarness::new().await else { return };
    use haddock_core::runtime::suite::RuntimeHarness;
    let runtime = &harness.runtime;
    let how = |when, platform: Option<&str>| PullOptions { when, platform: platform.map(str::to_owned) };
    let nowhere = ImageReference::parse(&format!("{NOWHERE}/haddock-missing:none")).expect("a reference");
    let missing = runtime.pull_with(&nowhere, &how(PullWhen::Never, None)).await.expect_err("it is nowhere");
    assert_eq!(missing.kind(), ErrorKind::ImageMissing);
    assert!(missing.message().contains("`pull_policy`"), "{missing}");
    let asked = runtime.pull_with(&nowhere, &how(PullWhen::Missing, None)).await.expect_err("it is nowhere");
    assert_eq!(asked.kind(), ErrorKind::RegistryUnavailable, "{asked}");
    let here = runtime.pull(&harness.serving(), false).await.expect("it is there");
    let again = runtime.pull_with(&harness.serving(), &how(PullWhen::Never, Some("linux"))).await;
    assert_eq!(again.expect("it is there"), here);
    let other = runtime.pull_with(&harness.serving(), &how(PullWhen::Never, Some("linux/s390x"))).await;
    let other = other.expect_err("it is for this machine");
    assert!(other.message().contains("for `linux/s390x`"), "{other}");
}

/// On engines that can look more often at the start, a check that the image brings passes long before its interval.
#[tokio::test]
async fn the_check_of_an_image_passes_soon() {
    let Some(harness) = DockerHarness::new().await else { return };
    let docker = Docker::connect_with_defaults().expect("an engine");
    if api(&docker).await < (1, 44) {
        // An older one waits for the interval: there is nothing to see.
        return;
    }
    let corner = Corner::new(&harness);
    let image = haddock_tests::docker::image_with_check("checked", &["/app", "check", "0"]).await;
    let mut spec = spec(&corner, &harness, 1).await;
    spec.image = corner.runtime().pull(&image, false).await.expect("it is there");
    let id = corner.runtime().create(&spec).await.expect("made");
    corner.runtime().start(&id).await.expect("started");
    let healthy = async {
        loop {
            let found = docker.inspect_container(&id.0, None).await.expect("it is there");
            let health = found.state.and_then(|state| state.health).and_then(|health| health.status);
            if health == Some(HealthStatusEnum::HEALTHY) {
                return;
            }
            haddock_tests::pause().await;
        }
    };
    let soon = tokio::time::timeout(std::time::Duration::from_secs(15), healthy).await;
    corner.clean().await;
    assert!(soon.is_ok(), "it has passed within half of its interval");
}

#[tokio::test]
async fn a_port_of_the_host_is_free_unless_somebody_listens() {
    let Some(harness) = DockerHarness::new().await else { return };
    let corner = Corner::new(&harness);
    let host_address = Some([127, 0, 0, 1].into());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = Some(listener.local_addr().expect("an address").port());
    let port = PublishedPort { container: 8080, host_address, host, ..PublishedPort::default() };
    assert_eq!(corner.runtime().port_is_free(&port).await, Ok(false), "a program listens");
    drop(listener);
    assert_eq!(corner.runtime().port_is_free(&port).await, Ok(true));
    let mut spec = spec(&corner, &harness, 1).await;
    spec.publish = vec![port.clone()];
    let outcome = async {
        let id = corner.runtime().create(&spec).await?;
        let before = corner.runtime().port_is_free(&port).await?;
        corner.runtime().start(&id).await?;
        Ok::<_, haddock_core::Error>((before, corner.runtime().port_is_free(&port).await?))
    };
    let outcome = outcome.await;
    corner.clean().await;
    assert_eq!(outcome, Ok((true, false)), "a container that runs has it, and one that does not has not");
}
