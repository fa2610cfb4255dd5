//! What a backend lacks, and the lines that it needs.

use std::time::Duration;

use super::plan::READY_SERVER;
use super::sight::{Keeping, Sight};
use crate::locator::Advice;
use crate::routing::SessionPolicy;

/// Those with which `add server` works.
const DYNAMIC: [&str; 4] = ["roundrobin", "leastconn", "random", "first"];
/// Of a table's size, in percent: from here on it may soon be full.
const NEARLY_FULL: u64 = 80;

/// The name of the cookie in the lines that are shown, unless another is known.
pub(super) const USUAL_COOKIE: &str = "JSESSIONID";

pub(super) fn lines(backend: &str, cookie: &str, idle: Duration) -> String {
    let seconds = idle.as_secs() + u64::from(idle.subsec_nanos() > 0);
    format!(
        "backend {backend}\n    \
         balance roundrobin\n    \
         cookie {cookie} prefix nocache dynamic\n    \
         dynamic-cookie-key a-secret-of-yours\n    \
         ignore-persist if !{{ req.cook({cookie}),field(-1,~),in_table({backend}) }} !{{ stopping }} {{ date,sub(proc.start) ge {seconds} }}\n    \
         stick-table type string len 64 size 1m expire {seconds}s srvkey name store gpt0\n    \
         http-request set-var(txn.session) req.cook({cookie}),field(-1,~)\n    \
         http-request track-sc0 var(txn.session) if {{ var(txn.session),in_table({backend}) }}\n    \
         http-request sc-set-gpt0(0) 0\n    \
         http-response sc-set-gpt0(0) 1 if {{ res.cook({cookie}) -m found }} !{{ res.cook({cookie}),strcmp(txn.session) eq 0 }}\n    \
         stick match var(txn.session)\n    \
         stick store-response res.cook({cookie}) if {{ res.cook({cookie}),length ge 8 }}\n    \
         stick store-response var(txn.session)\n"
    )
}

pub(super) fn waiting_lines(backend: &str) -> String {
    format!(
        "    http-request lua.haddock_wait {backend} if !{{ srv_is_up({backend}/{READY_SERVER}) }}\n    \
         server {READY_SERVER} 127.0.0.1:9 weight 0 disabled\n"
    )
}

/// What the backend lacks. `sight`: `None` if there is no such backend.
pub(super) fn of(
    backend: &str,
    sight: Option<&Sight>,
    keeping: Keeping,
    policy: &SessionPolicy,
    foreign: &[String],
) -> Vec<Advice> {
    let cookie = policy.application.as_ref().map_or(USUAL_COOKIE, |cookie| &cookie.name);
    let lines = lines(backend, cookie, policy.idle);
    let mut found = Vec::new();
    let mut advise = |is_problem: bool, says: String, fix: String| found.push(Advice { is_problem, says, fix });
    let Some(sight) = sight else {
        advise(true, format!("there is no backend `{backend}`"), format!("add these lines to `haproxy.cfg`:\n{lines}"));
        return found;
    };
    let algorithm = sight.stats.algorithm.as_str();
    if !DYNAMIC.contains(&algorithm) && !algorithm.is_empty() {
        advise(
            true,
            format!("backend `{backend}` has `balance {algorithm}`, so no server can be added to it"),
            "write `balance roundrobin`".to_owned(),
        );
    } else if matches!(algorithm, "leastconn" | "first") {
        advise(
            false,
            format!("with `balance {algorithm}`, shares are not parts of new sessions"),
            "write `balance roundrobin`, unless you want it so".to_owned(),
        );
    }
    match keeping {
        Keeping::NoTable => advise(
            true,
            format!("backend `{backend}` has no stick table, so no session is kept or counted"),
            format!("it needs these lines, with the name of your application's cookie:\n{lines}"),
        ),
        Keeping::NotSessions => advise(
            true,
            format!("the stick table of `{backend}` does not store the server of a session"),
            format!("it needs these lines, with the name of your application's cookie:\n{lines}"),
        ),
        Keeping::Sessions { expire: None, .. } => advise(
            true,
            format!("the stick table of `{backend}` keeps sessions for ever, so no instance ever becomes empty"),
            format!("write `expire {}s` into its line, which is `session.idle`", policy.idle.as_secs()),
        ),
        Keeping::Sessions { expire: Some(expire), .. } if expire < policy.idle => advise(
            true,
            format!(
                "the stick table of `{backend}` keeps a session for {} s, and `session.idle` is {} s, so sessions get lost",
                expire.as_secs(),
                policy.idle.as_secs()
            ),
            format!("write `expire {}s` into its line", policy.idle.as_secs()),
        ),
        Keeping::Sessions { .. } => {}
    }
    if matches!(keeping, Keeping::Sessions { tells_ends: false, .. }) {
        advise(
            false,
            format!("a session of `{backend}` that has logged out counts until it has expired"),
            format!(
                "with `store gpt0` in the line of its table, and the lines with `sc-set-gpt0`, it ends at once:\n{lines}"
            ),
        );
    }
    if let Some(table) = sight.table.as_ref().filter(|table| table.used * 100 >= table.size * NEARLY_FULL) {
        advise(
            false,
            format!(
                "the stick table of `{backend}` has {} of {} entries; a full one drops sessions",
                table.used, table.size
            ),
            "write a larger `size` into its line".to_owned(),
        );
    }
    if matches!(keeping, Keeping::Sessions { .. }) && !sight.is_named() {
        advise(
            false,
            format!("after a reload or a restart of HAProxy, sessions of `{backend}` may go to another server"),
            format!("with `cookie {cookie} prefix nocache dynamic` and a `dynamic-cookie-key` they go where they were"),
        );
    }
    if matches!(keeping, Keeping::Sessions { .. }) && sight.server(READY_SERVER).is_none() {
        advise(
            false,
            format!("while HAProxy is reloaded, clients of `{backend}` get 503 for a moment"),
            format!(
                "with these lines of the backend they wait; the guide says which file `lua-load` needs:\n{}",
                waiting_lines(backend)
            ),
        );
    }
    if !foreign.is_empty() {
        advise(
            false,
            format!(
                "backend `{backend}` has servers that are not Haddock's, which get new sessions, too: {}",
                foreign.join(", ")
            ),
            "remove their lines once their sessions have ended, or give them weight 0".to_owned(),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_the_lines() {
        let guide = include_str!("../../../../docs/haproxy.md");
        let lines = lines("shop", USUAL_COOKIE, Duration::from_secs(1_800)) + &waiting_lines("shop");
        for line in lines.lines().chain(include_str!("wait.lua").lines()) {
            assert!(guide.contains(line), "{line}");
        }
    }
}
