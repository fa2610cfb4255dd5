//! What happens to an HAProxy, and what is wrong with its file.

use std::sync::Arc;
use std::time::Duration;

use haddock_core::locator::haproxy::HaproxyLocator;
use haddock_core::locator::suite::{Cookies, Harness};
use haddock_core::locator::{ServiceLocator, SessionCount};
use haddock_core::routing::{CloseAnswer, Count, LocatorReport, Route, RoutingTable, SessionPolicy};
use haddock_core::{Clock, ErrorKind, FencingToken, InstanceId, Share, SystemClock};
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world::{IDLE, Lines, World, get, service};

fn id(n: u32) -> InstanceId {
    InstanceId::new(format!("shop-{n}")).expect("valid")
}

fn number(revision: u64) -> FencingToken {
    FencingToken { epoch: 1, revision }
}

impl World {
    async fn table(&self, revision: u64, shares: &[(u32, u32)]) -> RoutingTable {
        let mut routes = std::collections::BTreeMap::new();
        for (n, share) in shares {
            routes.insert(id(*n), Route::new(self.start(&id(*n)).await, Share::percent(*share)));
        }
        let session = SessionPolicy { idle: IDLE, ..SessionPolicy::default() };
        RoutingTable { service: service(), number: number(revision), session, routes, watermark: None }
    }

    async fn apply(&self, revision: u64, shares: &[(u32, u32)]) {
        let table = self.table(revision, shares).await;
        self.locator().apply(&table).await.expect("taken");
    }

    async fn report(&self) -> LocatorReport {
        self.locator().observe(&service()).await.expect("an answer")
    }

    /// The line with the worker's pid.
    async fn worker(&self) -> Option<String> {
        self.ask("show info").await?.lines().find(|line| line.starts_with("Pid: ")).map(str::to_owned)
    }

    /// Name, weight, and whether it is in maintenance.
    async fn servers(&self) -> Vec<(String, u32, bool)> {
        let Some(state) = self.ask("show servers state shop").await else { return Vec::new() };
        let lines = state.lines().skip(2).filter(|line| !line.is_empty());
        let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
        let number = |word: &str| word.parse::<u32>().expect("a number");
        words.map(|words| (words[3].to_owned(), number(words[7]), number(words[6]) & 1 == 1)).collect()
    }

    async fn weights(&self) -> Vec<(String, u32)> {
        self.servers().await.into_iter().map(|(name, weight, _)| (name, weight)).collect()
    }
}

fn lines(change: impl FnOnce(String) -> String) -> Lines {
    let lines = Lines::default();
    Lines { backend: change(lines.backend), ..lines }
}

impl World {
    /// Has the master start another worker in place of the present one.
    async fn reload(&self) {
        let old = self.worker().await.expect("an answer");
        // A master that has not quite started, or still reloads, takes no notice of the signal.
        let mut looks = 0;
        let other = async || {
            if looks % LOOKS_BEFORE_ANOTHER_SIGNAL == 0 {
                self.signal(Signal::SIGUSR2);
            }
            looks += 1;
            self.worker().await.is_some_and(|new| new != old)
        };
        self.eventually("another worker", other).await;
    }
}

/// Some seconds.
const LOOKS_BEFORE_ANOTHER_SIGNAL: u32 = 400;

#[tokio::test]
async fn after_a_reload_the_servers_come_back_by_themselves() {
    let Some(world) = World::new(Lines { master: true, ..Lines::default() }).await else { return };
    world.apply(1, &[(1, 100), (2, 0)]).await;
    let before = world.report().await;
    assert_eq!(get(world.address, "/", &mut Cookies::new()).await, Some(id(1)));
    for _ in 0..2 {
        world.reload().await;
        world
            .eventually("it serves again", async || get(world.address, "/", &mut Cookies::new()).await == Some(id(1)))
            .await;
    }
    let after = world.report().await;
    assert_ne!(after.incarnation, before.incarnation);
    assert!(after.counting_since > before.counting_since);
    assert_eq!((after.newest, after.table), (number(1), Some(number(1))));
    assert_eq!(after.instances[&id(2)].live, Count::Unknown, "what the old worker had counted is not known");
}

#[tokio::test]
async fn with_peers_and_without_the_cookie_a_reload_loses_no_session() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
    let lines = lines(|text| without_cookie(&text).replace("srvkey name", "srvkey name peers ours"));
    let more = format!("peers ours\n    peer here 127.0.0.1:{port}\n");
    let Some(world) = World::new(Lines { master: true, more, ..lines }).await else { return };
    // A process has the table of the one before, or has waited for it in vain for 5 s, before it can pass its own on.
    tokio::time::sleep(Duration::from_secs(6)).await;
    world.apply(1, &[(1, 50), (2, 50)]).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut cookies = Cookies::new();
        let home = get(world.address, "/", &mut cookies).await.expect("served");
        clients.push((cookies, home));
    }
    let count = async |n: u32| {
        let table = world.ask("show table shop").await.expect("an answer");
        table.lines().filter(|line| line.contains(&format!("server_key=shop-{n}"))).count()
    };
    assert_eq!(count(1).await + count(2).await, 10);
    world.signal(Signal::SIGUSR2);
    world
        .eventually("the next worker serves", async || get(world.address, "/", &mut Cookies::new()).await.is_some())
        .await;
    for (cookies, home) in &mut clients {
        assert_eq!(get(world.address, "/", cookies).await.as_ref(), Some(&*home));
    }
}

#[tokio::test]
async fn an_answer_that_deletes_the_cookie_or_gives_it_another_value_ends_the_session_at_once() {
    // Long enough that nothing expires meanwhile.
    let lines = lines(|text| text.replace("expire 1800ms", "expire 10m"));
    let Some(world) = World::new(lines).await else { return };
    world.apply(1, &[(1, 100)]).await;
    let instance = world.instance(&id(1)).await;
    let set = [
        ("/logout", "JSESSIONID=; Path=/; Max-Age=0"),
        ("/leave", "JSESSIONID=deleted; Path=/; Expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0"),
        ("/login", "JSESSIONID=KNOWN.shop-1; Path=/; HttpOnly"),
    ];
    let set = set.map(|(path, line)| (path.to_owned(), vec![line.to_owned()]));
    instance.sets.lock().expect("not poisoned").extend(set);
    let sessions = async || {
        let table = world.ask("show table shop").await.expect("an answer");
        let ended = table.lines().filter(|line| line.contains(" gpt0=1")).count();
        (table.lines().filter(|line| line.contains(" gpt0=0")).count(), ended)
    };
    let mut clients = [Cookies::new(), Cookies::new(), Cookies::new()];
    for cookies in &mut clients {
        get(world.address, "/", cookies).await.expect("served");
        get(world.address, "/", cookies).await.expect("served");
    }
    assert_eq!(sessions().await, (3, 0));
    let [one, two, three] = &mut clients;
    let sent_before = one.clone();
    get(world.address, "/logout", one).await.expect("served");
    assert_eq!(sessions().await, (2, 1));
    get(world.address, "/login", two).await.expect("served");
    assert_eq!(sessions().await, (2, 2), "the former id is no session any more, and the new one is");
    get(world.address, "/", two).await.expect("served");
    get(world.address, "/", three).await.expect("served");
    assert_eq!(sessions().await, (2, 2));
    // Whoever comes back under a value from before is counted again.
    get(world.address, "/", &mut sent_before.clone()).await.expect("served");
    assert_eq!(sessions().await, (3, 1));
    for cookies in [&mut sent_before.clone(), two, three] {
        get(world.address, "/leave", cookies).await.expect("served");
    }
    assert_eq!(sessions().await.0, 0);
}

/// The lines of a backend without those that name the server in the cookie.
fn without_cookie(lines: &str) -> String {
    lines.lines().filter(|line| !line.contains("cookie")).map(|line| format!("{line}\n")).collect()
}

/// Clients that never retry. Each stays where it is, and answers with how many requests it has sent.
fn clients(world: &World, homes: &[Cookies]) -> (watch::Sender<bool>, JoinSet<u32>) {
    let (stop, stopping) = watch::channel(false);
    let mut clients = JoinSet::new();
    for cookies in homes {
        let (address, mut cookies, stopping) = (world.address, cookies.clone(), stopping.clone());
        clients.spawn(async move {
            let home = get(address, "/", &mut cookies).await.expect("served");
            let mut sent = 1;
            while !*stopping.borrow() {
                assert_eq!(get(address, "/", &mut cookies).await, Some(home.clone()), "request {sent}");
                assert_eq!(get(address, "/", &mut Cookies::new()).await, Some(id(1)), "a new client");
                sent += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            sent
        });
    }
    (stop, clients)
}

async fn begun(world: &World) -> Vec<Cookies> {
    let mut begun = Vec::new();
    for _ in 0..6 {
        let mut cookies = Cookies::new();
        get(world.address, "/", &mut cookies).await.expect("served");
        begun.push(cookies);
    }
    begun
}

#[tokio::test]
async fn with_the_lines_to_wait_every_request_is_answered_through_two_reloads() {
    let script = tempfile::NamedTempFile::new().expect("a file");
    let lines = Lines { master: true, ..Lines::default() }.that_wait(script.path());
    let Some(world) = World::new(lines).await else { return };
    world.apply(1, &[(1, 0), (2, 100)]).await;
    let homes = begun(&world).await;
    world.apply(2, &[(1, 100), (2, 0)]).await;
    let (stop, mut clients) = clients(&world, &homes);
    for _ in 0..2 {
        world.reload().await;
        let open = async || world.servers().await.iter().any(|it| *it == ("haddock-ready".to_owned(), 0, false));
        world.eventually("requests are let in", open).await;
        assert_eq!(world.servers().await.len(), 3, "the others are there, too");
    }
    stop.send_replace(true);
    while let Some(sent) = clients.join_next().await {
        assert!(sent.expect("each was answered where its session is") > 1);
    }
}

#[tokio::test]
async fn one_that_was_killed_sends_every_session_to_its_server_when_it_is_back() {
    let script = tempfile::NamedTempFile::new().expect("a file");
    let lines = Lines::default().that_wait(script.path());
    let Some(world) = World::new(lines).await else { return };
    world.apply(1, &[(1, 0), (2, 100)]).await;
    let homes = begun(&world).await;
    world.apply(2, &[(1, 100), (2, 0)]).await;
    world.kill_haproxy();
    let (stop, mut clients) = clients(&world, &homes);
    world.start_haproxy().await;
    let open = async || world.servers().await.iter().any(|it| *it == ("haddock-ready".to_owned(), 0, false));
    world.eventually("requests are let in", open).await;
    stop.send_replace(true);
    while let Some(sent) = clients.join_next().await {
        sent.expect("each was answered where its session is");
    }
}

#[tokio::test]
async fn one_that_is_gone_or_silent_is_unavailable() {
    let Some(world) = World::new(Lines::default()).await else { return };
    world.apply(1, &[(1, 100), (2, 0)]).await;
    let locator = world.locator();
    let fails = async || {
        let errors = [
            locator.observe(&service()).await.expect_err("no answer"),
            locator.close(&service(), &id(2), number(2)).await.expect_err("no answer"),
            locator.evict(&service(), &id(2), number(2)).await.expect_err("no answer"),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::LocatorUnavailable, "{error}");
        }
    };
    world.signal(Signal::SIGSTOP);
    fails().await;
    world.signal(Signal::SIGCONT);
    let report = world.report().await;
    assert_eq!((report.newest, report.instances[&id(2)].closed), (number(1), false), "nothing was promised");
    world.kill_haproxy();
    fails().await;
    world.start_haproxy().await;
    assert_eq!(world.report().await.table, Some(number(1)));
}

#[tokio::test]
async fn what_somebody_else_changes_is_put_back_and_the_servers_of_others_stay() {
    let with_static = lines(|text| text + "    server old 127.0.0.1:9 weight 0\n");
    let Some(world) = World::new(with_static).await else { return };
    world.apply(1, &[(1, 90), (2, 10)]).await;
    let expected = [("old", 0), ("shop-1", 9), ("shop-2", 1)].map(|(name, weight)| (name.to_owned(), weight));
    assert_eq!(world.weights().await, expected);
    for command in [
        "set server shop/shop-1 weight 1",
        "set server shop/shop-2 state drain",
        "set server shop/shop-1 state maint;del server shop/shop-1",
        "set server shop/shop-2 addr 127.0.0.1 port 1",
    ] {
        world.ask(command).await.expect("an answer");
        let report = world.report().await;
        assert_eq!(report.table, Some(number(1)), "{command}");
        let shares = [1, 2].map(|n| report.instances[&id(n)].share.map(|share| share.to_string()).unwrap_or_default());
        assert_eq!(shares, ["90%", "10%"], "{command}");
        assert_eq!(world.weights().await.iter().find(|(name, _)| name == "old"), Some(&expected[0]), "{command}");
    }
    assert!(get(world.address, "/", &mut Cookies::new()).await.is_some());
    world.locator().evict(&service(), &id(2), number(2)).await.expect("an answer");
    assert_eq!(world.weights().await.len(), 2, "that of others, and the one that serves");
}

#[tokio::test]
async fn two_processes_share_numbers_and_closed_marks() {
    let Some(world) = World::new(Lines::default()).await else { return };
    let other = world.another();
    world.apply(5, &[(1, 100), (2, 0)]).await;
    let table = world.table(4, &[(1, 0), (2, 100)]).await;
    assert_eq!(other.apply(&table).await.expect_err("old").kind(), ErrorKind::StaleNumber);
    other.evict(&service(), &id(2), number(6)).await.expect("new");
    let report = world.report().await;
    assert_eq!((report.newest, report.instances[&id(2)].closed), (number(6), true));
    let both = futures_util::future::join_all((0..20).map(|n| {
        let (world, other) = (world.locator(), Arc::new(other.clone()) as Arc<dyn ServiceLocator>);
        async move { if n % 2 == 0 { world } else { other }.observe(&service()).await }
    }));
    for report in both.await {
        assert_eq!(report.expect("an answer").table, Some(number(5)));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_the_old_table_or_the_new_one() {
    let Some(world) = World::new(Lines::default()).await else { return };
    let (mut given_up, mut done) = (0, 0);
    let clock = SystemClock::new();
    let began = clock.now();
    world.apply(1, &[(1, 100), (2, 0)]).await;
    let usual = clock.now().since(began);
    for round in 2..60 {
        let shares = if round % 2 == 0 { [(1, 0), (2, 100), (3, 0)] } else { [(1, 100), (2, 0), (4, 0)] };
        let table = world.table(round, &shares).await;
        // From before the first command to after the last one.
        let limit = usual * u32::try_from(round % 20).expect("small") / 8;
        match tokio::time::timeout(limit, world.locator().apply(&table)).await {
            Ok(applied) => {
                applied.expect("taken");
                done += 1;
            }
            Err(_) => given_up += 1,
        }
        let report = world.report().await;
        assert_eq!(report.table, Some(report.newest), "round {round}: it is completed at the next look");
        assert!(report.newest == number(round) || report.newest < number(round));
        assert!(get(world.address, "/", &mut Cookies::new()).await.is_some(), "somebody always serves");
    }
    assert!(given_up > 0 && done > 0, "{given_up} were given up, {done} done");
}

#[tokio::test]
async fn a_full_table_counts_nothing() {
    let small = lines(|text| text.replace("size 1m", "size 64"));
    let Some(world) = World::new(small).await else { return };
    world.apply(1, &[(1, 100), (2, 0)]).await;
    world.until_it_counts().await;
    assert_eq!(world.report().await.instances[&id(1)].live, Count::Exact(0));
    for _ in 0..100 {
        get(world.address, "/", &mut Cookies::new()).await.expect("served");
    }
    assert_eq!(world.report().await.instances[&id(1)].live, Count::Unknown);
    world.apply(2, &[(1, 0), (2, 100)]).await;
    assert!(matches!(world.locator().close(&service(), &id(1), number(3)).await, Ok(CloseAnswer::Busy(_))));
}

#[tokio::test]
async fn a_session_of_a_lost_entry_stays_where_it_was_taken_up() {
    let Some(world) = World::new(Lines::default()).await else { return };
    world.apply(1, &[(1, 50), (2, 50)]).await;
    let mut cookies = Cookies::new();
    get(world.address, "/", &mut cookies).await.expect("served");
    world.ask("clear table shop").await.expect("an answer");
    let home = get(world.address, "/", &mut cookies).await.expect("served");
    for _ in 0..6 {
        assert_eq!(get(world.address, "/", &mut cookies).await.as_ref(), Some(&home));
    }
}

/// What is said of a backend with these lines, whether each is a problem, and how well the locator counts then.
async fn advice(lines: Lines) -> Option<(Vec<(bool, String)>, SessionCount)> {
    let world = World::new(lines).await?;
    let policy = SessionPolicy { idle: IDLE, ..SessionPolicy::default() };
    let found = world.locator().check(&service(), &policy).await.expect("an answer");
    assert!(found.iter().all(|advice| !advice.fix.is_empty()));
    let _ = world.locator().apply(&world.table(1, &[(1, 100)]).await).await;
    let _ = world.locator().observe(&service()).await;
    let counts = world.locator().capabilities().session_count;
    Some((found.into_iter().map(|advice| (advice.is_problem, advice.says)).collect(), counts))
}

#[tokio::test]
async fn what_the_file_lacks_is_said() {
    let without_table = lines(|text| {
        let needs_it = |line: &&str| ["stick", "track", "in_table"].iter().all(|word| !line.contains(word));
        text.lines().filter(needs_it).map(|line| format!("{line}\n")).collect()
    });
    /// The lines, what is said of them, and how well the locator counts.
    type Case<'c> = (Lines, &'c [(bool, &'c str)], SessionCount);
    let cases: [Case<'_>; 9] = [
        (lines(|text| without_cookie(&text)), &[(false, "may go to another server")], SessionCount::Exact),
        (Lines::default(), &[], SessionCount::Exact),
        (
            lines(|text| text.replace("backend shop", "backend other\n    server a 127.0.0.1:9\nbackend shop")),
            &[],
            SessionCount::Exact,
        ),
        (without_table, &[(true, "has no stick table")], SessionCount::None),
        (lines(|text| text.replace("roundrobin", "source")), &[(true, "no server can be added")], SessionCount::Exact),
        (
            lines(|text| text.replace("roundrobin", "leastconn")),
            &[(false, "not parts of new sessions")],
            SessionCount::Exact,
        ),
        (
            lines(|text| text.replace("expire 1800ms", "expire 900ms")),
            &[(true, "sessions get lost")],
            SessionCount::Exact,
        ),
        (lines(|text| text.replace("expire 1800ms", "")), &[(true, "for ever")], SessionCount::Exact),
        (
            lines(|text| text + "    server old 127.0.0.1:9\n"),
            &[(false, "servers that are not Haddock's, which get new sessions, too: old")],
            SessionCount::Exact,
        ),
    ];
    let script = tempfile::NamedTempFile::new().expect("a file");
    for (lines, expected, counts) in cases {
        let lines = lines.that_wait(script.path());
        let text = lines.backend.clone();
        let Some((found, counted)) = advice(lines).await else { return };
        assert_eq!(found.len(), expected.len(), "{text}\n{found:?}");
        for ((is_problem, says), (expected, words)) in found.iter().zip(expected) {
            assert!(is_problem == expected && says.contains(words), "{text}\n{says}");
        }
        assert_eq!(counted, counts, "{text}");
    }
    let (found, _) = advice(Lines::default()).await.expect("it was there before");
    assert!(matches!(&found[..], [(false, says)] if says.contains("clients of `shop` get 503")), "{found:?}");
}

#[tokio::test]
async fn a_service_without_a_backend_is_refused_with_its_lines() {
    let Some(world) = World::new(Lines::default()).await else { return };
    let socket = world.socket().display().to_string().parse().expect("a path");
    let dir = tempfile::tempdir().expect("a directory");
    let locator =
        HaproxyLocator::builder(socket, dir.path()).backend(service(), "nowhere").open().expect("a directory");
    let error = locator.apply(&world.table(1, &[(1, 100)]).await).await.expect_err("nowhere to go");
    assert_eq!(error.kind(), ErrorKind::LocatorRefused);
    let found = locator.check(&service(), &SessionPolicy::default()).await.expect("an answer");
    assert!(found[0].is_problem && found[0].fix.contains("stick store-response res.cook(JSESSIONID)"), "{found:?}");
    let report = locator.observe(&service()).await.expect("an answer");
    assert_eq!((report.newest, report.table), (FencingToken::default(), None));
}
