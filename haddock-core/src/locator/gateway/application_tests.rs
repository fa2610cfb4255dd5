use proptest::prelude::*;

use super::*;
use crate::locator::gateway::key::Keys;
use crate::name::ServiceName;

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const INSTANCE: &str = "shop-1-ab";

fn routes() -> RouteSealer {
    RouteSealer::new(&Keys::new([7; 32], None), &ServiceName::new("shop").expect("valid"))
}

fn cookies(mode: CookieMode) -> SessionCookies {
    SessionCookies::of(Some(&ApplicationCookie { name: "JSESSIONID".to_owned(), mode }), &[]).expect("one")
}

fn headers(name: header::HeaderName, lines: &[&str]) -> HeaderMap {
    lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).expect("valid"))).collect()
}

fn lines(headers: &HeaderMap, name: header::HeaderName) -> Vec<String> {
    headers.get_all(name).iter().map(|line| line.to_str().expect("text").to_owned()).collect()
}

/// What a client gets for what the application sets.
fn sealed(set: &[&str]) -> Vec<String> {
    let mut headers = headers(header::SET_COOKIE, set);
    let cookies = cookies(CookieMode::Prefix);
    let given = cookies.given(&routes(), &headers, NOW);
    cookies.seal(&routes(), &mut headers, &given, INSTANCE);
    lines(&headers, header::SET_COOKIE)
}

/// What the instance gets for what a client sends, and where the request is to go.
fn arrived(sent: &[&str]) -> (Vec<String>, Vec<(u64, Option<String>)>) {
    let mut headers = headers(header::COOKIE, sent);
    let arrived = cookies(CookieMode::Prefix).arrived(&routes(), &headers, "/");
    let sought = arrived.sought.iter().map(|it| (it.id, it.instance.map(str::to_owned))).collect();
    let prefixes = arrived.prefixes;
    take_away(&mut headers, &prefixes);
    (lines(&headers, header::COOKIE), sought)
}

fn given(set: &[&str]) -> (bool, Option<u64>) {
    let given = cookies(CookieMode::Learn).given(&routes(), &headers(header::SET_COOKIE, set), NOW);
    (given.ends, given.session)
}

#[test]
fn a_value_comes_back_to_the_instance_as_it_left_it() {
    for value in ["5A3C.node1", "\"5A3C.node1\"", "a=b==", "x", "s%3Aj.k+/"] {
        let set = sealed(&["lang=de", &format!("JSESSIONID={value}; Path=/; HttpOnly")]);
        assert_eq!(set[0], "lang=de");
        let (pair, attributes) = set[1].split_once(';').expect("attributes");
        assert_eq!(attributes, " Path=/; HttpOnly");
        assert!(pair.contains(INSTANCE) && pair.len() > value.len() + INSTANCE.len() + 20, "{pair}");
        assert_eq!(value.starts_with('"'), pair.starts_with("JSESSIONID=\""), "quotes stay outside: {pair}");
        let id = routes().id(value.trim_matches('"').as_bytes());
        let (seen, sought) = arrived(&[&format!("lang=de; {pair};x=1"), "y=2"]);
        assert_eq!(seen, [format!("lang=de; JSESSIONID={value};x=1"), "y=2".to_owned()]);
        assert_eq!(sought, [(id, Some(INSTANCE.to_owned()))]);
    }
}

#[test]
fn what_is_not_genuine_is_left_as_it_is_and_leads_nowhere() {
    let pair = sealed(&["JSESSIONID=5A3C"])[0].clone();
    let other = pair.replace("5A3C", "5A3D");
    let cut = &pair[..pair.len() - 1];
    for sent in [other.as_str(), cut, "JSESSIONID=5A3C", "JSESSIONID=a.b.c"] {
        let (seen, sought) = arrived(&[sent]);
        assert_eq!(seen, [sent]);
        assert_eq!(sought.len(), 1);
        assert_eq!(sought[0].1, None, "{sent}");
    }
    assert_eq!(arrived(&["JSESSIONID="]).1, []);
    assert_eq!(arrived(&["JSESSIONIDX=1; XJSESSIONID=1; jsessionid=1"]).1, []);
}

#[test]
fn cookies_of_several_paths_are_all_looked_at_and_their_number_is_bounded() {
    let pairs: Vec<String> = (0..20).map(|n| sealed(&[&format!("JSESSIONID=value{n}")])[0].clone()).collect();
    let (seen, sought) = arrived(&[&pairs[..2].join("; "), &pairs[2]]);
    assert_eq!(seen, ["JSESSIONID=value0; JSESSIONID=value1", "JSESSIONID=value2"]);
    assert_eq!(sought.len(), 3);
    assert_eq!(arrived(&[&pairs.join("; ")]).1.len(), MAX_COOKIES);
}

#[test]
fn the_last_cookie_counts_and_a_deletion_ends_the_session() {
    let id = |value: &str| Some(routes().id(value.as_bytes()));
    for (set, ends, session) in [
        (&[][..], false, None),
        (&["lang=de"], false, None),
        (&["JSESSIONID=a; Path=/"], false, id("a")),
        (&["JSESSIONID=\"a\"; Path=/"], false, id("a")),
        (&["JSESSIONID=a; Path=/", "JSESSIONID=b; Path=/"], false, id("b")),
        (&["JSESSIONID=; Path=/"], true, None),
        (&["JSESSIONID=a; Path=/; Max-Age=0"], true, None),
        (&["JSESSIONID=; Path=/", "JSESSIONID=b; Path=/"], true, id("b")),
        (&["JSESSIONID=a; Path=/", "JSESSIONID=; Path=/"], true, None),
        // Cookies of different paths are different cookies.
        (&["JSESSIONID=a; Path=/", "JSESSIONID=; Path=/old"], false, id("a")),
        (&["JSESSIONID=; Path=/old", "JSESSIONID=a; Path=/"], false, id("a")),
        (&["JSESSIONID=; Path=/", "JSESSIONID=b; Path=/", "JSESSIONID=c; Path=/"], true, id("c")),
    ] {
        assert_eq!(given(set), (ends, session), "{set:?}");
    }
}

#[test]
fn a_deletion_gets_no_prefix_and_neither_does_what_would_be_too_long() {
    assert_eq!(sealed(&["JSESSIONID=; Path=/"]), ["JSESSIONID=; Path=/"]);
    assert_eq!(sealed(&["JSESSIONID=a; Max-Age=0"]), ["JSESSIONID=a; Max-Age=0"]);
    let both = sealed(&["JSESSIONID=; Path=/", "JSESSIONID=b; Path=/"]);
    assert!(both[0] == "JSESSIONID=; Path=/" && both[1].ends_with(".b; Path=/"), "{both:?}");
    let long = format!("JSESSIONID={}", "x".repeat(MAX_COOKIE_BYTES - 30));
    assert_eq!(sealed(&[&long]), [long.as_str()]);
}

#[test]
fn a_path_names_a_session_only_without_a_cookie() {
    let cookies = cookies(CookieMode::Prefix);
    let sought = |path: &str, headers: &HeaderMap| {
        cookies.arrived(&routes(), headers, path).sought.iter().map(|it| it.id).collect::<Vec<_>>()
    };
    let (none, one) = (HeaderMap::new(), headers(header::COOKIE, &["JSESSIONID=b"]));
    for path in ["/cart;jsessionid=a.node1", "/x;JSESSIONID=a.node1;v=2/cart", "/x;v=2;jsessionid=a.node1/y"] {
        assert_eq!(sought(path, &none), [routes().id(b"a.node1")], "{path}");
        assert_eq!(sought(path, &one), [routes().id(b"b")], "{path}");
    }
    for path in ["/", "/jsessionid=a", "/x;jsessionid=", "/x;jsessionid", "/x;ajsessionid=a", "/x;jsessionida=a"] {
        assert!(sought(path, &none).is_empty(), "{path}");
    }
}

#[test]
fn a_name_that_no_answer_sets_is_told_once() {
    let given = |cookies: &SessionCookies, line: &str| {
        let given = cookies.given(&routes(), &headers(header::SET_COOKIE, &[line]), NOW);
        cookies.suspects(&given).map(str::to_owned)
    };
    let wrong = cookies(CookieMode::Prefix);
    let told: Vec<_> = (0..1000).filter_map(|_| given(&wrong, "JSESSION=a")).collect();
    assert_eq!(told, ["JSESSIONID"]);
    let right = cookies(CookieMode::Prefix);
    assert_eq!(given(&right, "JSESSIONID=a"), None);
    assert!((0..1000).all(|_| given(&right, "lang=de").is_none()));
}

#[test]
fn former_cookies_are_read_and_no_longer_written() {
    let former = SessionCookies::of(None, &["JSESSIONID".to_owned()]).expect("one");
    let sent = headers(header::COOKIE, &[&sealed(&["JSESSIONID=5A3C"])[0]]);
    let arrived = former.arrived(&routes(), &sent, "/");
    assert_eq!(arrived.sought, [Sought { id: routes().id(b"5A3C"), instance: Some(INSTANCE) }]);
    assert_eq!(former.given(&routes(), &headers(header::SET_COOKIE, &["JSESSIONID=b"]), NOW), Given::default());
    assert!(SessionCookies::of(None, &[]).is_none());
}

proptest! {
    #[test]
    fn any_value_comes_back_as_it_left(value in "[!#-+\\--:<-\\[\\]-~]{1,80}", before in "[a-z]{0,8}", after in "[a-z]{0,8}") {
        let set = sealed(&[&format!("JSESSIONID={value}; Path=/")]);
        let pair = set[0].split_once(';').expect("attributes").0;
        let (seen, sought) = arrived(&[&format!("{before}=1; {pair}; {after}=2")]);
        prop_assert_eq!(seen, [format!("{before}=1; JSESSIONID={value}; {after}=2")]);
        prop_assert_eq!(sought, [(routes().id(value.as_bytes()), Some(INSTANCE.to_owned()))]);
    }

    #[test]
    fn any_header_is_read_quietly(text in "[ -~]{0,120}|(JSESSIONID=[ -~]{0,40};){0,4}", path in "(/|;|=|[a-zA-Z]|;jsessionid=){0,20}") {
        let sent = headers(header::COOKIE, &[&text]);
        let cookies = cookies(CookieMode::Prefix);
        let arrived = cookies.arrived(&routes(), &sent, &path);
        prop_assert_eq!(arrived.prefixes, []);
        cookies.given(&routes(), &headers(header::SET_COOKIE, &[&text]), NOW);
    }
}
