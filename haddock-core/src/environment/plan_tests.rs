use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::container::{ContainerId, Health};
use crate::environment::compose::{ComposeFile, ResolveOptions};

const FILE: &str = "
name: shop
services:
  db: { image: db, expose: ['5432'] }
  migrate: { image: migrate, links: [db] }
  app: { image: app, links: ['db:store'], expose: ['80'], depends_on: { migrate: { condition: service_completed_successfully } } }
  mail: { image: mail }
";

struct Scene {
    spec: EnvironmentSpec,
    members: BTreeSet<ComponentName>,
    digests: BTreeMap<ComponentName, String>,
    complete: bool,
    aside: BTreeSet<ComponentName>,
    ran: BTreeSet<ContainerId>,
    can: bool,
    found: Vec<Container>,
}

fn name(name: &str) -> ComponentName {
    ComponentName::new(name).expect("a name")
}

impl Scene {
    fn new() -> Self {
        Self::empty(FILE)
    }

    fn empty(file: &str) -> Self {
        let spec = ComposeFile::parse("compose.yaml", file).expect("read").resolve(&ResolveOptions::default());
        let spec = spec.expect("resolved").spec;
        let members = with_needs(&spec, &BTreeSet::new());
        let digests = members.iter().map(|name| (name.clone(), format!("{name}-1"))).collect();
        Self {
            spec,
            members,
            digests,
            complete: true,
            aside: BTreeSet::new(),
            ran: BTreeSet::new(),
            can: true,
            found: Vec::new(),
        }
    }

    /// Everything is there, as it should be.
    fn whole() -> Self {
        Self::of(FILE)
    }

    fn of(file: &str) -> Self {
        let mut scene = Self::empty(file);
        for component in ["app", "db", "mail"] {
            scene.find(component, ContainerState::Running);
        }
        scene.find("migrate", ended(0));
        scene
    }

    fn find(&mut self, component: &str, state: ContainerState) {
        self.lose(component);
        let labels = [(label::COMPONENT, component.to_owned()), (label::SPEC, format!("{component}-1"))];
        self.found.push(Container {
            id: ContainerId(component.to_owned()),
            name: format!("test-{component}"),
            labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
            state,
            started: 1,
            health: Health::None,
            addresses: BTreeMap::new(),
            published: BTreeMap::new(),
            image: String::new(),
            networks: Vec::new(),
            network_ids: BTreeMap::new(),
        });
    }

    fn lose(&mut self, component: &str) {
        self.found.retain(|container| container.id.0 != component);
    }

    fn changed(&mut self, component: &str) {
        self.digests.insert(name(component), "other".to_owned());
    }

    fn change_of(&self, component: &str) -> Change {
        self.plan().0.into_iter().find(|planned| planned.component == name(component)).expect("planned").change
    }

    fn plan(&self) -> Plan {
        let Self { spec, members, digests, complete, aside, ran, .. } = self;
        let (relinked, complete, start_again, unpause) = (&BTreeSet::new(), *complete, self.can, self.can);
        Plan::new(
            &Wanted {
                spec,
                members,
                digests,
                relinked,
                moved: relinked,
                stranded: relinked,
                complete,
                aside,
                ran,
                start_again,
                unpause,
            },
            &self.found,
        )
    }
}

fn ended(code: i64) -> ContainerState {
    ContainerState::Exited { code, out_of_memory: false }
}

#[test]
fn from_nothing_all_is_created_each_after_what_it_needs() {
    insta::assert_snapshot!(Scene::new().plan(), @r"
    create   db: it is not there
    create   mail: it is not there
    create   migrate: it is not there
    create   app: it is not there
    ");
}

#[test]
fn what_is_as_it_should_be_stays() {
    let plan = Scene::whole().plan();
    insta::assert_snapshot!(plan, @r"
    keep     db: it runs and is as the file says
    keep     mail: it runs and is as the file says
    keep     migrate: it has done its work
    keep     app: it runs and is as the file says
    ");
    assert!(plan.is_empty());
}

#[test]
fn what_is_changed_is_replaced_with_all_that_stands_on_it() {
    let mut scene = Scene::whole();
    scene.changed("db");
    insta::assert_snapshot!(scene.plan(), @r"
    replace  db: its image or its part of the file has changed
    keep     mail: it runs and is as the file says
    keep     migrate: it has done its work
    replace  app: `db`, which it needs, is new
    ");
}

#[test]
fn what_others_need_and_is_gone_is_made_anew_with_them() {
    let mut scene = Scene::whole();
    scene.lose("db");
    scene.find("app", ContainerState::Removing);
    insta::assert_snapshot!(scene.plan(), @r"
    create   db: it is not there
    keep     mail: it runs and is as the file says
    keep     migrate: it has done its work
    create   app: it is not there
    ");
}

#[test]
fn what_has_ended_is_started_again_unless_its_work_is_done() {
    let mut scene = Scene::whole();
    scene.find("db", ended(0));
    scene.find("mail", ended(0));
    scene.find("migrate", ended(3));
    insta::assert_snapshot!(scene.plan(), @r"
    restart  db: it has ended with exit code 0
    keep     mail: it has done its work
    restart  migrate: it has ended with exit code 3
    keep     app: it runs and is as the file says
    ");
    scene.can = false;
    insta::assert_snapshot!(scene.plan(), @r"
    replace  db: it has ended with exit code 0
    keep     mail: it has done its work
    replace  migrate: `db`, which it needs, is new
    replace  app: `db`, which it needs, is new
    ");
}

#[test]
fn what_ran_on_when_the_last_up_had_ended_was_stopped() {
    let mut scene = Scene::whole();
    // A worker without ports that exits with 0 when it is stopped.
    scene.find("mail", ended(0));
    scene.ran = ["mail", "migrate"].map(|id| ContainerId(id.to_owned())).into();
    insta::assert_snapshot!(scene.plan(), @r"
    keep     db: it runs and is as the file says
    restart  mail: it has ended with exit code 0
    keep     migrate: it has done its work
    keep     app: it runs and is as the file says
    ");
    for says in ["restart: always", "restart: unless-stopped", "healthcheck: { test: 'true' }"] {
        let mut scene = Scene::of(&FILE.replace("image: mail", &format!("image: mail, {says}")));
        scene.find("mail", ended(0));
        assert_eq!(scene.change_of("mail"), Change::Restart, "{says}");
    }
    for says in ["restart: 'no'", "restart: on-failure", "healthcheck: { disable: true }"] {
        let mut scene = Scene::of(&FILE.replace("image: mail", &format!("image: mail, {says}")));
        scene.find("mail", ended(0));
        assert_eq!(scene.change_of("mail"), Change::Keep, "{says}");
    }
}

#[test]
fn each_state_that_engines_report_has_its_change() {
    let states = [
        (ContainerState::Created, Change::Start, Cause::NeverStarted),
        (ContainerState::Running, Change::Keep, Cause::Runs),
        (ContainerState::Paused, Change::Unpause, Cause::Paused),
        (ContainerState::Restarting { code: 1 }, Change::Keep, Cause::Restarting),
        (ContainerState::Removing, Change::Create, Cause::Missing),
        (ended(255), Change::Restart, Cause::Ended(255)),
        (ContainerState::Dead, Change::Replace, Cause::Dead),
    ];
    for (state, change, cause) in states {
        let mut scene = Scene::whole();
        scene.find("app", state.clone());
        let plan = scene.plan();
        let app = plan.0.iter().find(|planned| planned.component == name("app")).expect("it is in the file");
        assert_eq!((app.change, &app.cause), (change, &cause), "{state:?}");
        scene.changed("app");
        let changed = if matches!(state, ContainerState::Removing) { change } else { Change::Replace };
        assert!(matches!(scene.change_of("app"), Change::Replace) || scene.change_of("app") == changed, "{state:?}");
    }
    let mut scene = Scene::whole();
    scene.can = false;
    scene.find("app", ContainerState::Paused);
    assert_eq!(scene.change_of("app"), Change::Replace);
}

#[test]
fn what_has_joined_another_goes_with_it() {
    let joins = ["network_mode: 'service:db'", "pid: 'service:db'", "ipc: 'service:db'"];
    for joins in joins {
        let file = FILE.replace("image: mail", &format!("image: mail, {joins}"));
        let mut scene = Scene::of(&file);
        assert_eq!(scene.change_of("mail"), Change::Keep, "{joins}");
        // Somebody has restarted `db`: `mail` is still in the namespace of its earlier life.
        scene.found.iter_mut().find(|it| it.id.0 == "db").expect("found").started = 9;
        assert_eq!(scene.change_of("mail"), Change::Restart, "{joins}");
        scene.found.iter_mut().find(|it| it.id.0 == "mail").expect("found").started = 10;
        assert_eq!(scene.change_of("mail"), Change::Keep, "{joins}");
        scene.find("db", ended(137));
        assert_eq!(scene.change_of("mail"), Change::Restart, "{joins}");
        scene.changed("db");
        assert_eq!(scene.change_of("mail"), Change::Replace, "{joins}");
    }
}

#[test]
fn what_was_made_by_one_that_was_killed_is_started() {
    let mut scene = Scene::whole();
    scene.find("mail", ContainerState::Created);
    let plan = scene.plan();
    assert_eq!(plan.all(Change::Start).collect::<Vec<_>>(), [&name("mail")]);
    assert!(!plan.is_empty());
}

#[test]
fn what_the_file_does_not_have_goes_unless_only_a_part_was_asked_for() {
    let mut scene = Scene::whole();
    scene.find("cache", ContainerState::Running);
    assert_eq!(scene.plan().all(Change::Remove).collect::<Vec<_>>(), [&name("cache")]);
    scene.complete = false;
    assert!(scene.plan().is_empty());
}

#[test]
fn a_part_brings_what_it_needs() {
    let spec = Scene::new().spec;
    let of = |only: &str| -> Vec<String> {
        with_needs(&spec, &BTreeSet::from([name(only)])).iter().map(ToString::to_string).collect()
    };
    assert_eq!(of("db"), ["db"]);
    assert_eq!(of("migrate"), ["db", "migrate"]);
    assert_eq!(of("app"), ["app", "db", "migrate"]);
}

#[test]
fn a_plan_is_plain_data() {
    let mut scene = Scene::whole();
    scene.find("migrate", ended(3));
    let json = serde_json::to_value(scene.plan()).expect("plain");
    assert_eq!(json[2], serde_json::json!({"component": "migrate", "change": "restart", "cause": {"ended": 3}}));
    scene.lose("migrate");
    let json = serde_json::to_value(scene.plan()).expect("plain");
    assert_eq!(json[3]["cause"], serde_json::json!({"needs": "migrate"}));
    assert_eq!(serde_json::from_value::<Plan>(json).expect("read back"), scene.plan());
}
