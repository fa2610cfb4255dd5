//! Old images in real registries: what is found, what is deleted, and who may.

use std::net::SocketAddr;

use haddock_core::ErrorKind;
use haddock_core::image::ImageReference;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::{ImageBuilder, ImageRegistry};
use haddock_tests::build::{archive, built, request};
use haddock_tests::certificate::Trust;
use haddock_tests::docker::{engine, gateway, is_podman};
use haddock_tests::registry::{Registry, RegistryOptions, free_port};
use haddock_tests::relay::Relay;
use haddock_tests::skip;

/// `tester:secret` and `tester:wrong`, as `docker login` stores them.
const RIGHT: &str = "dGVzdGVyOnNlY3JldA==";
const WRONG: &str = "dGVzdGVyOndyb25n";

async fn with_login(registry: &Registry, login: Option<&str>) -> DockerRuntime {
    let file = login.map(|login| registry.logged_in(login));
    DockerRuntime::builder().credentials(file).connect().await.expect("an engine")
}

fn name(text: &str) -> ImageReference {
    ImageReference::parse(text).expect("a reference")
}

/// Pushes an image with a label under these names. Returns its digest there and its id.
async fn pushed(runtime: &DockerRuntime, names: &[ImageReference], label: &str) -> (String, String) {
    let mut request = request("prune:v1");
    request.tags = names.to_vec();
    request.labels = [("test".to_owned(), label.to_owned())].into();
    let id = built(runtime, &request, &archive("FROM scratch\nCOPY Dockerfile /\n", &[])).await.0.expect("built");
    let mut digest = String::new();
    for name in names {
        digest = runtime.push_image(name, &|_| ()).await.expect("pushed");
    }
    for name in names {
        runtime.untag_image(name).await.expect("untagged");
    }
    (digest, id)
}

fn with_deletes() -> RegistryOptions<'static> {
    RegistryOptions { with_accounts: true, with_deletes: true, ..RegistryOptions::default() }
}

#[tokio::test]
async fn an_image_is_described_and_deleted_with_all_its_tags() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start_as(with_deletes()).await else { return };
    let runtime = with_login(&registry, Some(RIGHT)).await;
    let repository = format!("{}/shop/pruned", registry.name());
    let names = ["v1", "stable"].map(|tag| name(&format!("{repository}:{tag}")));
    let (digest, id) = pushed(&runtime, &names, "one").await;
    let (other, _) = pushed(&runtime, &[name(&format!("{repository}:v2"))], "two").await;
    let registries = runtime.registries();

    let mut tags = registries.list_tags(&names[0]).await.expect("asked");
    tags.sort();
    assert_eq!(tags, ["stable", "v1", "v2"]);
    assert_eq!(registries.list_tags(&name(&format!("{}/shop/none", registry.name()))).await.expect("asked"), [""; 0]);
    assert_eq!(registries.digest_of_tag(&names[1]).await.expect("asked"), Some(digest.clone()));
    let described = registries.describe_image(&names[0]).await.expect("asked").expect("pushed");
    assert_eq!((&described.digest, described.labels.get("test").map(String::as_str)), (&digest, Some("one")));
    assert!(described.ids.contains(&id) && described.ids.contains(&digest), "{described:?}");
    assert!(described.created.is_some() && described.size > 0 && described.parts.is_empty(), "{described:?}");

    let by_tag = registries.delete_image(&names[0]).await.expect_err("it would delete the other tag, too");
    assert_eq!(by_tag.kind(), ErrorKind::NotSupported);
    let pinned = name(&format!("{repository}@{digest}"));
    for _ in 0..2 {
        registries.delete_image(&pinned).await.expect("deleted, or not there any more");
    }
    assert_eq!(registries.list_tags(&names[0]).await.expect("asked"), ["v2"]);
    assert_eq!(registries.describe_image(&names[0]).await.expect("asked"), None);
    assert_eq!(registries.digest_of_tag(&name(&format!("{repository}:v2"))).await.expect("asked"), Some(other));
}

#[tokio::test]
async fn a_registry_that_allows_no_deletes_says_how_to_allow_them() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start(false).await else { return };
    let runtime = with_login(&registry, None).await;
    let named = name(&format!("{}/shop/kept:v1", registry.name()));
    let (digest, _) = pushed(&runtime, std::slice::from_ref(&named), "one").await;
    let pinned = named.with_digest(&digest).expect("a digest");
    let error = runtime.registries().delete_image(&pinned).await.expect_err("not allowed");
    assert_eq!(error.kind(), ErrorKind::NotSupported, "{error:#}");
    assert!(error.hint().is_some_and(|hint| hint.contains("REGISTRY_STORAGE_DELETE_ENABLED")), "{error:#}");
}

#[tokio::test]
async fn who_may_not_is_refused_and_a_registry_that_is_away_is_told() {
    if engine().await.is_none() {
        return;
    }
    let Some(mut registry) = Registry::start_as(with_deletes()).await else { return };
    let named = name(&format!("{}/shop/refused:v1", registry.name()));
    for login in [None, Some(WRONG)] {
        let registries = with_login(&registry, login).await.registries();
        let error = registries.list_tags(&named).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
        assert!(error.hint().is_some_and(|hint| hint.contains("docker login")), "{error:#}");
        assert!(!format!("{error:#} {error:?}").contains("wrong"), "{error:#}");
    }
    let runtime = with_login(&registry, Some(RIGHT)).await;
    let registries = runtime.registries();
    assert_eq!(registries.list_tags(&named).await.expect("asked"), [""; 0]);
    registry.down();
    for registries in [registries, runtime.registries()] {
        let error = registries.list_tags(&named).await.expect_err("away");
        assert_eq!(error.kind(), ErrorKind::RegistryUnavailable, "{error:#}");
    }
}

#[tokio::test]
async fn a_long_list_of_tags_is_read_to_its_end() {
    let Some(runtime) = engine().await else { return };
    let Some(registry) = Registry::start(false).await else { return };
    let tags: Vec<String> = (0..1_050).map(|number| format!("v{number:04}")).collect();
    let named = name(&format!("{}/shop/many:v0000", registry.name()));
    pushed(&runtime, std::slice::from_ref(&named), "many").await;
    registry.copy_tag("shop/many", "v0000", &tags);
    let mut found = runtime.registries().list_tags(&named).await.expect("asked");
    found.sort();
    assert_eq!(found, tags);
}

#[tokio::test]
async fn a_private_certificate_is_trusted_once_it_is_where_the_engine_has_it() {
    let Some(runtime) = engine().await else { return };
    if is_podman().await {
        return;
    }
    let Some((registry, certificate)) = Registry::start_with_certificate().await else { return };
    let named = name(&format!("{}/shop/certified:v1", registry.name()));
    let error = runtime.registries().list_tags(&named).await.expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
    let path = format!("/etc/docker/certs.d/{}/ca.crt", registry.name());
    assert!(error.hint().is_some_and(|hint| hint.contains(&path)), "{error:#}");
    let Some(trust) = Trust::given(&certificate, &registry.name()).await else { return };
    let tags = runtime.registries().list_tags(&named).await;
    drop(trust);
    assert_eq!(tags.expect("trusted"), [""; 0]);
}

#[tokio::test]
async fn plain_http_is_spoken_only_where_the_engine_allows_it() {
    let Some(runtime) = engine().await else { return };
    let Some(host) = gateway().await else { return skip("the engine's default network on this machine") };
    let address = Some(SocketAddr::new(host, free_port().port()));
    let options = RegistryOptions { address, ..RegistryOptions::default() };
    let Some(registry) = Registry::start_as(options).await else { return };
    let named = name(&format!("{}/shop/plain:v1", registry.name()));
    let error = runtime.registries().list_tags(&named).await.expect_err("not secure");
    assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
    assert!(error.hint().is_some_and(|hint| hint.contains("insecure-registries")), "{error:#}");
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_password() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start_as(with_deletes()).await else { return };
    let elsewhere = Relay::http(registry.address(), None).await;
    let front = Relay::redirecting(registry.address(), "/tags/list", elsewhere.address()).await;
    let file = registry.configured(&format!(r#"{{"auths":{{"{}":{{"auth":"{RIGHT}"}}}}}}"#, front.address()));
    let runtime = DockerRuntime::builder().credentials(Some(file)).connect().await.expect("an engine");
    let registries = runtime.registries();
    // The front sends away whoever has a password. What it leads to wants one, too, and gets none.
    let named = name(&format!("{}/shop/elsewhere:v1", front.address()));
    let error = registries.list_tags(&named).await.expect_err("refused there");
    assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
    let (here, there) = (front.heads(), elsewhere.heads());
    assert!(there.contains("GET /v2/shop/elsewhere/tags/list"), "{there}");
    assert!(!there.to_lowercase().contains("authorization"), "{there}");
    assert!(here.to_lowercase().contains("authorization: basic"), "{here}");
}
