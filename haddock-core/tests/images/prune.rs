//! Which old images of the host are removed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::place::{name, push, simulated, theirs};
use haddock_core::ErrorKind;
use haddock_core::build::PruneImages;
use haddock_core::runtime::ImageBuilder;

#[test]
fn prune_keeps_the_newest_and_what_they_stand_on() {
    simulated(async |place| {
        for number in 1..=4 {
            place.write("app/pages", &format!("pages {number}"));
            place.build(&format!("v{number}")).await;
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        let prune = PruneImages { keep: 2, dry_run: true, ..PruneImages::default() };
        let would = prune.prune(&place.engine).await.expect("asked");
        let tags = |image: &haddock_core::build::PrunedImage| image.tags.iter().any(|tag| tag.tag() == Some("v2"));
        assert_eq!(would.len(), 2);
        assert!(would.iter().any(tags));
        let also = would.iter().filter(|image| tags(image)).map(|image| image.id.clone()).collect();
        let gone = PruneImages { dry_run: false, also, ..prune }.prune(&place.engine).await.expect("pruned");
        assert_eq!(gone.len(), 1, "one of a release stays");
        assert!(place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").is_none());
        assert!(place.engine.find_image(&name("r.local/books/java:v1")).await.expect("asked").is_some());
    });
}

#[test]
fn prune_leaves_alone_what_others_have_built_on_ours() {
    simulated(async |place| {
        place.build("v1").await;
        let tag = name("theirs/app:v1");
        theirs(&place, "r.local/books/java:v1", &tag).await;
        let gone = PruneImages { keep: 0, ..PruneImages::default() }.prune(&place.engine).await.expect("pruned");
        assert_eq!(gone.len(), 5, "all of ours");
        assert!(place.engine.find_image(&tag).await.expect("asked").is_some());
    });
}

#[test]
fn prune_keeps_what_a_change_that_was_taken_back_has_made_the_newest_again() {
    simulated(async |place| {
        for (number, pages) in [(1, "good"), (2, "bad"), (3, "good")] {
            place.write("app/pages", pages);
            place.build(&format!("v{number}")).await;
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        let gone = PruneImages { keep: 1, ..PruneImages::default() }.prune(&place.engine).await.expect("pruned");
        assert_eq!(gone.len(), 1);
        assert!(gone[0].tags.iter().any(|tag| tag.tag() == Some("v2")), "{gone:?}");
    });
}

#[test]
fn prune_removes_nameless_images_only_if_they_were_built_here() {
    simulated(async |place| {
        place.build("v1").await;
        let ours = place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").expect("built");
        let foreign = theirs(&place, "r.local/books/app:v1", &name("theirs/app:v1")).await;
        // Both lose all their names to another image.
        let other = push(&place.engine, &name("other.local/other:1"), "other").await;
        for tag in ours.tags.iter().chain([&name("theirs/app:v1")]) {
            place.engine.tag_image(&other, tag).await.expect("tagged");
        }
        let mut ids = Vec::new();
        for memory in [None, Some(place.folder.path().join("nowhere")), Some(place.folder.path().join("memory"))] {
            let prune = PruneImages { keep: 1, memory, ..PruneImages::default() };
            let gone = prune.prune(&place.engine).await.expect("pruned");
            ids.push(gone.into_iter().map(|image| image.id).collect::<Vec<_>>());
        }
        assert_eq!(ids, [vec![], vec![], vec![ours.id.clone()]], "without a memory nobody knows whose it is");
        let left = place.engine.images_with_label("haddock.image.inputs").await.expect("asked");
        let left: Vec<&str> = left.iter().map(|image| image.id.as_str()).collect();
        assert!(left.contains(&foreign.as_str()) && !left.contains(&ours.id.as_str()), "{left:?}");
    });
}

#[test]
fn prune_counts_an_image_in_each_repository_and_keeps_what_is_named() {
    simulated(async |place| {
        for number in 1..=2 {
            place.write("app/pages", &format!("pages {number}"));
            place.build(&format!("v{number}")).await;
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        let old = place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").expect("built");
        let prune = PruneImages { keep: 1, dry_run: true, ..PruneImages::default() };
        let would = async |prune: &PruneImages| -> Vec<String> {
            let would = prune.prune(&place.engine).await.expect("asked");
            would.into_iter().map(|image| image.id).collect()
        };
        assert_eq!(would(&prune).await, std::slice::from_ref(&old.id));
        let named = PruneImages { also: ["r.local/books/app:v1".to_owned()].into(), ..prune.clone() };
        assert_eq!(would(&named).await, [""; 0]);
        let wrong = PruneImages { also: ["Not A Name".to_owned()].into(), ..prune.clone() };
        let error = wrong.prune(&place.engine).await.expect_err("no image");
        assert_eq!(error.kind(), ErrorKind::InvalidImageReference);
        // `z` comes last of its names.
        place.engine.tag_image(&old.id, &name("z.local/stable:1")).await.expect("tagged");
        place.write("app/pages", "pages 3");
        tokio::time::advance(Duration::from_secs(60)).await;
        place.build("v3").await;
        let second = place.engine.find_image(&name("r.local/books/app:v2")).await.expect("asked").expect("built");
        assert_eq!(would(&prune).await, [second.id], "the only one of its other repository stays");
    });
}

#[test]
fn prune_takes_away_no_name_that_somebody_else_gave() {
    simulated(async |place| {
        place.build("v1").await;
        let app = place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").expect("there");
        place.engine.tag_image(&app.id, &name("mine/precious:1")).await.expect("tagged");
        let gone = PruneImages { keep: 0, ..PruneImages::default() }.prune(&place.engine).await.expect("pruned");
        let gone: BTreeSet<&str> = gone.iter().map(|image| image.tags[0].repository()).collect();
        assert_eq!(gone, BTreeSet::from(["books/db", "books/proxy"]), "the others are what `app` stands on");
        assert!(place.engine.find_image(&name("mine/precious:1")).await.expect("asked").is_some());
    });
}

#[test]
fn prune_says_what_the_engine_did_not_remove_and_why() {
    simulated(async |place| {
        for number in 1..=2 {
            place.write("app/pages", &format!("pages {number}"));
            place.write("proxy/Dockerfile", &format!("FROM java\nENV NUMBER={number}\n"));
            place.build(&format!("v{number}")).await;
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        let old = place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").expect("built");
        // A container that was made between the question and the removal.
        let because = "container 3f is using its referenced image".to_owned();
        place.engine.with(|engine, _| engine.refuse_removal_of(&old.id, Some(because.clone())));
        let prune = PruneImages { keep: 1, ..PruneImages::default() };
        let pruned = prune.prune(&place.engine).await.expect("pruned");
        let stays: Vec<_> = pruned.iter().map(|image| (image.tags[0].repository(), image.stays.clone())).collect();
        assert_eq!(stays.len(), 2, "{pruned:?}");
        assert!(stays.contains(&("books/app", Some(because))) && stays.contains(&("books/proxy", None)), "{stays:?}");
        assert!(place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").is_some());
        assert!(place.engine.find_image(&name("r.local/books/proxy:v1")).await.expect("asked").is_none());
    });
}
