//! The simulated engine builds, pushes and pulls as an engine does.
#![allow(missing_docs)]

use std::time::Duration;

use futures_util::StreamExt;
use haddock_core::container::ContainerSpec;
use haddock_core::image::ImageReference;
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::runtime::{BuildRequest, ContainerRuntime, ContextArchive, ImageBuilder};
use haddock_core::testing::VirtualTime;
use haddock_core::{Error, ErrorKind, Timestamp};

fn name(text: &str) -> ImageReference {
    ImageReference::parse(text).expect("a reference")
}

/// A context with nothing but this Dockerfile.
fn context(dockerfile: &str) -> ContextArchive {
    let mut archive = vec![0; 512];
    archive[..10].copy_from_slice(b"Dockerfile");
    archive[124..135].copy_from_slice(format!("{:011o}", dockerfile.len()).as_bytes());
    archive.extend_from_slice(dockerfile.as_bytes());
    archive.resize(archive.len().div_ceil(512) * 512 + 1024, 0);
    futures_util::stream::iter([Ok(archive)]).boxed()
}

fn request(tag: &str) -> BuildRequest {
    BuildRequest {
        dockerfile: "Dockerfile".to_owned(),
        tags: vec![name(tag)],
        labels: [("tree".to_owned(), tag.to_owned())].into(),
        ..BuildRequest::default()
    }
}

fn simulated(test: impl AsyncFn(SimRuntime)) {
    let time = VirtualTime::new(Timestamp::from_millis(0)).expect("a runtime");
    time.block_on(test(SimRuntime::new(time.clock())));
}

#[test]
fn an_image_is_built_on_another_pushed_and_pulled() {
    simulated(async |engine| {
        let (base, web) = (request("r.local/base:v1"), request("r.local/web:v1"));
        let from = "ARG BASE=none\nFROM ${BASE} AS one\nFROM one\n";
        let web = BuildRequest { args: [("BASE".to_owned(), "r.local/base:v1".to_owned())].into(), ..web };
        let missing = engine.build_image(&web, context(from).into(), &|_| ()).await.expect_err("no base yet");
        assert_eq!(missing.kind(), ErrorKind::ImageMissing);

        engine.build_image(&base, context("FROM scratch\n").into(), &|_| ()).await.expect("built");
        let id = engine.build_image(&web, context(from).into(), &|_| ()).await.expect("built");
        let again = engine.build_image(&web, context(from).into(), &|_| ()).await.expect("built");
        let other = BuildRequest { labels: Default::default(), ..web.clone() };
        assert_eq!(id, again);
        assert_ne!(id, engine.build_image(&other, context(from).into(), &|_| ()).await.expect("built"));
        engine.tag_image(&id, &web.tags[0]).await.expect("tagged");

        let tag = &web.tags[0];
        assert_eq!(engine.registry_digest(tag).await.expect("asked"), None);
        let digest = engine.push_image(tag, &|_| ()).await.expect("pushed");
        assert_eq!(engine.registry_digest(tag).await.expect("asked"), Some(digest.clone()));
        let pinned = tag.with_digest(&digest).expect("a digest");
        engine.untag_image(tag).await.expect("untagged");
        assert_eq!(engine.find_image(tag).await.expect("asked"), None);
        let pulled = engine.pull_image(&pinned, &|_| ()).await.expect("pulled");
        assert_eq!((pulled.id.as_str(), pulled.digests.len()), (id.as_str(), 1));
        assert_eq!(engine.pull(tag, true).await.expect("pulled"), id);
        assert_eq!(engine.with(|engine, _| engine.builds().len()), 5);
    });
}

#[test]
fn builds_fail_and_run_at_the_same_time_as_told() {
    simulated(async |engine| {
        engine.with(|engine, _| {
            engine.set_build_time(Duration::from_secs(60));
            engine.fail_builds_of("r.local/b", Some(Error::new(ErrorKind::BuildFailed, "step 1/1 failed")));
            engine.fail_registries(Some(Error::new(ErrorKind::RegistryUnavailable, "it is away")));
        });
        let (a, b) = (request("r.local/a:v1"), request("r.local/b:v1"));
        let built = futures_util::future::join(
            engine.build_image(&a, context("FROM scratch\n").into(), &|_| ()),
            engine.build_image(&b, context("FROM scratch\n").into(), &|_| ()),
        );
        let (a_built, b_built) = built.await;
        assert_eq!(b_built.expect_err("told so").kind(), ErrorKind::BuildFailed);
        assert_eq!(engine.with(|engine, now| (engine.most_running_builds(), now.as_millis())), (2, 60_000));
        assert_eq!(engine.with(|engine, _| engine.running_builds()), 0);
        let error = engine.push_image(&a.tags[0], &|_| ()).await.expect_err("told so");
        assert_eq!(error.kind(), ErrorKind::RegistryUnavailable);

        // A container keeps its image, and a name that moves does not.
        let id = a_built.expect("built");
        let spec = ContainerSpec { image: id.clone(), ..ContainerSpec::default() };
        engine.create(&spec).await.expect("created");
        engine.untag_image(&a.tags[0]).await.expect("untagged");
        let labelled = engine.images_with_label("tree").await.expect("asked");
        assert_eq!((labelled[0].id.as_str(), labelled[0].tags.len()), (id.as_str(), 0));
        assert_eq!(engine.images_in_use().await.expect("asked"), [id]);
    });
}
