//! Pulls from a real registry, and from one that is away or refuses.

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::TryStreamExt;
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{ErrorKind, Result};
use haddock_tests::docker::{engine, fixture};
use haddock_tests::registry::Registry;

/// `tester:secret` and `tester:wrong`, as `docker login` stores them.
const RIGHT: &str = "dGVzdGVyOnNlY3JldA==";
const WRONG: &str = "dGVzdGVyOndyb25n";

/// The registry's side of a test, with the engine's bare client.
struct Shelf {
    docker: Docker,
    registry: Registry,
}

impl Shelf {
    async fn new(with_accounts: bool) -> Option<Self> {
        engine().await?;
        let registry = Registry::start(with_accounts).await?;
        Some(Self { docker: Docker::connect_with_defaults().expect("an engine"), registry })
    }

    fn reference(&self, tag: &str) -> String {
        format!("{}/shop:{tag}", self.registry.name())
    }

    /// Puts the image there under this tag; it is not on the host under that name afterwards. Answers with its id.
    async fn push(&self, image: &ImageReference, tag: &str) -> String {
        let repository = format!("{}/shop", self.registry.name());
        let to = TagImageOptionsBuilder::default().repo(&repository).tag(tag).build();
        self.docker.tag_image(&image.to_string(), Some(to)).await.expect("tagged");
        let credentials = DockerCredentials {
            username: Some("tester".to_owned()),
            password: Some("secret".to_owned()),
            ..Default::default()
        };
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let pushed = self.docker.push_image(&repository, Some(options), Some(credentials));
        pushed.try_collect::<Vec<_>>().await.expect("pushed");
        self.forget(tag).await;
        self.docker.inspect_image(&image.to_string()).await.expect("it is there").id.expect("an id")
    }

    async fn forget(&self, tag: &str) {
        self.forget_image(&self.reference(tag)).await;
    }

    /// Takes the name off the host's image, if it is there.
    async fn forget_image(&self, reference: &str) {
        let options = RemoveImageOptionsBuilder::default().build();
        let _ = self.docker.remove_image(reference, Some(options), None).await;
    }

    async fn digest(&self, tag: &str) -> String {
        let image = self.docker.inspect_image(&self.reference(tag)).await.expect("it is there");
        let name = self.registry.name();
        let digests = image.repo_digests.unwrap_or_default();
        digests.into_iter().find(|digest| digest.starts_with(&name)).expect("it came from the registry")
    }
}

async fn pull(runtime: &DockerRuntime, reference: &str, refresh: bool) -> Result<String> {
    runtime.pull(&ImageReference::parse(reference).expect("a reference"), refresh).await
}

#[tokio::test]
async fn a_refresh_asks_the_registry_and_anything_else_takes_what_is_there() {
    let Some(mut shelf) = Shelf::new(false).await else { return };
    let runtime = DockerRuntime::connect(None).await.expect("an engine");
    let (one, two) = (fixture(&["serve"]).await, fixture(&["stubborn"]).await);
    let shop = shelf.reference("v1");

    let first = shelf.push(&one, "v1").await;
    assert_eq!(pull(&runtime, &shop, false).await.expect("from the registry"), first);
    let pinned = shelf.digest("v1").await;

    // Somebody else moves the tag.
    let keep = TagImageOptionsBuilder::default().repo("127.0.0.1:1/keep").tag("v1").build();
    shelf.docker.tag_image(&shop, Some(keep)).await.expect("tagged");
    let second = shelf.push(&two, "v1").await;
    assert_ne!(first, second);
    let to = TagImageOptionsBuilder::default().repo(&format!("{}/shop", shelf.registry.name())).tag("v1").build();
    shelf.docker.tag_image("127.0.0.1:1/keep:v1", Some(to)).await.expect("tagged");
    let (not_asked, asked) = (pull(&runtime, &shop, false).await, pull(&runtime, &shop, true).await);
    let by_digest = pull(&runtime, &pinned, true).await;

    shelf.registry.down();
    let (away, away_digest) = (pull(&runtime, &shop, true).await, pull(&runtime, &pinned, true).await);
    let nowhere = pull(&runtime, &shelf.reference("v2"), true).await;
    shelf.forget_image("127.0.0.1:1/keep:v1").await;
    shelf.forget_image(&pinned).await;
    shelf.forget("v1").await;

    assert_eq!(not_asked.expect("what is there"), first);
    assert_eq!(asked.expect("what the registry has"), second);
    assert_eq!(by_digest.expect("what the digest means"), first);
    assert_eq!(away.expect("what is there"), second, "the host's own is taken where the registry is away");
    assert_eq!(away_digest.expect("what the digest means"), first);
    assert_eq!(nowhere.expect_err("neither here nor there").kind(), ErrorKind::RegistryUnavailable);
}

#[tokio::test]
async fn what_no_registry_has_is_missing() {
    let Some(shelf) = Shelf::new(false).await else { return };
    let runtime = DockerRuntime::connect(None).await.expect("an engine");
    let serving = fixture(&["serve"]).await;
    shelf.push(&serving, "v1").await;
    let never = format!("{}/never:v1", shelf.registry.name());
    let digest = format!("{}/shop@sha256:{}", shelf.registry.name(), "0".repeat(64));
    for reference in [shelf.reference("v9"), never, digest] {
        for refresh in [false, true] {
            let error = pull(&runtime, &reference, refresh).await.expect_err("nobody has it");
            assert_eq!(error.kind(), ErrorKind::ImageMissing, "{error}");
            assert!(!error.is_retryable() && error.message().contains(&reference), "{error}");
        }
    }
}

#[tokio::test]
async fn a_registry_wants_the_right_credentials() {
    let Some(shelf) = Shelf::new(true).await else { return };
    let serving = fixture(&["serve"]).await;
    let id = shelf.push(&serving, "v1").await;
    let shop = shelf.reference("v1");
    for (login, welcome) in [(None, false), (Some(WRONG), false), (Some(RIGHT), true)] {
        let file = login.map(|login| shelf.registry.logged_in(login));
        let runtime = DockerRuntime::builder().credentials(file).connect().await.expect("an engine");
        let pulled = pull(&runtime, &shop, true).await;
        shelf.forget("v1").await;
        match pulled {
            Ok(pulled) => assert!(welcome && pulled == id, "{login:?} was let in"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::RegistryRefused, "{error}");
                assert!(!welcome && !error.is_retryable(), "{login:?}: {error}");
                let text = format!("{error:#} {error:?}");
                assert!(!text.contains("secret") && !text.contains("wrong"), "{text}");
            }
        }
    }
}
