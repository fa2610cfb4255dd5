//! What is built, in which order, and why.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use haddock_core::Error;
use haddock_core::ErrorKind;
use haddock_core::build::BuildAction;
use haddock_core::build::BuildEvent;
use haddock_core::build::BuildHappening;
use haddock_core::build::BuildOptions;
use haddock_core::build::ImageState;
use haddock_core::image::Revision;
use haddock_core::runtime::ImageBuilder;

use crate::place::{images_in, name, named, push, simulated};
use BuildAction::{Build, Keep, Pull};

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
