use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderValue};

use super::*;
use crate::locator::gateway::client_cookie::ClientSealer;
use crate::locator::gateway::key::Keys;
use crate::locator::gateway::service_routing::{Before, Outcome, Placement};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, Route, RoutingTable, SessionPolicy, Share};

const START: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn shop() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

/// A table with instances: the number of each, its version, and its share.
fn table(revision: u64, routes: &[(u64, Option<u64>, u32)]) -> RoutingTable {
    let id = |n: u64| InstanceId::new(format!("shop-{n}")).expect("valid");
    let route = |version, share| Route { version, ..Route::new(([127, 0, 0, 1], 80).into(), Share::percent(share)) };
    RoutingTable {
        service: shop(),
        number: FencingToken { epoch: 1, revision },
        session: SessionPolicy { by: SessionBy::Client, idle: Duration::from_secs(60), ..SessionPolicy::default() },
        routes: routes.iter().map(|(n, version, share)| (id(*n), route(*version, *share))).collect(),
        watermark: None,
    }
}

fn routing(routes: &[(u64, Option<u64>, u32)]) -> ServiceRouting {
    let mut routing = ServiceRouting::new(1, START, Before::Listed, 10_000, 42);
    routing.apply(&table(1, routes), START);
    routing
}

/// Opens a session and ends its request. Answers with the instance's number and the placement.
fn visit(routing: &mut ServiceRouting, who: Option<Who<'_>>) -> (u64, Placement) {
    let placement = routing.place_for(who, "/", &[], START).expect("a share");
    routing.finish(&placement, Outcome::Sent, START);
    let id = routing.instances[placement.instance as usize].id.to_string();
    (id.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number"), placement)
}

fn newcomer(routing: &mut ServiceRouting) -> (u64, Client) {
    let (headers, sealer) = (HeaderMap::new(), ClientSealer::new(&Keys::new([7; 32], None), &shop()));
    let (at, placement) = visit(routing, Some(Who::Comes { headers: &headers, sealer: &sealer }));
    (at, placement.client.expect("it has decided"))
}

#[test]
fn a_client_keeps_to_its_version_and_goes_over_to_newer_ones_only() {
    let mut routing = routing(&[(1, Some(1), 90), (2, Some(2), 10)]);
    let mut clients: Vec<(u64, Client)> = (0..600).map(|_| newcomer(&mut routing)).collect();
    let on_newest = |clients: &[(u64, Client)]| clients.iter().filter(|(at, _)| *at == 2).count();
    assert!((30..110).contains(&on_newest(&clients)), "{}", on_newest(&clients));
    for (revision, share) in [(2, 10), (3, 30), (4, 30), (5, 70), (6, 100)] {
        routing.apply(&table(revision, &[(1, Some(1), 100 - share), (2, Some(2), share)]), START);
        for (before, client) in &mut clients {
            let (now, placement) = visit(&mut routing, Some(Who::Known(*client)));
            assert!(now >= *before, "from {before} to {now} at {share}%");
            assert!(placement.client.is_some());
            *before = now;
        }
        let expected = 6 * share as usize;
        assert!(on_newest(&clients).abs_diff(expected) < 60, "{} at {share}%", on_newest(&clients));
    }
    // It is given up: all of them go back.
    routing.apply(&table(7, &[(1, Some(1), 100), (2, Some(2), 0)]), START);
    assert!(clients.iter().all(|(_, client)| visit(&mut routing, Some(Who::Known(*client))).0 == 1));
}

#[test]
fn among_the_instances_of_a_version_the_shares_decide() {
    let mut routing = routing(&[(1, None, 25), (2, None, 25), (3, Some(5), 30), (4, Some(5), 20)]);
    let mut counts = BTreeMap::<u64, u32>::new();
    let (_, client) = newcomer(&mut routing);
    for _ in 0..100 {
        *counts.entry(visit(&mut routing, Some(Who::Known(client))).0).or_default() += 1;
    }
    let counts: Vec<(u64, u32)> = counts.into_iter().collect();
    assert!(counts == [(1, 50), (2, 50)] || counts == [(3, 60), (4, 40)], "one version, in turn: {counts:?}");
}

#[test]
fn a_client_whose_version_cannot_be_reached_goes_elsewhere_for_now() {
    let mut routing = routing(&[(1, Some(1), 50), (2, Some(2), 50)]);
    let (at, client) = newcomer(&mut routing);
    let own = u32::try_from(at - 1).expect("small");
    let other = routing.place_for(Some(Who::Known(client)), "/", &[own], START).expect("the other one");
    assert_ne!(other.instance, own);
    routing.move_on(&other, START);
    assert_eq!(visit(&mut routing, Some(Who::Known(client))).0, at, "and comes back");
}

#[test]
fn without_the_setting_nobody_is_known() {
    let mut routing = routing(&[(1, Some(1), 50), (2, Some(2), 50)]);
    let (_, client) = newcomer(&mut routing);
    let mut plain = table(2, &[(1, Some(1), 50), (2, Some(2), 50)]);
    plain.session.by = SessionBy::Session;
    routing.apply(&plain, START);
    let visits: Vec<(u64, Placement)> = (0..10).map(|_| visit(&mut routing, Some(Who::Known(client)))).collect();
    assert_eq!(visits.iter().filter(|(at, _)| *at == 1).count(), 5, "in turn");
    assert!(visits.iter().all(|(_, placement)| placement.client.is_none()));
}

#[test]
fn a_request_on_an_ignored_path_is_nobody_s() {
    let mut routing = routing(&[(1, Some(1), 50), (2, Some(2), 50)]);
    let mut ignoring = table(2, &[(1, Some(1), 50), (2, Some(2), 50)]);
    ignoring.session.ignore = vec!["/health".to_owned()];
    routing.apply(&ignoring, START);
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, HeaderValue::from_static("haddock-client.shop=forged"));
    let sealer = ClientSealer::new(&Keys::new([7; 32], None), &shop());
    let who = Some(Who::Comes { headers: &headers, sealer: &sealer });
    let placement = routing.place_for(who, "/health", &[], START).expect("a share");
    assert!(placement.client.is_none() && placement.session.is_none());
    routing.finish(&placement, Outcome::Sent, START);
    let (_, placement) = visit(&mut routing, who);
    assert!(placement.client.is_some(), "a forged cookie is that of a new client");
}
