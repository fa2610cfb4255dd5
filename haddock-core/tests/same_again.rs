//! An environment is brought up again when everything but its file's meaning has changed: the commit, who asks, the file's
//! name, what its labels say. It is the same environment, with the same data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::{ContainerId, ContainerSpec, Identity, NetworkSpec, VolumeSpec, label};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::{ComponentName, EnvironmentName, ErrorKind, InstanceId, JournalId, SystemClock};

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

const NETS: &str = "
name: shop
services:
  web: { image: web, expose: ['8080'] }
  tool: { image: tool, profiles: [debug] }
networks: { default: { internal: false, labels: { a: b } } }
";

#[tokio::test]
async fn a_changed_network_is_made_anew_with_what_is_on_it() {
    let house = House::new();
    let network = || house.runtime.with(|engine, _| engine.list_networks(&Default::default())[0].id.clone());
    house.environments.up(&house.name, &spec(NETS), &UpOptions::default()).await.expect("up");
    let before = (house.ids(), network());
    let relabelled = NETS.replace("a: b", "a: c");
    let up = house.environments.up(&house.name, &spec(&relabelled), &UpOptions::default()).await.expect("up again");
    assert!(up.plan.is_empty(), "a label makes no other network: {}", up.plan);
    let changed = NETS.replace("internal: false", "internal: true");
    house.environments.up(&house.name, &spec(&changed), &UpOptions::default()).await.expect("up with the change");
    let after = (house.ids(), network());
    assert!(before.1 != after.1 && before.0["pr-web"] != after.0["pr-web"], "{before:?} {after:?}");
    let up = house.environments.up(&house.name, &spec(&changed), &UpOptions::default()).await.expect("up again");
    assert!(up.plan.is_empty(), "{}", up.plan);
}

#[tokio::test]
async fn nothing_is_removed_for_what_cannot_be_brought_up() {
    let other = InstanceId::of_environment(&journal(), &EnvironmentName::new("other").expect("valid"));
    let identity = || Identity::environment(&journal(), &other);
    let changed = SHOP.replace("image: db", "image: 'db:2'");
    let cases = ["volume", "network", "container"];
    for case in cases {
        let house = House::new();
        house.environments.up(&house.name, &spec(SHOP), &UpOptions::default()).await.expect("up");
        let before = house.ids();
        house.runtime.with(|engine, _| match case {
            "volume" => {
                let name = "pr_logs".to_owned();
                engine.create_volume(&VolumeSpec { name, identity: identity(), ..Default::default() }).expect("made");
            }
            "network" => {
                let name = "pr_back".to_owned();
                engine.create_network(&NetworkSpec { name, identity: identity(), ..Default::default() }).expect("made");
            }
            _ => {
                let (name, image) = ("pr-mail".to_owned(), "mail".to_owned());
                let spec = ContainerSpec { name, image, identity: identity(), ..Default::default() };
                engine.fetch("mail", false).expect("an image");
                engine.create(&spec).expect("made");
            }
        });
        let file = match case {
            "volume" => changed
                .replace("['data:/data']", "['data:/data', 'logs:/logs']")
                .replace("volumes: {", "volumes: { logs: {},"),
            "network" => {
                changed.replace("links: [db] }", "links: [db], networks: [back, default] }")
                    + "networks: { back: {} }\n"
            }
            _ => changed.replace("  web:", "  mail: { image: mail }\n  web:"),
        };
        let refused = house.environments.up(&house.name, &spec(&file), &UpOptions::default()).await;
        assert_eq!(refused.expect_err(case).kind(), ErrorKind::NameTaken, "{case}");
        let mut after = house.ids();
        after.remove("pr-mail");
        assert_eq!(after, before, "{case}: nothing was removed");
    }
}

#[tokio::test]
async fn ports_are_looked_at_before_anything_is_removed() {
    let with = |text: &str, component: &str, host: u16| {
        let image = format!("{component}: {{ image: {component},");
        text.replace(&image, &format!("{image} ports: ['{host}:80'],"))
    };
    let house = House::new();
    let up = async |text: &str| house.environments.up(&house.name, &spec(text), &UpOptions::default()).await;
    up(SHOP).await.expect("up");
    let other = EnvironmentName::new("other").expect("valid");
    let taking = spec(&with(SHOP, "web", 8000));
    house.environments.up(&other, &taking, &UpOptions::default()).await.expect("the other has the port");
    let before = house.ids();
    // Another environment has the port; two components of this one want it.
    let twice = with(&with(SHOP, "web", 9000), "db", 9000);
    for file in [with(SHOP, "db", 8000), twice] {
        assert_eq!(up(&file).await.expect_err("taken").kind(), ErrorKind::PortTaken, "{file}");
        assert_eq!(house.ids(), before, "nothing was removed");
    }
    // A container that was never started, or is started again, gets its ports at the start.
    up(&with(SHOP, "web", 8001)).await.expect("the port is free");
    let stopped = house.ids()["pr-web"].clone();
    house.runtime.with(|engine, _| engine.stop(&stopped));
    house.environments.up(&other, &spec(&with(SHOP, "web", 8001)), &UpOptions::default()).await.expect("and taken");
    let before = house.runtime.with(|engine, now| engine.containers(now).cloned().collect::<Vec<_>>());
    let changed = with(SHOP, "web", 8001).replace("image: db", "image: 'db:2'");
    assert_eq!(up(&changed).await.expect_err("taken").kind(), ErrorKind::PortTaken);
    let after = house.runtime.with(|engine, now| engine.containers(now).cloned().collect::<Vec<_>>());
    assert_eq!(after, before, "nothing was touched");
    // A container that is removed leaves its port to a new one.
    let moved = with(SHOP, "web", 8001).replace("  web:", "  front:").replace("entry: web", "entry: front");
    house
        .environments
        .up(&other, &spec(&moved), &UpOptions::default())
        .await
        .expect("the port goes from one to the other");
}

#[tokio::test]
async fn components_of_an_inactive_profile_are_left_alone_and_those_that_are_gone_are_not() {
    let house = House::new();
    let resolve = |text: &str, profile: Option<&str>| {
        let file = ComposeFile::parse("compose.yaml", text).expect("YAML");
        let options =
            ResolveOptions { profiles: profile.iter().map(|it| (*it).to_owned()).collect(), ..Default::default() };
        let resolved = file.resolve(&options).expect("good");
        (resolved.spec, UpOptions { aside: resolved.inactive, ..UpOptions::default() })
    };
    let (all, options) = resolve(NETS, Some("debug"));
    house.environments.up(&house.name, &all, &options).await.expect("up");
    let before = house.ids();
    let (plain, options) = resolve(NETS, None);
    let up = house.environments.up(&house.name, &plain, &options).await.expect("up without the profile");
    assert!(up.plan.is_empty() && house.ids() == before, "{}", up.plan);
    let (without, options) = resolve(&NETS.replace("  tool: { image: tool, profiles: [debug] }\n", ""), None);
    house.environments.up(&house.name, &without, &options).await.expect("up without the component");
    assert_eq!(house.ids().into_keys().collect::<Vec<_>>(), ["pr-web"]);
}

#[tokio::test]
async fn fewer_replicas_of_one_component_take_the_others_away_and_nothing_else() {
    let house = House::new();
    let file = |web: u32, db: u32| {
        spec(&format!(
            "
name: shop
services:
  web: {{ image: web, deploy: {{ replicas: {web} }} }}
  db: {{ image: db, deploy: {{ replicas: {db} }} }}
"
        ))
    };
    house.environments.up(&house.name, &file(3, 2), &UpOptions::default()).await.expect("up");
    let only = UpOptions { only: [ComponentName::new("web").expect("valid")].into(), ..UpOptions::default() };
    house.environments.up(&house.name, &file(2, 0), &only).await.expect("up of one");
    assert_eq!(house.ids().into_keys().collect::<Vec<_>>(), ["pr-db", "pr-db-2", "pr-web", "pr-web-2"]);
    house.environments.up(&house.name, &file(2, 0), &UpOptions::default()).await.expect("up of all");
    assert_eq!(house.ids().into_keys().collect::<Vec<_>>(), ["pr-web", "pr-web-2"]);
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
