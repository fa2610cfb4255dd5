use std::collections::BTreeSet;

use super::*;
use crate::name::ServiceName;
use crate::routing::{FencingToken, Route, RoutingTable, SessionPolicy, Share};

fn id(n: u32) -> InstanceId {
    InstanceId::new(format!("shop-{n}")).expect("valid")
}

fn address(n: u32) -> SocketAddr {
    format!("10.0.0.{n}:8080").parse().expect("an address")
}

/// A service with these shares in percent, and ids from 1001 on.
fn state(shares: &[(u32, u32)], closed: &[u32]) -> State {
    let service = ServiceName::new("shop").expect("valid");
    let number = FencingToken { epoch: 1, revision: 1 };
    let route = |(n, share): &(u32, u32)| (id(*n), Route::new(address(*n), Share::percent(*share)));
    let table = RoutingTable {
        service: service.clone(),
        number,
        session: SessionPolicy::default(),
        routes: shares.iter().map(route).collect(),
        watermark: None,
    };
    let closed: BTreeSet<InstanceId> = closed.iter().map(|n| id(*n)).collect();
    State::new(service, number, Some(table), closed, Default::default())
}

fn server(n: u32, weight: u16, admin: u32) -> ServerState {
    ServerState { name: id(n).to_string(), id: 1_000 + n, address: Some(address(n)), admin, weight }
}

fn said(state: &State, servers: &[ServerState]) -> Vec<String> {
    orders(state, "be", servers, false).into_iter().map(|order| order.command).collect()
}

#[test]
fn what_is_missing_is_added_with_an_id_that_no_server_ever_had() {
    let mut state = state(&[(1, 10), (2, 90)], &[]);
    let own = ServerState { name: "static".to_owned(), id: 1_300, ..server(9, 100, 0) };
    number(&mut state, std::slice::from_ref(&own));
    assert_eq!(state.own.servers.values().copied().collect::<Vec<_>>(), [1_301, 1_302], "above what is there");
    assert_eq!(
        said(&state, &[own]),
        [
            "add server be/shop-1 10.0.0.1:8080 id 1301 weight 1",
            "add server be/shop-2 10.0.0.2:8080 id 1302 weight 9",
            "set server be/shop-1 state ready",
            "set server be/shop-2 state ready",
        ]
    );
    state.own.servers.clear();
    number(&mut state, &[]);
    assert_eq!(state.own.servers[&id(1)], 1_303, "a removed server's id is not given again");
}

#[test]
fn where_a_cookie_names_servers_new_ones_get_their_value_before_they_are_ready() {
    let mut state = state(&[(1, 100)], &[]);
    number(&mut state, &[]);
    let said = |servers: &[ServerState]| {
        orders(&state, "be", servers, true).into_iter().map(|order| order.command).collect::<Vec<_>>()
    };
    assert_eq!(
        said(&[]),
        [
            "add server be/shop-1 10.0.0.1:8080 id 1001 weight 1",
            "enable dynamic-cookie backend be",
            "set server be/shop-1 state ready",
        ]
    );
    assert_eq!(said(&[server(1, 1, 0)]), [""; 0]);
}

#[test]
fn whoever_is_given_sessions_comes_before_whoever_gives_them_away() {
    let mut state = state(&[(1, 0), (2, 100)], &[]);
    let before = [server(1, 1, 0), server(2, 0, 0)];
    number(&mut state, &before);
    assert_eq!(said(&state, &before), ["set server be/shop-2 weight 1", "set server be/shop-1 weight 0"]);
    assert_eq!(said(&state, &[server(1, 0, 0), server(2, 1, 0)]), [""; 0], "it is in force");
    // Somebody else has drained one.
    assert_eq!(said(&state, &[server(1, 0, 0), server(2, 1, 8)]), ["set server be/shop-2 state ready"]);
    let moved = ServerState { address: Some(address(9)), ..server(2, 1, 0) };
    assert_eq!(said(&state, &[server(1, 0, 0), moved]), ["set server be/shop-2 addr 10.0.0.2 port 8080"]);
}

#[test]
fn what_is_closed_or_not_listed_gets_nothing_and_may_be_removed_then() {
    let mut state = state(&[(1, 50), (2, 50)], &[1]);
    let before = [server(1, 1, 0), server(2, 1, 0), server(3, 1, 0), server(4, 1, 0)];
    state.own.servers = [1, 2, 3].map(|n| (id(n), 1_000 + n)).into();
    number(&mut state, &before);
    let expected = [1, 3]
        .map(|n| [format!("set server be/shop-{n} state maint"), format!("clear table be data.server_id eq 100{n}")]);
    assert_eq!(said(&state, &before), expected.concat(), "the fourth is not ours");
    assert_eq!(leaving(&state, &before), []);
    let after = [server(1, 1, 1), server(2, 1, 0), server(3, 1, 1), server(4, 1, 1)];
    assert_eq!(said(&state, &after), [""; 0]);
    assert_eq!(leaving(&state, &after), [(id(1), 1_001), (id(3), 1_003)]);
}

#[test]
fn after_a_restart_of_haproxy_each_server_has_its_id_again() {
    let mut state = state(&[(1, 0), (2, 100)], &[]);
    state.own.servers = [(id(1), 1_007), (id(2), 1_004), (id(3), 1_005)].into();
    state.own.last_id = 1_007;
    number(&mut state, &[]);
    let again = said(&state, &[]);
    assert_eq!(again[0], "add server be/shop-1 10.0.0.1:8080 id 1007 weight 0");
    assert_eq!(again[1], "add server be/shop-2 10.0.0.2:8080 id 1004 weight 1");
    assert_eq!(state.own.servers.get(&id(3)), None, "what was leaving is gone");
}
