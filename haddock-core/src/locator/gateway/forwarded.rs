//! What an instance is told of its client: one [`Description`], written as `Forwarded` (RFC 7239) and as
//! `X-Forwarded-*`, so that the two never contradict each other.
//!
//! A peer that is not trusted is the client, and its own headers of this kind are dropped. A trusted peer is believed.
//! If it sends both kinds, `X-Forwarded-*` counts: a proxy that knows only those passes on a `Forwarded` header of a
//! stranger.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::host::is_host;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Other headers by which some proxy, content delivery network or framework learns who the client is, or what it asked
/// for.
const OTHER_CLIENT_HEADERS: [&str; 19] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "front-end-https",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-http-host-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-rewrite-url",
    "x-url-scheme",
];

/// Whether a header of this name speaks of the client. Names are in lower case.
pub(super) fn speaks_of_client(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'x' | b'c' | b'f' | b'p' | b't' | b'w') => {
            name.starts_with("x-forwarded") || name == "forwarded" || OTHER_CLIENT_HEADERS.binary_search(&name).is_ok()
        }
        _ => false,
    }
}

/// The other end of a client's connection.
#[derive(Debug)]
pub(super) struct Peer {
    address: HeaderValue,
    trusted: bool,
    /// The protocol by which it came to us.
    proto: &'static str,
    /// `Forwarded` for the host that was asked for last.
    forwarded: Option<(HeaderValue, HeaderValue)>,
}

impl Peer {
    pub(super) fn new(peer: SocketAddr, trusted: bool, https: bool) -> Self {
        let address = peer.ip().to_canonical().to_string();
        let address = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, trusted, proto: if https { "https" } else { "http" }, forwarded: None }
    }

    /// Whether it came to us by https.
    pub(super) fn is_https(&self) -> bool {
        self.proto == "https"
    }

    /// The same for another stream of its connection.
    pub(super) fn again(&self) -> Self {
        Self { address: self.address.clone(), trusted: self.trusted, proto: self.proto, forwarded: None }
    }

    /// Its address, and whether it is trusted.
    pub(super) fn address(&self) -> (String, bool) {
        (self.address.to_str().unwrap_or("unknown").to_owned(), self.trusted)
    }

    /// Whether the client came by https: as a peer that is trusted says, else as it came to us. `told`: the request has
    /// headers that speak of the client.
    pub(super) fn came_by_https(&self, headers: &HeaderMap, told: bool) -> bool {
        let said = if self.trusted && told { proto(headers) } else { None };
        said.unwrap_or(self.proto) == "https"
    }

    /// Tells the instance of the client. `told`: the request has headers that speak of the client.
    pub(super) fn introduce(&mut self, headers: &mut HeaderMap, told: bool) {
        if told {
            if self.trusted {
                let address = self.address.to_str().unwrap_or("unknown");
                return Description::of(headers, address, self.proto).write(headers);
            }
            let lies: Vec<HeaderName> =
                headers.keys().filter(|name| speaks_of_client(name.as_str())).cloned().collect();
            for name in lies {
                headers.remove(name);
            }
        }
        headers.insert(X_FORWARDED_FOR, self.address.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.proto));
        let host = headers.get(header::HOST).cloned();
        if let Some(host) = &host {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
        let element = self.element(host.unwrap_or(HeaderValue::from_static("")));
        headers.insert(header::FORWARDED, element);
    }

    /// `Forwarded` as a client of our own gets it, made once for each host.
    fn element(&mut self, host: HeaderValue) -> HeaderValue {
        if let Some((for_host, element)) = &self.forwarded
            && *for_host == host
        {
            return element.clone();
        }
        let description = Description {
            chain: vec![self.address.to_str().unwrap_or("unknown").to_owned()],
            proto: self.proto.to_owned(),
            host: host.to_str().ok().filter(|host| !host.is_empty()).map(str::to_owned),
            port: None,
        };
        let element = description.forwarded();
        self.forwarded = Some((host, element.clone()));
        element
    }
}

/// What is known of a client.
#[derive(Debug, PartialEq, Eq)]
struct Description {
    /// The chain of those who passed the request on, mostly addresses: the client first, our peer last.
    chain: Vec<String>,
    /// `http` or `https`, as the client came.
    proto: String,
    /// The host that it asked for, with a port if it named one.
    host: Option<String>,
    /// The port that it came to, where the peer says so.
    port: Option<u16>,
}

impl Description {
    /// As a trusted peer with this address says, which came to us by this protocol.
    fn of(headers: &HeaderMap, peer: &str, came_by: &str) -> Self {
        let mut chain: Vec<String> = list(headers, &X_FORWARDED_FOR).map(str::to_owned).collect();
        let told = Elements::of(headers);
        if chain.is_empty() {
            chain.extend(told.all("for").map(address_of_node));
        }
        chain.push(peer.to_owned());
        let own_host = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = first(headers, &X_FORWARDED_HOST).or_else(|| told.all("host").next()).or_else(own_host);
        Self {
            chain,
            proto: proto(headers).unwrap_or(came_by).to_owned(),
            host: host.filter(|host| !host.is_empty() && is_host(host.as_bytes())).map(str::to_owned),
            port: first(headers, &X_FORWARDED_PORT).and_then(|port| port.parse().ok()),
        }
    }

    /// Writes both kinds of headers. Other parameters of a trusted peer stay.
    fn write(&self, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: &str| match HeaderValue::from_str(value) {
            Ok(value) => drop(headers.insert(name, value)),
            Err(_) => drop(headers.remove(name)),
        };
        set(X_FORWARDED_FOR, &self.chain.join(", "));
        set(X_FORWARDED_PROTO, &self.proto);
        if let Some(host) = &self.host {
            set(X_FORWARDED_HOST, host);
        }
        headers.insert(header::FORWARDED, self.forwarded());
    }

    /// As `Forwarded`. The first element has all that is known of the client, since most readers look only at that one.
    fn forwarded(&self) -> HeaderValue {
        let mut text = String::new();
        for (at, node) in self.chain.iter().enumerate() {
            text.push_str(if at == 0 { "for=" } else { ", for=" });
            write_node(&mut text, node);
            if at == 0 {
                if let Some(host) = &self.host {
                    // A port, like any other character that is not a token's, has to be quoted.
                    let port = self.port_to_add(host).map(|port| format!(":{port}")).unwrap_or_default();
                    write!(text, ";host=\"{host}{port}\"").expect("a string takes all");
                }
                write!(text, ";proto={}", self.proto).expect("a string takes all");
            }
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("for=unknown"))
    }

    /// The port, if the host does not name it and it is not the protocol's default.
    fn port_to_add(&self, host: &str) -> Option<u16> {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let own = if self.proto == "https" { 443 } else { 80 };
        self.port.filter(|port| !has_port && *port != own)
    }
}

/// The protocol by which the client came, as these headers say: a token of `http` and `https`.
fn proto(headers: &HeaderMap) -> Option<&'static str> {
    let told = Elements::of(headers);
    let named = |name: &'static str| first(headers, &HeaderName::from_static(name));
    let text = first(headers, &X_FORWARDED_PROTO)
        .or_else(|| named("x-forwarded-protocol"))
        .or_else(|| named("x-forwarded-scheme"))
        .or_else(|| {
            named("x-forwarded-ssl").or_else(|| named("front-end-https")).filter(|it| *it == "on").map(|_| "https")
        })
        .or_else(|| told.all("proto").next())?;
    // A WebSocket is opened by http or https.
    [("https", "https"), ("wss", "https"), ("http", "http"), ("ws", "http")]
        .into_iter()
        .find_map(|(word, proto)| text.eq_ignore_ascii_case(word).then_some(proto))
}

/// The items of a list that may be spread over several lines.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

fn first<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    list(headers, name).next()
}

/// The pairs of a `Forwarded` header, in their order (RFC 7239, 4). The crates for it cut at a comma or semicolon within
/// quotes, where an address of IPv6 or a host may stand.
#[derive(Debug, Default)]
struct Elements(Vec<(String, String)>);

impl Elements {
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::FORWARDED).into_iter().filter_map(|value| value.to_str().ok());
        Self(lines.flat_map(pairs).collect())
    }

    fn all<'e>(&'e self, name: &'static str) -> impl Iterator<Item = &'e str> {
        self.0.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

fn pairs(line: &str) -> Vec<(String, String)> {
    let (mut pairs, mut name, mut value) = (Vec::new(), String::new(), None::<String>);
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (c, &mut value) {
            ('"', Some(_)) => quoted = !quoted,
            ('\\', Some(value)) if quoted => value.extend(characters.next()),
            (c, Some(value)) if quoted => value.push(c),
            ('=', None) => value = Some(String::new()),
            (',' | ';', value) => {
                pairs.extend(value.take().map(|value| (name.trim().to_ascii_lowercase(), value.trim().to_owned())));
                name.clear();
            }
            (c, Some(value)) => value.push(c),
            (c, None) => name.push(c),
        }
    }
    pairs.extend(value.map(|value| (name.trim().to_ascii_lowercase(), value.trim().to_owned())));
    pairs
}

/// A node as `X-Forwarded-For` has it: an address without brackets and port.
fn address_of_node(node: &str) -> String {
    match (node.parse::<SocketAddr>(), node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))) {
        (Ok(address), _) => address.ip().to_string(),
        (_, Some(address)) => address.to_owned(),
        _ => node.to_owned(),
    }
}

/// Writes a node as `Forwarded` has it (RFC 7239, 6).
fn write_node(text: &mut String, node: &str) {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let obfuscated = |node: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        node.starts_with('_') && node.chars().all(allowed)
    };
    match (bare.parse::<IpAddr>(), node.parse::<SocketAddr>()) {
        (Ok(IpAddr::V4(address)), _) => write!(text, "{address}"),
        (Ok(IpAddr::V6(address)), _) => write!(text, "\"[{address}]\""),
        (_, Ok(address)) => write!(text, "\"{address}\""),
        _ if obfuscated(node) => write!(text, "{node}"),
        _ => write!(text, "unknown"),
    }
    .expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("valid"));
        }
        headers
    }

    /// What an instance reads behind a trusted terminator at 10.0.0.1: for, proto, host, and `Forwarded`.
    fn told(lines: &[(&'static str, &str)]) -> [String; 4] {
        let mut headers = headers(lines);
        Peer::new(SocketAddr::from(([10, 0, 0, 1], 4711)), true, false).introduce(&mut headers, true);
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"]
            .map(|name| headers.get(name).map_or("", |value| value.to_str().expect("text")).to_owned())
    }

    #[test]
    fn the_list_of_names_can_be_searched() {
        assert!(OTHER_CLIENT_HEADERS.is_sorted());
        for name in OTHER_CLIENT_HEADERS.into_iter().chain(["forwarded", "x-forwarded-for", "x-forwarded-anything"]) {
            assert!(speaks_of_client(name), "{name}");
        }
        for name in ["x-forward", "cookie", "host", "via", "x-request-id", "traceparent"] {
            assert!(!speaks_of_client(name), "{name}");
        }
    }

    #[test]
    fn one_family_is_enough_for_both() {
        let expected = ["203.0.113.7, 10.0.0.1", "https", "shop.example"];
        let by_x = told(&[
            ("host", "10.0.0.2:8080"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
        ]);
        assert_eq!(by_x[..3], expected);
        assert_eq!(by_x[3], "for=203.0.113.7;host=\"shop.example\";proto=https, for=10.0.0.1");
        let by_forwarded =
            told(&[("host", "10.0.0.2:8080"), ("forwarded", "For=203.0.113.7; Proto=https; host=shop.example")]);
        assert_eq!(by_forwarded, by_x);
    }

    #[test]
    fn a_strangers_forwarded_does_not_overrule_a_terminator_that_knows_the_other_family_only() {
        let told = told(&[
            ("host", "shop.example"),
            ("forwarded", "for=198.51.100.9;proto=http;host=evil.example"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
        ]);
        assert_eq!(told[3], "for=203.0.113.7;host=\"shop.example\";proto=https, for=10.0.0.1");
    }

    #[test]
    fn addresses_hosts_and_ports_are_written_as_each_family_has_them() {
        let v6 = told(&[
            ("host", "a"),
            ("forwarded", r#"for="[2001:db8::7]:4711";host="a,b;c:8443";proto=https, for=_hidden"#),
        ]);
        assert_eq!(v6[0], "2001:db8::7, _hidden, 10.0.0.1");
        assert_eq!(v6[2], "a,b;c:8443", "cut nowhere");
        assert!(
            v6[3].starts_with(r#"for="[2001:db8::7]";host="a,b;c:8443";proto=https, for=_hidden, for="#),
            "{}",
            v6[3]
        );
        let port = told(&[("host", "a"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "8443")]);
        assert_eq!(port[3], "for=10.0.0.1;host=\"a:8443\";proto=https");
        let own = told(&[("host", "a"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "443")]);
        assert_eq!(own[3], "for=10.0.0.1;host=\"a\";proto=https");
        let odd = told(&[("host", "a"), ("x-forwarded-for", "192.0.2.1:5, <b>, unknown")]);
        assert_eq!(odd[3], "for=\"192.0.2.1:5\";host=\"a\";proto=http, for=unknown, for=unknown, for=10.0.0.1");
    }

    #[test]
    fn https_is_heard_in_each_of_its_spellings() {
        for (name, value) in [
            ("x-forwarded-proto", "HTTPS, http"),
            ("x-forwarded-protocol", "https"),
            ("x-forwarded-scheme", "wss"),
            ("x-forwarded-ssl", "on"),
            ("front-end-https", "on"),
            ("forwarded", "for=a;proto=\"https\""),
        ] {
            assert_eq!(proto(&headers(&[(name, value)])), Some("https"), "{name}: {value}");
        }
        for (name, value) in
            [("x-forwarded-proto", "gopher"), ("x-forwarded-ssl", "off"), ("forwarded", "proto"), ("via", "https")]
        {
            assert_eq!(proto(&headers(&[(name, value)])), None, "{name}: {value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_peer_says_there_is_one_well_formed_header_of_each(text in "[ -~]{0,60}", other in "[ -~]{0,60}") {
            let told = told(&[("host", "a"), ("forwarded", &text), ("x-forwarded-for", &other)]);
            proptest::prop_assert!(told[0].ends_with("10.0.0.1"));
            proptest::prop_assert!(told[3].starts_with("for="), "{}", told[3]);
            let back = pairs(&told[3]);
            proptest::prop_assert_eq!(back.iter().filter(|(name, _)| name == "proto").count(), 1);
        }
    }
}
