//! The cases.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures_util::future::join_all;
use haddock_core::ErrorKind;
use haddock_core::container::{ContainerState, Sensitive};
use haddock_core::environment::environments::UpOptions;
use haddock_core::environment::probe::{PROBE_LIMIT, Probe};
use haddock_core::runtime::suite::PORT;
use haddock_tests::environment::{component, name};

use crate::place::{Place, changed, renewed};

async fn answers(address: SocketAddr) {
    let probe = Probe { http: Some("/".to_owned()), ..Probe::tcp(address) };
    probe.once(PROBE_LIMIT).await.expect("what is up answers at once");
}

pub(crate) async fn an_environment_comes_up_ready_and_goes_down(place: &Place<'_>) {
    let (environments, pr) = (place.environments(), place.name("pr"));
    let options = UpOptions {
        by: "ops".to_owned(),
        commit: Some("3f2a1bc-dirty".to_owned()),
        file: Some("compose.yaml".to_owned()),
        ..UpOptions::default()
    };
    let spec = place.shop().await;
    let plan = environments.plan(&pr, &spec, &options).await.expect("a plan");
    assert_eq!(place.corner.inventory().await, (vec![], 0), "a plan does nothing");
    let up = environments.up(&pr, &spec, &options).await.expect("it comes up");
    assert_eq!(up.plan, plan);

    let environment = up.environment;
    for component in ["oracle", "app", "web"] {
        answers(environment.address(component, PORT).expect("an address")).await;
    }
    let done = ContainerState::Exited { code: 0, out_of_memory: false };
    assert_eq!(environment.components[&name("migrate")].state, done);
    let order = ["oracle", "migrate", "app", "web"].map(|it| environment.components[&name(it)].started);
    assert!(order.is_sorted() && order[0] > 0, "{order:?}");
    assert_eq!((environment.by.as_deref(), environment.commit.as_deref()), (Some("ops"), Some("3f2a1bc-dirty")));
    assert_eq!(environments.list().await.expect("a list"), std::slice::from_ref(&environment));
    let log = environments.logs(&pr, "migrate", 1).await.expect("a log");
    assert_eq!(log, ["line 5"]);

    for (component, port) in [("wep", PORT), ("web", 1), ("migrate", PORT)] {
        let error = environment.address(component, port).expect_err("there is none");
        assert!(error.kind() == ErrorKind::NotFound && error.hint().is_some(), "{error:?}");
    }
    assert!(environments.down(&pr, false).await.expect("down"), "there was one");
    assert_eq!(place.corner.inventory().await, (vec![], 0));
    assert!(!environments.down(&pr, false).await.expect("down again"), "there was none");
    assert_eq!(environments.get(&pr).await.expect_err("gone").kind(), ErrorKind::NotFound);
}

pub(crate) async fn a_second_up_finds_nothing_to_do(place: &Place<'_>) {
    let (pr, spec) = (place.name("pr"), place.shop().await);
    place.up(&pr, &spec).await.expect("up");
    let before = place.ids(&pr).await;
    let again = place.up(&pr, &spec).await.expect("up again");
    assert!(again.plan.is_empty(), "{}", again.plan);
    assert_eq!(place.ids(&pr).await, before);
}

pub(crate) async fn a_part_comes_up_with_what_it_needs_and_stays(place: &Place<'_>) {
    let (environments, pr, spec) = (place.environments(), place.name("pr"), place.shop().await);
    let only = |component: &str| UpOptions { only: BTreeSet::from([name(component)]), ..UpOptions::default() };
    let error = environments.up(&pr, &spec, &only("orcale")).await.expect_err("no such component");
    assert_eq!(error.message(), "there is no component `orcale`");
    environments.up(&pr, &spec, &only("migrate")).await.expect("up");
    let part = place.ids(&pr).await;
    assert_eq!(part.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["migrate", "oracle"]);
    place.up(&pr, &spec).await.expect("the rest");
    assert_eq!(renewed(&part, &place.ids(&pr).await), ["app", "web"]);
    let again = environments.up(&pr, &spec, &only("oracle")).await.expect("a part of it again");
    assert!(again.plan.is_empty() && place.ids(&pr).await.len() == 4, "{}", again.plan);
}

pub(crate) async fn what_is_changed_is_replaced_with_what_stands_on_it(place: &Place<'_>) {
    let (pr, spec) = (place.name("pr"), place.shop().await);
    place.up(&pr, &spec).await.expect("up");
    let before = place.ids(&pr).await;
    place.up(&pr, &changed(&spec, "app")).await.expect("up");
    let between = place.ids(&pr).await;
    assert_eq!(renewed(&before, &between), ["app", "web"]);

    let mut fewer = changed(&spec, "app");
    fewer.components.remove(&name("web"));
    fewer.settings = None;
    place.up(&pr, &fewer).await.expect("up");
    let after = place.ids(&pr).await;
    assert_eq!((renewed(&between, &after), after.len()), (vec![], 3), "what the file does not have is gone");
}

pub(crate) async fn a_failure_takes_back_what_it_made_and_nothing_else(place: &Place<'_>) {
    let (environments, pr) = (place.environments(), place.name("pr"));
    let mut spec = place.shop().await;
    spec.components.get_mut(&name("app")).expect("it is there").command = Some(vec!["exit".into(), "7".into()]);
    let error = place.up(&pr, &spec).await.expect_err("the application ends");
    assert_eq!(error.kind(), ErrorKind::ContainerExited);
    assert!(error.message().contains("component `app` exited with code 7"), "{error}");
    assert_eq!(error.log_tail().last().map(String::as_str), Some("line 5"));
    assert_eq!(place.corner.inventory().await, (vec![], 0));

    let only = UpOptions { only: BTreeSet::from([name("oracle")]), ..UpOptions::default() };
    environments.up(&pr, &spec, &only).await.expect("the oracle is well");
    let before = place.ids(&pr).await;
    place.up(&pr, &spec).await.expect_err("the application ends");
    assert_eq!(place.ids(&pr).await, before, "what was there before stays");
}

pub(crate) async fn a_failure_may_leave_what_it_made(place: &Place<'_>) {
    let (environments, pr) = (place.environments(), place.name("pr"));
    let mut spec = place.shop().await;
    spec.components.get_mut(&name("web")).expect("it is there").command = Some(vec!["exit".into(), "7".into()]);
    let options = UpOptions { keep_on_failure: true, ..UpOptions::default() };
    environments.up(&pr, &spec, &options).await.expect_err("the proxy ends");
    assert_eq!(place.ids(&pr).await.len(), 4, "for a look");
    assert_eq!(environments.logs(&pr, "web", 1).await.expect("a log"), ["line 5"]);
    assert!(environments.down(&pr, false).await.expect("down"));
}

pub(crate) async fn what_is_never_ready_is_told_with_its_log(place: &Place<'_>) {
    let pr = place.name("pr");
    let mut deaf = component(place.corner.harness, &["serve"]);
    deaf.expose.push(9);
    let mut spec = place.spec([("web", deaf)]).await;
    let settings = spec.settings.as_mut().expect("a service");
    // A busy engine takes seconds to start it; then it would be the launch that is late.
    settings.ready.within = std::time::Duration::from_secs(10);
    let error = place.up(&pr, &spec).await.expect_err("nothing listens at 9");
    assert_eq!(error.kind(), ErrorKind::NeverReady);
    assert!(error.message().contains("probing port 9: connection refused"), "{error}");
    assert_eq!(place.corner.inventory().await, (vec![], 0));
}

pub(crate) async fn three_at_once_make_one(place: &Place<'_>) {
    let (pr, spec) = (place.name("pr"), place.shop().await);
    // As three processes: each opens the state directory for itself.
    let ups = join_all((0..3).map(|_| place.up(&pr, &spec))).await;
    let ups: Vec<_> = ups.into_iter().map(|up| up.expect("up")).collect();
    assert_eq!(ups.iter().filter(|up| !up.plan.is_empty()).count(), 1, "one does it, the others find it done");
    assert!(ups.iter().all(|up| up.environment == ups[0].environment));
    let (containers, networks) = place.corner.inventory().await;
    assert_eq!(containers.len(), 4);
    assert!(networks <= 1);
}

pub(crate) async fn names_of_others_are_left_alone(place: &Place<'_>) {
    let (pr, spec) = (place.name("pr"), place.shop().await);
    let theirs = haddock_tests::environment::Corner::new(place.corner.harness);
    let mut container = theirs.plan(1, [("web", component(theirs.harness, &["serve"]))]).await;
    container.name = Some(pr.clone());
    haddock_core::environment::launch::launch(theirs.runtime(), &container).await.expect("theirs");
    let error = place.up(&pr, &spec).await.expect_err("the name is taken");
    assert_eq!(error.kind(), ErrorKind::NameTaken, "{error}");
    assert_eq!(place.corner.inventory().await, (vec![], 0), "nothing of ours is left");
    assert!(!place.environments().down(&pr, false).await.expect("nothing to do"));
    assert_eq!(theirs.inventory().await.0.len(), 1, "theirs stays");
    theirs.clean().await;
}

pub(crate) async fn two_copies_do_not_know_each_other(place: &Place<'_>) {
    let environments = place.environments();
    let greeting = |greeting: &str, spec: &haddock_core::environment::EnvironmentSpec| {
        let mut spec = spec.clone();
        let web = spec.components.get_mut(&name("web")).expect("it is there");
        web.environment.insert("GREETING".to_owned(), Sensitive::new(greeting));
        spec
    };
    let spec = place.shop().await;
    for copy in ["one", "other"] {
        place.up(&place.name(copy), &greeting(copy, &spec)).await.expect("up");
    }
    let all = environments.list().await.expect("a list");
    assert_eq!(all.iter().map(|it| it.name.clone()).collect::<Vec<_>>(), [place.name("one"), place.name("other")]);
    let addresses: BTreeSet<_> = all.iter().map(|it| it.address("web", PORT).expect("an address")).collect();
    assert_eq!(addresses.len(), 2);
    environments.down(&place.name("one"), false).await.expect("down");
    assert_eq!(environments.list().await.expect("a list"), all[1..]);
    answers(all[1].address("web", PORT).expect("an address")).await;
}
