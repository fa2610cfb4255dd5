//! To whom a name belongs: two branches, two folders of one name, and a branch with the name of what production shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::ContainerId;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::idle::{IdlePolicy, IdleVerdict};
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{EnvironmentSpec, Origin};
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::{EnvironmentName, ErrorKind, JournalId, ServiceName, SystemClock};

struct House {
    runtime: SimRuntime,
    environments: Environments,
    folder: tempfile::TempDir,
}

/// What was read of a file on disk.
struct Read {
    spec: EnvironmentSpec,
    origin: Option<Origin>,
}

impl House {
    fn new() -> Self {
        let runtime = SimRuntime::new(Arc::new(SystemClock::new()));
        runtime.set_other_images(Some(SimImage::good(Duration::ZERO)));
        let (probing, folder) = (Arc::new(runtime.clone()), tempfile::tempdir().expect("a folder"));
        let specs = SpecStore::directory(folder.path().join("specs")).expect("a store");
        let journal = JournalId::new("j1").expect("valid");
        let environments = Environments::new(Arc::new(runtime.clone()), journal, specs, probing);
        Self { runtime, environments, folder }
    }

    fn file(&self, path: &str, text: &str) -> Read {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
        let file = ComposeFile::read(&path).expect("YAML");
        Read { spec: file.resolve(&ResolveOptions::default()).expect("good").spec, origin: file.origin() }
    }

    fn ids(&self) -> BTreeMap<String, ContainerId> {
        self.runtime.with(|engine, now| engine.containers(now).map(|it| (it.name.clone(), it.id.clone())).collect())
    }

    fn volumes(&self) -> usize {
        self.runtime.with(|engine, _| engine.list_volumes(&Default::default()).len())
    }
}

fn from(read: &Read) -> UpOptions {
    UpOptions { origin: read.origin.clone(), ..UpOptions::default() }
}

fn name(text: &str) -> EnvironmentName {
    EnvironmentName::new(text).expect("valid")
}

const A: &str =
    "services:\n  db: { image: db, volumes: ['data:/data'] }\n  web: { image: web }\nvolumes: { data: {} }\n";
const B: &str = "services:\n  web: { image: 'web:2' }\n";

#[test]
fn two_branches_never_become_one() {
    let shop = ServiceName::new("shop").expect("valid");
    let of = |branch: &str| EnvironmentName::of_branch(&shop, Some(branch)).to_string();
    let long = "a".repeat(70);
    let (longer, other) = (format!("{long}b"), format!("{long}c"));
    let branches = ["pay-42", "pay/42", "PAY-42", "pay_42", "pay-42-", "shared", "-shared", &long, &longer, &other];
    let mut names: Vec<String> = branches.iter().map(|branch| of(branch)).collect();
    assert_eq!(names[0], "shop-pay-42", "what need not be altered is not");
    assert!(names.iter().all(|name| name.len() <= 63 && EnvironmentName::new(name).is_ok()), "{names:?}");
    assert!(names.iter().all(|name| !name.ends_with("-shared")), "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), branches.len(), "{names:?}");
}

#[tokio::test]
async fn another_folder_of_that_name_touches_nothing() {
    let house = House::new();
    let (a, b) = (house.file("a/docker/compose.yaml", A), house.file("b/docker/compose.yaml", B));
    let docker = name("docker");
    house.environments.up(&docker, &a.spec, &from(&a)).await.expect("up");
    let before = house.ids();
    let error = house.environments.up(&docker, &b.spec, &from(&b)).await.expect_err("another's");
    assert_eq!(error.kind(), ErrorKind::NameTaken);
    assert!(error.message().contains("/a/docker") && error.hint().is_some(), "{error:?}");
    let origin = b.origin.as_ref().expect("it is on disk");
    let refused = house.environments.check_origin(&docker, origin).await.expect_err("another's");
    assert_eq!(refused.kind(), ErrorKind::NameTaken);
    assert_eq!(house.ids(), before);
    // Nor its data, when it is down.
    assert!(house.environments.down(&docker, false).await.expect("down"));
    house.environments.up(&docker, &b.spec, &from(&b)).await.expect_err("its volume is there");
    house.environments.up(&docker, &a.spec, &from(&a)).await.expect("up again");
    house.environments.down(&docker, true).await.expect("down with its volumes");
    house.environments.up(&docker, &b.spec, &from(&b)).await.expect("now the name is free");
}

#[tokio::test]
async fn a_project_that_has_moved_is_taken_over_with_its_data() {
    let house = House::new();
    let (old, new) = (house.file("old/compose.yaml", A), house.file("new/compose.yaml", A));
    house.environments.up(&name("shop"), &old.spec, &from(&old)).await.expect("up");
    let before = house.ids();
    let options = UpOptions { take_over: true, ..from(&new) };
    let up = house.environments.up(&name("shop"), &new.spec, &options).await.expect("taken over");
    assert!(up.plan.is_empty() && house.ids() == before && house.volumes() == 1, "{}", up.plan);
    house.environments.up(&name("shop"), &new.spec, &from(&new)).await.expect("it is its own now");
    house.environments.up(&name("shop"), &old.spec, &from(&old)).await.expect_err("and no longer the other's");
}

#[tokio::test]
async fn another_file_of_the_folder_continues_it_or_is_refused_what_it_would_remove() {
    let house = House::new();
    let (first, copy) = (house.file("shop/compose.yaml", A), house.file("shop/other.yaml", A));
    house.environments.up(&name("shop"), &first.spec, &from(&first)).await.expect("up");
    let before = house.ids();
    house.environments.up(&name("shop"), &copy.spec, &from(&copy)).await.expect("the same, by another name");
    house.environments.up(&name("shop"), &first.spec, &from(&first)).await.expect("and back");
    let less = house.file("shop/less.yaml", B);
    let error = house.environments.up(&name("shop"), &less.spec, &from(&less)).await.expect_err("it would remove `db`");
    assert!(error.kind() == ErrorKind::NameTaken && error.message().contains("`db`"), "{error:?}");
    assert_eq!(house.ids(), before);
    let edited = house.file("shop/compose.yaml", B);
    house.environments.up(&name("shop"), &edited.spec, &from(&edited)).await.expect("its own file may");
    assert_eq!(house.ids().into_keys().collect::<Vec<_>>(), ["shop-web"]);
}

const SERVICE: &str = "
name: accounting
services:
  db: { image: db, volumes: ['data:/data'] }
  web: { image: 'web:1', ports: ['8080'], links: [db] }
volumes: { data: {} }
x-haddock: { entry: web:8080, shared: [db] }
";

#[tokio::test]
async fn what_is_shared_is_no_branchs_and_what_only_sounds_so_is_pruned() {
    let house = House::new();
    let file = house.file("accounting/compose.yaml", SERVICE);
    let shared = name("accounting-shared");
    let refused = house.environments.up(&shared, &file.spec, &from(&file)).await.expect_err("it is reserved");
    assert_eq!((refused.kind(), house.ids().len()), (ErrorKind::NameTaken, 0));
    let mut versioned = file.spec.clone();
    versioned.components.get_mut("web").expect("it is there").versioned = true;
    let up = house.environments.up_shared(&versioned, &from(&file), false).await.expect("up").expect("there is some");
    assert_eq!(up.environment.name, shared);
    let other = house.file("team/compose.yaml", B);
    house.environments.up(&name("team-shared"), &other.spec, &from(&other)).await.expect("nobody shares it");
    house.environments.up(&shared, &other.spec, &from(&other)).await.expect_err("that is production's");
    let pruned = house.environments.prune(&IdlePolicy::default(), true).await.expect("looked at");
    let names: Vec<&str> = pruned.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["team-shared"]);
    assert!(!matches!(pruned[0].verdict, IdleVerdict::Failed { .. }), "{pruned:?}");
}
