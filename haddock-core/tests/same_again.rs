//! An environment is brought up again when everything but its file's meaning has changed: the commit, who asks, the file's
//! name, what its labels say. It is the same environment, with the same data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::{ContainerId, Identity, VolumeSpec, label};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::{EnvironmentName, ErrorKind, InstanceId, JournalId, SystemClock};

const SHOP: &str = "
name: shop
services:
  db: { image: db, expose: ['5432'], volumes: ['data:/data'] }
  web: { image: web, expose: ['8080'], links: [db] }
volumes: { data: { labels: { team: shop } } }
x-haddock: { entry: web:8080 }
";

struct House {
    runtime: SimRuntime,
    environments: Environments,
    name: EnvironmentName,
}

impl House {
    fn new() -> Self {
        let runtime = SimRuntime::new(Arc::new(SystemClock::new()));
        runtime.set_other_images(Some(SimImage::good(Duration::ZERO)));
        let probing = Arc::new(runtime.clone());
        let environments = Environments::new(Arc::new(runtime.clone()), journal(), SpecStore::memory(), probing);
        Self { runtime, environments, name: EnvironmentName::new("pr").expect("valid") }
    }

    fn uid(&self) -> InstanceId {
        InstanceId::of_environment(&journal(), &self.name)
    }

    fn ids(&self) -> BTreeMap<String, ContainerId> {
        self.runtime.with(|engine, now| engine.containers(now).map(|it| (it.name.clone(), it.id.clone())).collect())
    }
}

fn journal() -> JournalId {
    JournalId::new("j1").expect("valid")
}

fn spec(text: &str) -> EnvironmentSpec {
    let file = ComposeFile::parse("compose.yaml", text).expect("YAML");
    file.resolve(&ResolveOptions::default()).expect("good").spec
}

fn asked(by: &str, commit: &str) -> UpOptions {
    UpOptions { by: by.to_owned(), commit: Some(commit.to_owned()), ..UpOptions::default() }
}

#[tokio::test]
async fn a_commit_later_and_by_another_it_is_the_same_environment() {
    let house = House::new();
    house.environments.up(&house.name, &spec(SHOP), &asked("ann", "1111111")).await.expect("up");
    let before = house.ids();
    let later =
        house.environments.up(&house.name, &spec(SHOP), &asked("bob", "2222222-dirty")).await.expect("up again");
    assert!(later.plan.is_empty(), "{}", later.plan);
    assert_eq!(house.ids(), before);
    let found = house.environments.get(&house.name).await.expect("it is up");
    assert_eq!((found.by.as_deref(), found.commit.as_deref()), (Some("bob"), Some("2222222-dirty")));
    assert_eq!(house.environments.list().await.expect("a list"), [found]);
}

#[tokio::test]
async fn a_changed_component_keeps_its_volume_a_commit_later() {
    let house = House::new();
    house.environments.up(&house.name, &spec(SHOP), &asked("ann", "1111111")).await.expect("up");
    let changed = SHOP.replace("image: db", "image: 'db:2'").replace("team: shop", "team: books");
    house.environments.up(&house.name, &spec(&changed), &asked("bob", "2222222")).await.expect("up again");
    let volumes = house.runtime.with(|engine, _| engine.list_volumes(&Default::default()));
    assert_eq!(volumes.len(), 1);
    assert_eq!(volumes[0].labels["team"], "shop", "a volume is not made anew for a label");
}

#[tokio::test]
async fn what_an_earlier_version_labelled_is_taken_over() {
    let house = House::new();
    house.runtime.with(|engine, _| {
        let old = [
            (label::NAME, "pr"),
            (label::EPOCH, "0"),
            (label::SPEC, "network"),
            (label::BY, "ann"),
            (label::COMMIT, "1111111"),
            (label::FILE, "compose.yaml"),
        ];
        let labels = old.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let identity = Identity::environment(&journal(), &house.uid());
        let volume = VolumeSpec { name: "pr_data".to_owned(), identity, labels, ..VolumeSpec::default() };
        engine.create_volume(&volume).expect("made");
    });
    house.environments.up(&house.name, &spec(SHOP), &asked("bob", "2222222")).await.expect("up");
    let volumes = house.runtime.with(|engine, _| engine.list_volumes(&Default::default()));
    assert_eq!(volumes.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["pr_data"]);
}

#[tokio::test]
async fn a_volume_of_another_environment_is_refused() {
    let house = House::new();
    let other = InstanceId::of_environment(&journal(), &EnvironmentName::new("other").expect("valid"));
    house.runtime.with(|engine, _| {
        let identity = Identity::environment(&journal(), &other);
        engine
            .create_volume(&VolumeSpec { name: "pr_data".to_owned(), identity, ..VolumeSpec::default() })
            .expect("made");
    });
    let refused = house.environments.up(&house.name, &spec(SHOP), &UpOptions::default()).await;
    assert_eq!(refused.expect_err("another's").kind(), ErrorKind::NameTaken);
}
