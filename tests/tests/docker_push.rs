//! Pushes to real registries, and builds on what these have.

use std::time::Duration;

use haddock_core::ErrorKind;
use haddock_core::image::ImageReference;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::{BuildOutput, ImageBuilder};
use haddock_tests::build::{archive, built, noise, request, shown};
use haddock_tests::certificate::Trust;
use haddock_tests::disk::Disk;
use haddock_tests::docker::{engine, fixture, is_podman};
use haddock_tests::pause;
use haddock_tests::registry::{Registry, RegistryOptions};
use haddock_tests::relay::Relay;

/// `tester:secret` and `tester:wrong`, as `docker login` stores them.
const RIGHT: &str = "dGVzdGVyOnNlY3JldA==";
const WRONG: &str = "dGVzdGVyOndyb25n";
/// `other:a???>>>~~~`. Each alphabet of base64 writes three such characters in its own way, wherever they stand.
const ODD: &str = "b3RoZXI6YT8/Pz4+Pn5+fg==";

async fn with_login(registry: &Registry, login: Option<&str>) -> DockerRuntime {
    let file = login.map(|login| registry.logged_in(login));
    DockerRuntime::builder().credentials(file).connect().await.expect("an engine")
}

/// Gives the fixture a name in this registry. Returns the name and the id.
async fn named(runtime: &DockerRuntime, registry: &Registry, name: &str) -> (ImageReference, String) {
    let image = fixture(&["serve"]).await;
    let id = runtime.find_image(&image).await.expect("asked").expect("just built").id;
    let name = ImageReference::parse(&format!("{}/{name}", registry.name())).expect("a reference");
    runtime.tag_image(&id, &name).await.expect("tagged");
    (name, id)
}

/// Builds an image with this many random bytes, which has this name and no other.
async fn noisy(runtime: &DockerRuntime, name: &str, bytes: u64) -> ImageReference {
    let name = ImageReference::parse(name).expect("a reference");
    let mut request = request("push-noise:v1");
    request.tags = vec![name.clone()];
    built(runtime, &request, &noise(bytes)).await.0.expect("built");
    name
}

#[tokio::test]
async fn what_is_pushed_is_pulled_by_tag_and_by_digest_and_built_on() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start(true).await else { return };
    let runtime = with_login(&registry, Some(RIGHT)).await;
    let (name, id) = named(&runtime, &registry, "shop/base:v1").await;
    let before = runtime.registry_digest(&name).await.expect("asked");
    let said = std::sync::Mutex::new(Vec::new());
    let output = |one: BuildOutput| said.lock().expect("no panic").push(one);
    let digest = runtime.push_image(&name, &output).await.expect("pushed");
    let again = runtime.push_image(&name, &|_| ()).await.expect("pushed");
    let after = runtime.registry_digest(&name).await.expect("asked");
    let pinned = name.with_digest(&digest).expect("a digest");

    let mut pulled = Vec::new();
    for by in [&name, &pinned, &ImageReference::parse(&format!("{}/shop/base@{digest}", registry.name())).expect("one")]
    {
        let known = runtime.find_image(&name).await.expect("asked");
        for tag in known.into_iter().flat_map(|it| [it.tags, it.digests]).flatten() {
            if tag.registry() == name.registry() {
                runtime.untag_image(&tag).await.expect("untagged");
            }
        }
        pulled.push(runtime.pull_image(by, &|_| ()).await.expect("pulled"));
        runtime.untag_image(by).await.expect("untagged");
    }

    let mut web = request("push-web:v1");
    let dockerfile = format!("FROM {name}\nRUN [\"/app\", \"exit\", \"0\"]\n");
    let archive = archive(&dockerfile, &[]);
    let without = built(&runtime, &web, &archive).await.0.expect_err("no credentials are given for this registry");
    web.registries = vec![registry.name()];
    let with = built(&runtime, &web, &archive).await.0;
    runtime.untag_image(&name).await.expect("untagged");
    runtime.untag_image(&web.tags[0]).await.expect("untagged");

    assert_eq!((before, after.as_ref()), (None, Some(&digest)));
    assert_eq!(again, digest);
    assert!(pulled.iter().all(|image| image.id == id), "{pulled:?}");
    assert!(pulled[0].digests.iter().any(|it| it.digest() == Some(&digest)), "{pulled:?}");
    assert!(said.into_inner().expect("no panic").iter().any(|it| matches!(it, BuildOutput::Transfer { .. })));
    assert_eq!(without.kind(), ErrorKind::RegistryRefused, "{without:#}");
    with.expect("built on an image of a private registry");
}

#[tokio::test]
async fn a_registry_refuses_who_may_not() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start(true).await else { return };
    for login in [None, Some(WRONG)] {
        let runtime = with_login(&registry, login).await;
        let (name, _) = named(&runtime, &registry, "shop/refused:v1").await;
        let push = runtime.push_image(&name, &|_| ()).await.expect_err("refused");
        let ask = runtime.registry_digest(&name).await.expect_err("refused");
        let pull = runtime.pull_image(&name, &|_| ()).await.expect_err("refused");
        runtime.untag_image(&name).await.expect("untagged");
        for error in [push, ask, pull] {
            assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
            assert!(error.hint().is_some_and(|hint| hint.contains("docker login")), "{error:#}");
            assert!(!shown(&error).contains("wrong"), "{error:#}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_not_one_that_refuses() {
    let Some(runtime) = engine().await else { return };
    let Some(mut registry) = Registry::start(false).await else { return };
    let (name, _) = named(&runtime, &registry, "shop/away:v1").await;
    registry.down();
    let push = runtime.push_image(&name, &|_| ()).await.expect_err("away");
    let ask = runtime.registry_digest(&name).await.expect_err("away");
    // The push is tried again by itself while the registry comes back.
    let (pushed, ()) = tokio::join!(runtime.push_image(&name, &|_| ()), async {
        for _ in 0..20 {
            pause().await;
        }
        registry.up().await;
    });
    runtime.untag_image(&name).await.expect("untagged");
    let nothing = runtime.push_image(&name, &|_| ()).await.expect_err("not on the host");
    assert_eq!((push.kind(), ask.kind()), (ErrorKind::RegistryUnavailable, ErrorKind::RegistryUnavailable));
    pushed.expect("pushed at last");
    assert_eq!(nothing.kind(), ErrorKind::ImageMissing, "{nothing:#}");
}

#[tokio::test]
async fn a_password_may_hold_what_alphabets_of_base64_write_differently() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start(true).await else { return };
    let runtime = with_login(&registry, Some(ODD)).await;
    let (name, id) = named(&runtime, &registry, "shop/odd:v1").await;
    let pushed = runtime.push_image(&name, &|_| ()).await;
    let asked = runtime.registry_digest(&name).await;
    let pulled = runtime.pull_image(&name, &|_| ()).await;
    let mut web = request("push-odd:v1");
    web.registries = vec![registry.name()];
    let (built, _) = built(&runtime, &web, &archive(&format!("FROM {name}\n"), &[])).await;
    runtime.untag_image(&name).await.expect("untagged");
    runtime.untag_image(&web.tags[0]).await.expect("untagged");
    assert_eq!(asked.expect("asked"), Some(pushed.expect("pushed")));
    assert_eq!(pulled.expect("pulled").id, id);
    built.expect("built");
}

#[tokio::test]
async fn a_missing_credential_helper_is_named_by_a_refusal_and_does_no_other_harm() {
    if engine().await.is_none() {
        return;
    }
    for with_accounts in [false, true] {
        let Some(registry) = Registry::start(with_accounts).await else { return };
        let file = registry.configured(r#"{"credsStore": "haddock-test-nowhere"}"#);
        let runtime = DockerRuntime::builder().credentials(Some(file)).connect().await.expect("an engine");
        let (name, _) = named(&runtime, &registry, "shop/helper:v1").await;
        let pushed = runtime.push_image(&name, &|_| ()).await.map(drop);
        let pulled = runtime.pull_image(&name, &|_| ()).await.map(drop);
        runtime.untag_image(&name).await.expect("untagged");
        for done in [pushed, pulled] {
            let Err(error) = done else {
                assert!(!with_accounts, "nobody may");
                continue;
            };
            assert!(with_accounts, "everybody may: {error:#}");
            assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
            let why = "`docker-credential-haddock-test-nowhere` failed: there is no such program in PATH";
            assert!(error.hint().is_some_and(|hint| hint.contains(why)), "{error:#}");
        }
    }
}

#[tokio::test]
async fn a_registry_with_a_certificate_of_its_own_is_used_once_the_engine_trusts_it() {
    let Some(runtime) = engine().await else { return };
    if is_podman().await {
        return;
    }
    let Some((registry, certificate)) = Registry::start_with_certificate().await else { return };
    let (name, id) = named(&runtime, &registry, "shop/certified:v1").await;
    let push = runtime.push_image(&name, &|_| ()).await.expect_err("not trusted");
    let ask = runtime.registry_digest(&name).await.expect_err("not trusted");
    let pull = runtime.pull_image(&name, &|_| ()).await.expect_err("not trusted");

    let Some(trust) = Trust::given(&certificate, &registry.name()).await else {
        return runtime.untag_image(&name).await.expect("untagged");
    };
    let digest = runtime.push_image(&name, &|_| ()).await.expect("pushed");
    let pinned = ImageReference::parse(&format!("{}/shop/certified@{digest}", registry.name())).expect("one");
    let mut pulled = Vec::new();
    for by in [&name, &pinned] {
        runtime.untag_image(&name).await.expect("untagged");
        runtime.untag_image(&pinned).await.expect("untagged");
        pulled.push(runtime.pull_image(by, &|_| ()).await.expect("pulled").id);
    }
    runtime.untag_image(&pinned).await.expect("untagged");
    runtime.untag_image(&name).await.expect("untagged");
    drop(trust);

    for error in [push, ask, pull] {
        assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error:#}");
        assert!(error.message().contains("cannot be trusted"), "{error:#}");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains(&format!("/etc/docker/certs.d/{}/ca.crt", registry.name())), "{error:#}");
    }
    assert_eq!(pulled, [id.clone(), id]);
}

#[tokio::test]
async fn a_push_that_the_registry_did_not_survive_is_completed_by_the_next() {
    let Some(runtime) = engine().await else { return };
    let Some(mut registry) = Registry::start(false).await else { return };
    let relay = Relay::slow(registry.address()).await;
    let name = noisy(&runtime, &format!("{}/shop/killed:v1", relay.address()), 6 << 20).await;
    let killed = async {
        while relay.passed() < 1 << 20 {
            pause().await;
        }
        registry.down();
    };
    let (push, ()) = tokio::join!(runtime.push_image(&name, &|_| ()), killed);
    registry.up().await;
    let digest = runtime.push_image(&name, &|_| ()).await;
    let known = runtime.registry_digest(&name).await;
    runtime.untag_image(&name).await.expect("untagged");
    let push = push.expect_err("the registry is gone");
    assert_eq!(push.kind(), ErrorKind::RegistryUnavailable, "{push:#}");
    assert!(push.message().contains(&relay.address().to_string()) && push.hint().is_some(), "{push:#}");
    assert_eq!(known.expect("asked"), Some(digest.expect("pushed")));
}

#[tokio::test]
async fn a_registry_without_space_says_so_and_takes_the_image_when_it_has_some() {
    let Some(runtime) = engine().await else { return };
    let Some(disk) = Disk::mount(4) else { return };
    let options = RegistryOptions { storage: Some(disk.path()), ..RegistryOptions::default() };
    let Some(registry) = Registry::start_as(options).await else { return };
    let name = noisy(&runtime, &format!("{}/shop/large:v1", registry.name()), 8 << 20).await;
    let push = runtime.push_image(&name, &|_| ()).await;
    disk.grow(64);
    let digest = runtime.push_image(&name, &|_| ()).await;
    let known = runtime.registry_digest(&name).await;
    runtime.untag_image(&name).await.expect("untagged");
    let push = push.expect_err("it has no space");
    assert_eq!(push.kind(), ErrorKind::RegistryUnavailable, "{push:#}");
    assert!(push.hint().is_some_and(|hint| hint.contains("space")), "{push:#}");
    assert_eq!(known.expect("asked"), Some(digest.expect("pushed")));
}

#[tokio::test]
async fn an_upload_that_is_sent_elsewhere_arrives_and_the_password_does_not() {
    if engine().await.is_none() {
        return;
    }
    let Some(registry) = Registry::start(false).await else { return };
    let elsewhere = Relay::http(registry.address(), None).await;
    let front = Relay::http(registry.address(), Some(elsewhere.address())).await;
    let file = registry.configured(&format!(r#"{{"auths":{{"{}":{{"auth":"{RIGHT}"}}}}}}"#, front.address()));
    let runtime = DockerRuntime::builder().credentials(Some(file)).connect().await.expect("an engine");
    let name = noisy(&runtime, &format!("{}/shop/elsewhere:v1", front.address()), 1 << 16).await;
    let pushed = tokio::time::timeout(Duration::from_secs(240), runtime.push_image(&name, &|_| ())).await;
    let known = runtime.registry_digest(&name).await;
    runtime.untag_image(&name).await.expect("untagged");
    assert_eq!(known.expect("asked"), Some(pushed.expect("in time").expect("pushed")));
    let (here, there) = (front.heads(), elsewhere.heads());
    assert!(here.contains("POST /v2/shop/elsewhere/blobs/uploads/"), "{here}");
    assert!(there.contains("PATCH /v2/shop/elsewhere/blobs/uploads/"), "{there}");
    assert!(!there.to_lowercase().contains("authorization"), "{there}");
}
