//! Images that components of a compose file are built from, on the simulated engine.
#![allow(missing_docs)]

use std::fs;
use std::sync::Arc;

use haddock_core::build::{BuildAction, BuildOptions, Images};
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::image::ImageReference;
use haddock_core::runtime::ImageBuilder;
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::testing::VirtualTime;
use haddock_core::{Error, ErrorKind, Timestamp};

struct Project {
    folder: tempfile::TempDir,
    engine: SimRuntime,
}

impl Project {
    fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, text).expect("written");
    }

    fn images(&self) -> Result<Images, Error> {
        let file = self.folder.path().join("compose.yaml");
        let spec =
            ComposeFile::read(&file).and_then(|it| it.resolve(&ResolveOptions::default())).expect("resolved").spec;
        Images::of_components(&spec, Arc::new(self.engine.clone()))
    }

    async fn build(&self) -> Vec<(String, BuildAction)> {
        let built = self.images().expect("read").build(&BuildOptions::default(), &|_| {}).await.expect("built");
        built.into_iter().map(|image| (image.name, image.action)).collect()
    }

    async fn has(&self, image: &str) -> bool {
        self.engine.find_image(&ImageReference::parse(image).expect("a reference")).await.expect("asked").is_some()
    }

    fn refused(&self, compose: &str) -> Error {
        self.write("compose.yaml", compose);
        self.images().expect_err("refused")
    }
}

fn simulated(test: impl AsyncFn(Project)) {
    let time = VirtualTime::new(Timestamp::from_millis(0)).expect("a runtime");
    let engine = SimRuntime::new(time.clock());
    time.block_on(test(Project { folder: tempfile::tempdir().expect("a folder"), engine }));
}

fn named(actions: &[(&str, BuildAction)]) -> Vec<(String, BuildAction)> {
    actions.iter().map(|(name, action)| ((*name).to_owned(), *action)).collect()
}

use BuildAction::{Build, Keep};

#[test]
fn components_are_built_under_their_own_names() {
    simulated(async |project| {
        project.write("web/Dockerfile", "FROM scratch\nCOPY page /\n");
        project.write("web/page", "one");
        project.write(
            "compose.yaml",
            "name: shop
services:
  web: { image: 'r.local/shop:7', build: { context: web, tags: ['r.local/shop:also'] } }
  worker: { image: 'r.local/shop:7', build: { context: web, tags: ['r.local/shop:also'] } }
  plain: { build: { dockerfile_inline: 'FROM scratch' } }
  db: { image: 'postgres:17' }
",
        );
        assert_eq!(project.build().await, named(&[("plain", Build), ("web", Build)]));
        for image in ["r.local/shop:7", "r.local/shop:also", "shop-plain:latest"] {
            assert!(project.has(image).await, "{image}");
        }
        assert_eq!(project.build().await, named(&[("plain", Keep), ("web", Keep)]));
        project.write("web/page", "two");
        // `plain` has the whole project as its context.
        assert_eq!(project.build().await, named(&[("plain", Build), ("web", Build)]));
    });
}

#[test]
fn images_are_found_by_reference_and_by_additional_contexts() {
    simulated(async |project| {
        project.write("base/Dockerfile", "FROM scratch\n");
        project.write("assets/logo", "logo");
        project.write("web/Dockerfile", "FROM shop-base:3\nCOPY --from=assets logo /\nCOPY --from=tools x /\n");
        project.write("proxy/Dockerfile", "FROM common\n");
        project.write(
            "compose.yaml",
            "name: shop
services:
  base: { image: 'shop-base:3', build: base }
  proxy: { image: 'proxy:1', build: { context: proxy, additional_contexts: { common: 'service:base' } } }
  tools: { image: 'tools:1', build: base }
  web:
    image: 'web:1'
    build: { context: web, additional_contexts: { assets: ./assets, tools: 'docker-image://tools:1', unused: ./base } }
",
        );
        let all = ["base", "proxy", "tools", "web", "web:assets"];
        let mut built = project.build().await;
        let at = |name: &str, built: &[(String, BuildAction)]| built.iter().position(|it| it.0 == name).expect("built");
        for (image, needs) in [("proxy", "base"), ("web", "base"), ("web", "tools"), ("web", "web:assets")] {
            assert!(at(needs, &built) < at(image, &built), "{built:?}");
        }
        built.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(built, named(&all.map(|name| (name, Build))));
        assert!(!project.has("web:latest").await, "a folder gets no name that people see");
        project.write("assets/logo", "another");
        let built: Vec<String> = project.build().await.into_iter().filter(|it| it.1 == Build).map(|it| it.0).collect();
        assert_eq!(built, ["web:assets", "web"]);
    });
}

#[test]
fn what_cannot_be_built_is_refused_with_component_and_key() {
    simulated(async |project| {
        project.write("web/Dockerfile", "FROM scratch AS files\n");
        let of = |build: &str| format!("services: {{ web: {{ image: 'web:1', build: {build} }} }}\n");
        for (build, key, kind) in [
            ("{ context: web, privileged: true }", "build.privileged", ErrorKind::NotSupported),
            ("{ context: web, shm_size: 1gb }", "build.shm_size", ErrorKind::NotSupported),
            ("'https://example.org/x.git'", "build.context", ErrorKind::NotSupported),
            ("{ context: web, ssh: [other] }", "build.ssh", ErrorKind::NotSupported),
            ("{ context: web, dockerfile: no }", "build.dockerfile", ErrorKind::ImageTree),
            ("no-folder", "build.context", ErrorKind::ImageTree),
            (
                "{ context: web, additional_contexts: { files: ./web } }",
                "build.additional_contexts.files",
                ErrorKind::NotSupported,
            ),
        ] {
            let error = project.refused(&of(build));
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(key) && error.message().contains("component `web`"), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        let two = "services: { a: { image: 'x:1', build: web }, b: { image: 'x:1', build: { context: web, target: files } } }\n";
        let error = project.refused(two);
        assert!(error.message().contains("`a` and `b`"), "{error}");
    });
}
