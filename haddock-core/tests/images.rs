//! Builds of an image tree on the simulated engine: what is built, in which order, and why.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haddock_core::build::context::Context;
use haddock_core::build::{
    BuildAction, BuildEvent, BuildHappening, BuildOptions, ImageState, Images, PruneImages, PruneRegistry,
};
use haddock_core::container::ContainerSpec;
use haddock_core::image::tree::ImageTree;
use haddock_core::image::{ImageReference, Revision};
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::runtime::{BuildRequest, ContainerRuntime, ImageBuilder, ImageRegistry};
use haddock_core::testing::VirtualTime;
use haddock_core::{Error, ErrorKind, Timestamp};

use BuildAction::{Build, Keep, Pull};

/// debian → java → (app, proxy); debian → db.
const TREE: &[(&str, &str)] = &[
    ("haddock-images.yaml", "prefix: r.local/books\n"),
    ("debian/Dockerfile", "FROM scratch\nCOPY root /\n"),
    ("debian/root", "root"),
    ("java/Dockerfile", "FROM debian\nRUN install java\n"),
    ("app/Dockerfile", "FROM java\nCOPY pages /\n"),
    ("app/pages", "pages"),
    ("proxy/Dockerfile", "FROM java\n"),
    ("db/Dockerfile", "FROM r.local/books/debian\n"),
];

struct Place {
    folder: tempfile::TempDir,
    engine: SimRuntime,
}

impl Place {
    fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join("tree").join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("tree")
    }

    fn images(&self, tag: &str) -> Images {
        images_in(&self.root(), &self.engine, tag).memory(self.folder.path().join("memory"))
    }

    async fn build(&self, tag: &str) -> Vec<(String, BuildAction)> {
        let built = self.images(tag).build(&BuildOptions::default(), &|_| {}).await.expect("built");
        built.into_iter().map(|image| (image.name, image.action)).collect()
    }

    /// The host loses all its images. The registry keeps its own.
    async fn wipe_host(&self) {
        let names: Vec<String> = self.engine.with(|engine, _| engine.image_names().map(str::to_owned).collect());
        for each in names {
            self.engine.untag_image(&name(&each)).await.expect("removed");
        }
    }

    async fn plan(&self) -> Vec<(String, BuildAction, String)> {
        let plan = self.images("v9").plan(&BuildOptions::default()).await.expect("planned");
        plan.images.into_iter().map(|image| (image.name, image.action, image.because)).collect()
    }
}

fn images_in(root: &Path, engine: &SimRuntime, tag: &str) -> Images {
    let tree = ImageTree::read(root).expect("a tree");
    Images::of(tree, Arc::new(engine.clone()), tag).expect("images")
}

fn simulated(test: impl AsyncFn(Place)) {
    let time = VirtualTime::new(Timestamp::from_millis(0)).expect("a runtime");
    let place = Place { folder: tempfile::tempdir().expect("a folder"), engine: SimRuntime::new(time.clock()) };
    for (path, text) in TREE {
        place.write(path, text);
    }
    time.block_on(test(place));
}

/// Builds an image of one label, and pushes it. Returns its id.
async fn push(engine: &SimRuntime, name: &ImageReference, label: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").expect("written");
    let context = Context::scan(folder.path(), Some(&folder.path().join("Dockerfile"))).expect("a context");
    let labels = [("label".to_owned(), label.to_owned())].into();
    let request = BuildRequest {
        dockerfile: "Dockerfile".to_owned(),
        tags: vec![name.clone()],
        labels,
        ..BuildRequest::default()
    };
    let id = engine.build_image(&request, context.archive(Default::default()).into(), &|_| {}).await.expect("built");
    engine.push_image(name, &|_| {}).await.expect("pushed");
    id
}

fn name(text: &str) -> ImageReference {
    ImageReference::parse(text).expect("a reference")
}

fn named(actions: &[(&str, BuildAction)]) -> Vec<(String, BuildAction)> {
    actions.iter().map(|(name, action)| ((*name).to_owned(), *action)).collect()
}

#[test]
fn what_has_changed_is_built_with_all_that_stands_on_it() {
    simulated(async |place| {
        let all = ["debian", "db", "java", "app", "proxy"];
        assert_eq!(place.build("v1").await, all.map(|name| (name.to_owned(), Build)));
        assert_eq!(place.build("v2").await, all.map(|name| (name.to_owned(), Keep)));
        assert!(place.engine.find_image(&name("r.local/books/app:v2")).await.expect("asked").is_some());

        place.write("java/Dockerfile", "FROM debian\nRUN install java 21\n");
        let expected = named(&[("debian", Keep), ("db", Keep), ("java", Build), ("app", Build), ("proxy", Build)]);
        let because: Vec<String> = place.plan().await.into_iter().map(|image| image.2).collect();
        assert_eq!(because[2], "`java/Dockerfile` has changed");
        assert_eq!(because[3], "`java` has changed");
        assert_eq!(place.build("v3").await, expected);
        assert_eq!(place.build("v3").await, all.map(|name| (name.to_owned(), Keep)));
    });
}

#[test]
fn reasons_name_files() {
    simulated(async |place| {
        assert_eq!(place.plan().await[0].2, "it has not been built here before");
        place.build("v1").await;
        place.write("debian/more", "more");
        place.write("debian/.dockerignore", "*.tmp\n");
        place.write("debian/a.tmp", "left out");
        fs::remove_file(place.root().join("debian/root")).expect("removed");
        assert_eq!(
            place.plan().await[0].2,
            "`debian/.dockerignore` is new, `debian/more` is new, `debian/root` is gone"
        );
        place.write("haddock-images.yaml", "prefix: r.local/books\nimages: { app: { args: { LEVEL: secret } } }\n");
        let app = place.plan().await.into_iter().find(|image| image.0 == "app").expect("planned");
        assert!(app.2.contains("argument `LEVEL` has changed"), "{}", app.2);
        assert!(!app.2.contains("secret"));
    });
}

#[test]
fn another_machine_pulls_what_the_registry_has() {
    simulated(async |place| {
        let options = BuildOptions { push: true, ..BuildOptions::default() };
        place.images("v1").build(&options, &|_| {}).await.expect("built");
        place.wipe_host().await;
        // Another checkout, without memory.
        let elsewhere = place.folder.path().join("elsewhere");
        fs::rename(place.root(), &elsewhere).expect("moved");
        let images = images_in(&elsewhere, &place.engine, "v2");
        let built = images.build(&BuildOptions::default(), &|_| {}).await.expect("built");
        assert!(built.iter().all(|image| image.action == Pull), "{built:?}");
        assert!(place.engine.find_image(&name("r.local/books/app:v2")).await.expect("asked").is_some());
    });
}

#[test]
fn what_has_not_changed_can_be_left_alone() {
    simulated(async |place| {
        let options = BuildOptions { push: true, changed: true, ..BuildOptions::default() };
        place.images("v1").build(&options, &|_| {}).await.expect("built");
        place.write("app/pages", "other pages");
        place.images("v2").build(&options, &|_| {}).await.expect("built");
        let pushed: Vec<String> = place.engine.with(|engine, _| engine.pushed().to_vec());
        let second: Vec<&String> = pushed.iter().filter(|name| name.ends_with(":v2")).collect();
        assert_eq!(second, ["r.local/books/app:v2"]);
    });
}

#[test]
fn images_are_built_together_and_each_after_what_it_needs() {
    simulated(async |place| {
        place.engine.with(|engine, _| engine.set_build_time(Duration::from_secs(60)));
        let told = Mutex::new(Vec::new());
        let observer = |event: BuildEvent| told.lock().expect("no panic").push(event);
        let images = place.images("v1").at_once(NonZeroUsize::new(2).expect("two"));
        images.build(&BuildOptions::default(), &observer).await.expect("built");
        assert_eq!(place.engine.with(|engine, _| engine.most_running_builds()), 2);
        let told = told.into_inner().expect("no panic");
        let at = |image: &str, happening: &BuildHappening| {
            told.iter().position(|event| event.image == image && event.happening == *happening).expect("told")
        };
        for (image, needed) in [("java", "debian"), ("db", "debian"), ("app", "java"), ("proxy", "java")] {
            assert!(at(needed, &BuildHappening::Built) < at(image, &BuildHappening::Building));
        }
    });
}

#[test]
fn what_most_images_stand_on_one_after_the_other_is_begun_first() {
    simulated(async |place| {
        place.write("proxy/Dockerfile", "FROM app\n");
        let told = Mutex::new(Vec::new());
        let observer = |event: BuildEvent| told.lock().expect("no panic").push(event);
        let images = place.images("v1").at_once(NonZeroUsize::MIN);
        images.build(&BuildOptions::default(), &observer).await.expect("built");
        let told = told.into_inner().expect("no panic").into_iter();
        let begun = told.filter(|event| event.happening == BuildHappening::Building).map(|event| event.image);
        let names: Vec<_> = images.tree().images().iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names[..2], ["debian", "db"], "of equals the first one is taken");
        assert_eq!(begun.collect::<Vec<_>>(), ["debian", "java", "app", "db", "proxy"]);
    });
}

#[test]
fn a_failure_ends_what_stands_on_it_and_lets_the_rest_finish() {
    simulated(async |place| {
        let failed = Error::new(ErrorKind::BuildFailed, "step 2/2 RUN install java failed with exit code 1");
        place.engine.with(|engine, _| engine.set_build_time(Duration::from_secs(60)));
        place.engine.with(|engine, _| engine.fail_builds_of("r.local/books/java", Some(failed)));
        let error = place.images("v1").build(&BuildOptions::default(), &|_| {}).await.expect_err("it fails");
        assert_eq!(error.kind(), ErrorKind::BuildFailed);
        assert_eq!(error.message(), "image `java`: step 2/2 RUN install java failed with exit code 1");
        let states = place.images("v1").states().await.expect("asked");
        let there: Vec<&str> =
            states.iter().filter(|image| image.state == ImageState::There).map(|image| image.name.as_str()).collect();
        assert_eq!(there, ["debian", "db"], "`db` was begun beside `java`");
        assert_eq!(place.engine.with(|engine, _| engine.running_builds()), 0);
    });
}

#[test]
fn a_registry_that_does_not_answer_stops_no_build() {
    simulated(async |place| {
        let down = Error::new(ErrorKind::RegistryUnavailable, "registry `r.local` does not answer");
        place.engine.with(|engine, _| engine.fail_registries(Some(down)));
        let told = Mutex::new(Vec::new());
        let observer = |event: BuildEvent| told.lock().expect("no panic").push(event.happening);
        place.images("v1").build(&BuildOptions::default(), &observer).await.expect("built");
        let warned = |it: &BuildHappening| matches!(it, BuildHappening::Warning { text } if text.contains("`r.local`"));
        assert!(told.into_inner().expect("no panic").iter().any(warned));
        let error = place.images("v1").push(&[], false, &|_| {}).await.expect_err("it has to answer");
        assert_eq!(error.kind(), ErrorKind::RegistryUnavailable);
    });
}

#[test]
fn a_base_from_outside_that_has_moved_counts_as_changed_when_registries_are_asked() {
    simulated(async |place| {
        place.write("debian/Dockerfile", "# outside\nFROM other.local/debian:12\n");
        let missing = place.images("v1").plan(&BuildOptions::default()).await.expect_err("it is nowhere");
        assert_eq!(missing.kind(), ErrorKind::ImageMissing);
        assert!(missing.to_string().contains("debian/Dockerfile:2:"), "{missing}");
        let outside = name("other.local/debian:12");
        let before = push(&place.engine, &outside, "before").await;
        place.build("v1").await;
        push(&place.engine, &outside, "after").await;
        place.engine.tag_image(&before, &outside).await.expect("tagged");
        assert!(place.plan().await.iter().all(|image| image.1 == Keep), "the host still has the old one");
        let options = BuildOptions { pull: true, ..BuildOptions::default() };
        let plan = place.images("v2").plan(&options).await.expect("planned");
        assert!(plan.images.iter().all(|image| image.action == Build), "{plan:?}");
        assert_eq!(plan.images[0].because, "`other.local/debian:12` has changed");
    });
}

#[test]
fn what_a_failed_push_left_over_is_pushed_by_the_next_build() {
    simulated(async |place| {
        let options = BuildOptions { push: true, changed: true, ..BuildOptions::default() };
        let down = Error::new(ErrorKind::RegistryUnavailable, "registry `r.local` does not answer");
        place.engine.with(|engine, _| engine.fail_registries(Some(down)));
        place.images("v1").build(&options, &|_| {}).await.expect_err("nothing is pushed");
        place.build("v1").await;
        place.engine.with(|engine, _| engine.fail_registries(None));
        let plan = place.images("v1").plan(&options).await.expect("planned");
        assert_eq!(plan.images[0].because, "nothing has changed, but its registry does not have it");
        let built = place.images("v1").build(&options, &|_| {}).await.expect("built");
        assert!(built.iter().all(|image| image.action == Keep && image.digest.is_some()), "{built:?}");
        // Now all is there, so nothing gets a tag that it does not have.
        let built = place.images("v2").build(&options, &|_| {}).await.expect("built");
        let pushed = place.engine.with(|engine, _| engine.pushed().len());
        assert_eq!(pushed, 10, "five images, each by its tag and by its inputs");
        for image in built {
            assert!(place.engine.find_image(&image.reference).await.expect("asked").is_some(), "{}", image.reference);
        }
    });
}

#[test]
fn another_platform_is_another_image() {
    simulated(async |place| {
        place.build("v1").await;
        place.write(
            "haddock-images.yaml",
            "prefix: r.local/books\nimages: { debian: { platform: linux/arm64 }, java: { platform: linux/amd64 } }\n",
        );
        let plan = place.plan().await;
        assert_eq!((plan[0].1, plan[0].2.as_str()), (Build, "the platform has changed"));
        let of_java = |it: &&(String, BuildAction, String)| it.0 == "java";
        assert_eq!(
            plan.iter().find(of_java).expect("planned").2,
            "`debian` has changed",
            "the host's own, by its name"
        );
    });
}

#[test]
fn a_base_from_outside_is_used_by_its_digest() {
    simulated(async |place| {
        place.write("debian/Dockerfile", "FROM other.local/debian:12\n");
        let outside = name("other.local/debian:12");
        push(&place.engine, &outside, "base").await;
        let digest = place.engine.registry_digest(&outside).await.expect("asked").expect("there");
        place.wipe_host().await;
        place.build("v1").await;
        let bases = place.engine.with(|engine, _| engine.builds()[1].bases.clone());
        assert_eq!(bases, [format!("other.local/debian@{digest}")]);
        assert!(place.engine.find_image(&outside).await.expect("asked").is_some(), "it has its tag, too");
        assert_eq!(place.plan().await[0].1, Keep);
        // It is gone from the host, and nobody asks a registry.
        place.engine.untag_image(&outside).await.expect("removed");
        let states = place.images("v1").states().await.expect("asked");
        assert_eq!(states[0].state, ImageState::There);
    });
}

#[test]
fn a_secret_that_is_not_there_is_told_before_anything_is_built() {
    simulated(async |place| {
        for (secret, why) in [
            ("{ token: { file: nowhere } }", "there is no file"),
            ("{ token: { environment: HADDOCK_NO_SUCH_VARIABLE } }", "`HADDOCK_NO_SUCH_VARIABLE` is not set"),
        ] {
            place.write(
                "haddock-images.yaml",
                &format!("prefix: r.local/books\nimages: {{ app: {{ secrets: {secret} }} }}\n"),
            );
            let error = place.images("v1").build(&BuildOptions::default(), &|_| {}).await.expect_err("no secret");
            assert!(
                error.message().contains(why) && error.message().contains("image `app`, secret `token`"),
                "{error}"
            );
            assert_eq!(place.engine.with(|engine, _| engine.builds().len()), 0);
        }
    });
}

#[test]
fn labels_of_the_user_win_and_none_is_inherited() {
    simulated(async |place| {
        place.write(
            "haddock-images.yaml",
            "prefix: r.local/books\nimages: { app: { labels: { org.opencontainers.image.version: mine, haddock.image.inputs: theirs } } }\n",
        );
        place.build("v1").await;
        let app = place.engine.find_image(&name("r.local/books/app:v1")).await.expect("asked").expect("there");
        assert_eq!(app.labels["org.opencontainers.image.version"], "mine");
        assert_ne!(app.labels["haddock.image.inputs"], "theirs");
        assert_eq!(app.labels["org.opencontainers.image.base.name"], "r.local/books/java:v1");
        // It was never pushed, so it has no digest. Without the label, that of an image below would count.
        assert_eq!(app.labels["org.opencontainers.image.base.digest"], "");
    });
}

#[test]
fn every_failure_is_told() {
    simulated(async |place| {
        place.engine.with(|engine, _| engine.set_build_time(Duration::from_secs(60)));
        for (image, exit) in [("java", 3), ("db", 4)] {
            let failed = Error::new(ErrorKind::BuildFailed, format!("step 1/1 failed with exit code {exit}"));
            place.engine.with(|engine, _| engine.fail_builds_of(format!("r.local/books/{image}"), Some(failed)));
        }
        let told = Mutex::new(Vec::new());
        let observer = |event: BuildEvent| told.lock().expect("no panic").push(event.happening);
        let images = place.images("v1").at_once(NonZeroUsize::new(2).expect("two"));
        let error = images.build(&BuildOptions::default(), &observer).await.expect_err("it fails");
        let also = |code: u8| {
            let text = format!("exit code {code}");
            told.lock()
                .expect("no panic")
                .iter()
                .any(|it| matches!(it, BuildHappening::Warning { text: it } if it.contains(&text)))
        };
        assert!(
            error.message().contains("exit code 4") && also(3) || error.message().contains("exit code 3") && also(4)
        );
    });
}

#[test]
fn what_differs_from_its_commit_is_not_pushed() {
    simulated(async |place| {
        let dirty = Revision { commit: "3f2a1bc94d0e".into(), dirty: true, ..Revision::default() };
        let images = place.images("v1").revision(dirty);
        let options = BuildOptions { push: true, ..BuildOptions::default() };
        let error = images.build(&options, &|_| {}).await.expect_err("dirty");
        assert!(error.hint().is_some_and(|hint| hint.contains("--allow-dirty")));
        assert_eq!(place.engine.with(|engine, _| engine.builds().len()), 0, "it is said before anything is built");
        images.build(&BuildOptions { allow_dirty: true, ..options }, &|_| {}).await.expect("told to");
    });
}

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
fn what_cannot_be_pulled_is_built() {
    simulated(async |place| {
        let options = BuildOptions { push: true, ..BuildOptions::default() };
        place.images("v1").build(&options, &|_| {}).await.expect("built");
        place.wipe_host().await;
        // It breaks down between the question and the pull.
        let engine = place.engine.clone();
        let down = Error::new(ErrorKind::RegistryUnavailable, "registry `r.local` does not answer");
        let observer = move |event: BuildEvent| {
            if matches!(event.happening, BuildHappening::Pulling) {
                engine.with(|engine, _| engine.fail_registries(Some(down.clone())));
            }
        };
        place.images("v2").build(&BuildOptions::default(), &observer).await.expect("built in place of it");
        assert!(place.engine.find_image(&name("r.local/books/app:v2")).await.expect("asked").is_some());
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

/// Builds an image on one of ours, as others do: it has our labels. Returns its id.
async fn theirs(place: &Place, on: &str, tag: &ImageReference) -> String {
    let base = place.engine.find_image(&name(on)).await.expect("asked").expect("built");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), format!("FROM {on}\n")).expect("written");
    let context = Context::scan(folder.path(), Some(&folder.path().join("Dockerfile"))).expect("a context");
    let request = BuildRequest {
        dockerfile: "Dockerfile".to_owned(),
        tags: vec![tag.clone()],
        labels: base.labels,
        ..BuildRequest::default()
    };
    place.engine.build_image(&request, context.archive(Default::default()).into(), &|_| {}).await.expect("built")
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
