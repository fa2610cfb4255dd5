//! Which old images of registries are deleted.

use std::time::Duration;

use crate::place::{Place, name, push, simulated, theirs};
use haddock_core::Error;
use haddock_core::ErrorKind;
use haddock_core::build::BuildOptions;
use haddock_core::build::PruneRegistry;
use haddock_core::container::ContainerSpec;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::ImageBuilder;
use haddock_core::runtime::ImageRegistry;

/// The tags of each image that was, or would be, deleted from the registry at this tag of the tree.
async fn deleted(place: &Place, tag: &str, prune: &PruneRegistry) -> Vec<(String, Vec<String>)> {
    let pruned = place.images(tag).prune_registry(&place.engine, prune).await.expect("pruned");
    assert!(pruned.iter().all(|image| image.stays.is_none()), "{pruned:?}");
    let people = |tags: Vec<String>| tags.into_iter().filter(|tag| !tag.starts_with("inputs-")).collect();
    pruned.into_iter().map(|image| (image.reference.repository().to_owned(), people(image.tags))).collect()
}

async fn tags_in_registry(place: &Place, repository: &str) -> Vec<String> {
    let mut tags = place.engine.list_tags(&name(repository)).await.expect("asked");
    tags.retain(|tag| !tag.starts_with("inputs-"));
    tags
}

/// Builds and pushes versions 1 to 4 of `app`, a minute apart.
async fn push_versions(place: &Place) {
    for number in 1..=4 {
        place.write("app/pages", &format!("pages {number}"));
        let options = BuildOptions { push: true, ..BuildOptions::default() };
        place.images(&format!("v{number}")).build(&options, &|_| {}).await.expect("built");
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    place.wipe_host().await;
}

fn app(tags: &[&str]) -> (String, Vec<String>) {
    ("books/app".to_owned(), tags.iter().map(|tag| (*tag).to_owned()).collect())
}

#[test]
fn a_registry_keeps_the_newest_what_is_needed_and_what_that_stands_on() {
    simulated(async |place| {
        push_versions(&place).await;
        let prune = PruneRegistry { keep: 1, dry_run: true, ..PruneRegistry::default() };
        assert_eq!(deleted(&place, "v9", &prune).await, [app(&["v3"]), app(&["v2"]), app(&["v1"])]);
        assert_eq!(tags_in_registry(&place, "r.local/books/app").await.len(), 4, "a dry run deletes nothing");

        assert_eq!(deleted(&place, "v2", &prune).await, [app(&["v3"]), app(&["v1"])], "the tag of the tree stays");
        let named = PruneRegistry { also: ["r.local/books/app:v3".to_owned()].into(), ..prune.clone() };
        assert_eq!(deleted(&place, "v9", &named).await, [app(&["v2"]), app(&["v1"])]);
        // A release knows an image by its id on the host, or by its digest.
        let second = place.engine.describe_image(&name("r.local/books/app:v2")).await.expect("asked").expect("pushed");
        for id in second.ids {
            let known = PruneRegistry { also: [id].into(), ..prune.clone() };
            assert_eq!(deleted(&place, "v9", &known).await, [app(&["v3"]), app(&["v1"])]);
        }
        // Another tag of an image keeps the image.
        push_as(&place, "r.local/books/app:v1", "r.local/books/app:stable").await;
        let stable = PruneRegistry { also: ["r.local/books/app:stable".to_owned()].into(), ..prune.clone() };
        assert_eq!(deleted(&place, "v9", &stable).await, [app(&["v3"]), app(&["v2"])]);

        let all = PruneRegistry { dry_run: false, ..stable };
        assert_eq!(deleted(&place, "v9", &all).await, [app(&["v3"]), app(&["v2"])]);
        assert_eq!(deleted(&place, "v9", &all).await, [], "nothing is left to do");
        assert_eq!(tags_in_registry(&place, "r.local/books/app").await, ["stable", "v1", "v4"]);
        assert_eq!(place.engine.list_tags(&name("r.local/books/app")).await.expect("asked").len(), 5);
        assert_eq!(tags_in_registry(&place, "r.local/books/java").await.len(), 4, "what others stand on stays");
    });
}

/// Gives an image of the registry one more tag there.
async fn push_as(place: &Place, from: &str, to: &str) {
    let id = place.engine.pull_image(&name(from), &|_| {}).await.expect("pulled").id;
    place.engine.tag_image(&id, &name(to)).await.expect("tagged");
    place.engine.push_image(&name(to), &|_| {}).await.expect("pushed");
    place.wipe_host().await;
}

#[test]
fn a_registry_keeps_what_others_have_pushed() {
    simulated(async |place| {
        push_versions(&place).await;
        place.engine.pull_image(&name("r.local/books/app:v1"), &|_| {}).await.expect("pulled");
        // One that stands on ours and has its labels, and one that has none.
        let custom = name("r.local/books/app:custom");
        theirs(&place, "r.local/books/app:v1", &custom).await;
        place.engine.push_image(&custom, &|_| {}).await.expect("pushed");
        push(&place.engine, &name("r.local/books/app:other"), "other").await;
        place.wipe_host().await;
        let all = PruneRegistry::default();
        let gone = deleted(&place, "v9", &all).await;
        assert_eq!(gone.len(), 8, "{gone:?}");
        assert_eq!(tags_in_registry(&place, "r.local/books/app").await, ["custom", "other"]);
    });
}

#[test]
fn a_registry_keeps_what_runs_here() {
    simulated(async |place| {
        push_versions(&place).await;
        let second = place.engine.pull_image(&name("r.local/books/app:v2"), &|_| {}).await.expect("pulled");
        let spec = ContainerSpec { image: second.id, ..ContainerSpec::default() };
        place.engine.create(&spec).await.expect("created");
        let prune = PruneRegistry { keep: 1, dry_run: true, ..PruneRegistry::default() };
        assert_eq!(deleted(&place, "v9", &prune).await, [app(&["v3"]), app(&["v1"])]);
    });
}

#[test]
fn a_registry_that_forbids_deletes_or_is_away_is_an_error() {
    simulated(async |place| {
        push_versions(&place).await;
        let prune = PruneRegistry { keep: 1, ..PruneRegistry::default() };
        place.engine.with(|engine, _| engine.forbid_deletes(true));
        let error = place.images("v9").prune_registry(&place.engine, &prune).await.expect_err("forbidden");
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        let down = Error::new(ErrorKind::RegistryUnavailable, "registry `r.local` does not answer");
        place.engine.with(|engine, _| engine.fail_registries(Some(down)));
        let error = place.images("v9").prune_registry(&place.engine, &prune).await.expect_err("away");
        assert_eq!(error.kind(), ErrorKind::RegistryUnavailable);
        place.engine.with(|engine, _| engine.fail_registries(None));
        place.write("haddock-images.yaml", "prefix: books\n");
        place.write("db/Dockerfile", "FROM debian\n");
        let error = place.images("v9").prune_registry(&place.engine, &prune).await.expect_err("no registry");
        assert!(error.hint().is_some_and(|hint| hint.contains("prefix")), "{error:#}");
    });
}
