//! What has to be done so that HAProxy is as the table says. Pure: it compares, and performs nothing.
//!
//! HAProxy has no transactions. So the order of the commands matters: whoever is given sessions comes before whoever
//! gives them away, and there is always somebody who takes new ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::answers::ServerState;
use super::kept::State;
use super::weights;
use crate::name::InstanceId;

/// A command, and how its answer begins. `Some("")`: there is none. `None`: it may be anything, and what came of it is
/// looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) command: String,
    pub(super) answer: Option<&'static str>,
}

impl Order {
    fn new(command: String) -> Self {
        Self { command, answer: Some("") }
    }
}

/// A server as the table wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) address: SocketAddr,
    pub(super) weight: u16,
}

/// The servers of the table, without the closed ones.
pub(super) fn wanted(state: &State) -> BTreeMap<&InstanceId, Wanted> {
    let routes = state.table.iter().flat_map(|table| &table.routes);
    let open: Vec<_> = routes.filter(|(id, _)| !state.closed.contains(*id) && !state.watermarks.cover(id)).collect();
    let shares: Vec<_> = open.iter().map(|(_, route)| route.share).collect();
    let weights = weights::of(&shares);
    let each = open.iter().zip(weights);
    each.map(|((id, route), weight)| (*id, Wanted { address: route.address, weight })).collect()
}

/// The commands that put the table into force. Empty: it is in force. `named`: a cookie names the server of a session.
pub(super) fn orders(known: &State, backend: &str, servers: &[ServerState], named: bool) -> Vec<Order> {
    let wanted = wanted(known);
    let found: BTreeMap<&str, &ServerState> = servers.iter().map(|server| (server.name.as_str(), server)).collect();
    let (mut add, mut give, mut take, mut end) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut begin = Vec::new();
    for (id, Wanted { address, weight }) in &wanted {
        let ready = state(backend, id, "ready");
        let Some(server) = found.get(id.as_str()) else {
            let Some(number) = known.own.servers.get(*id) else { continue };
            // With weight 0 it can be there before it gets anything.
            let command = format!("add server {backend}/{id} {address} id {number} weight {weight}");
            add.push(Order { command, answer: Some("New server registered") });
            begin.push(ready);
            continue;
        };
        if server.address != Some(*address) {
            let (host, port) = (address.ip(), address.port());
            // It tells what has changed, in words that differ between versions.
            add.push(Order { command: format!("set server {backend}/{id} addr {host} port {port}"), answer: None });
        }
        let order = Order::new(format!("set server {backend}/{id} weight {weight}"));
        match server.weight {
            now if now == *weight => {}
            0 => give.push(order),
            _ if *weight == 0 => take.push(order),
            _ => give.push(order),
        }
        if server.admin != 0 {
            give.push(ready);
        }
    }
    for id in known.own.servers.keys() {
        let server = found.get(id.as_str()).filter(|_| !wanted.contains_key(id));
        if let Some(server) = server.filter(|server| !server.is_in_maintenance()) {
            end.push(state(backend, id, "maint"));
            // What is in maintenance gets none of its sessions. They are forgotten, so that they are not counted.
            end.push(clear(backend, server.id));
        }
    }
    if named && !add.is_empty() {
        // A server gets its value only when this is said, which has no other effect.
        add.push(Order { command: format!("enable dynamic-cookie backend {backend}"), answer: None });
    }
    add.into_iter().chain(begin).chain(give).chain(take).chain(end).collect()
}

/// The server of `haproxy.cfg` that shows whether the table is in force. It never gets a request. As long as it is in
/// maintenance, as it is when HAProxy has started, requests wait.
pub(super) const READY_SERVER: &str = "haddock-ready";

/// Lets requests in, if they are kept waiting.
pub(super) fn let_in(backend: &str, servers: &[ServerState]) -> Option<Order> {
    let is_shut = |server: &&ServerState| server.name == READY_SERVER && server.is_in_maintenance();
    let ready = || Order::new(format!("set server {backend}/{READY_SERVER} state ready"));
    servers.iter().find(is_shut).map(|_| ready())
}

/// `ready` or `maint`.
pub(super) fn state(backend: &str, id: &InstanceId, state: &str) -> Order {
    Order::new(format!("set server {backend}/{id} state {state}"))
}

/// Forgets all sessions of a server. A backend without a table has none.
pub(super) fn clear(backend: &str, server: u32) -> Order {
    Order { command: format!("clear table {backend} data.server_id eq {server}"), answer: None }
}

/// The servers that may be removed once they have no connection: those of instances that are closed or not listed.
pub(super) fn leaving(state: &State, servers: &[ServerState]) -> Vec<(InstanceId, u32)> {
    let wanted = wanted(state);
    let known = state.own.servers.keys().filter(|id| !wanted.contains_key(id));
    let found = known.filter_map(|id| Some((id, servers.iter().find(|server| server.name == id.as_str())?)));
    found.filter(|(_, server)| server.is_in_maintenance()).map(|(id, server)| (id.clone(), server.id)).collect()
}

/// Brings the ids in step with what is there. Each new server gets one that no server ever had.
pub(super) fn number(state: &mut State, servers: &[ServerState]) {
    /// Below are the servers of `haproxy.cfg`.
    const FIRST_ID: u32 = 1_001;
    let ids: Vec<InstanceId> = wanted(state).into_keys().cloned().collect();
    let own = &mut state.own;
    let largest = servers.iter().map(|server| server.id).max().unwrap_or(0);
    own.last_id = own.last_id.max(largest).max(FIRST_ID - 1);
    own.servers.retain(|id, _| ids.contains(id) || servers.iter().any(|server| server.name == id.as_str()));
    for id in ids {
        if let Some(server) = servers.iter().find(|server| server.name == id.as_str()) {
            own.servers.insert(id, server.id);
        } else {
            own.servers.entry(id).or_insert_with(|| {
                own.last_id += 1;
                own.last_id
            });
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
