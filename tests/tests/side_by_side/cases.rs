//! The cases.

/// One.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    /// `\x01` stands for a pause, in which an answer is read.
    pub(crate) sent: &'static [u8],
    /// `None`: both do the same.
    pub(crate) differs: Option<Differs>,
}

/// What each does, and why that is not the same.
#[derive(Clone, Copy)]
pub(crate) struct Differs {
    pub(crate) haproxy: &'static str,
    pub(crate) gateway: &'static str,
    #[allow(dead_code, reason = "for who reads it")]
    pub(crate) why: &'static str,
}

const fn same(what: &'static str, sent: &'static [u8]) -> Case {
    Case { what, sent, differs: None }
}

const fn but(what: &'static str, sent: &'static [u8], differs: Differs) -> Case {
    Case { what, sent, differs: Some(differs) }
}

pub(crate) const CASES: &[Case] = &[
    // ---- what is in order
    same("a plain request", b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("one that keeps the connection", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    same("two, one behind the other", b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("a body", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"),
    same("a body in chunks", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
    same("chunks in capitals", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
    same("an extension of a chunk", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n"),
    same("a trailer", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    same("a body of no bytes", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    same("a body of a GET", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"),
    same("a HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("a method of one's own", b"BREW /pot HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("all of the server", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an empty line before", b"\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an empty host", b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"),
    same("a host with a port", b"GET / HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: close\r\n\r\n"),
    same("spaces around a value", b"GET / HTTP/1.1\r\nHost:   a  \r\nX-Kept: \t b \t\r\nConnection: close\r\n\r\n"),
    but(
        "the absolute form",
        b"GET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET http://a/x HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- GET /x HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "applications expect the origin form, and RFC 9112, 3.2.2 wants the absolute one for proxies alone",
        },
    ),
    same("equal lengths twice", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
    same("a head in two pieces", b"GET / HTTP/1.1\r\nHo\x01st: a\r\nConnection: close\r\n\r\n"),
    same("lines that end without a carriage return", b"GET / HTTP/1.1\nHost: a\nConnection: close\n\n"),
    same("a path with dots", b"GET /a/../b//c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("a path with percents", b"GET /%2e%2E/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    but(
        "a fragment",
        b"GET /a#b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: "400 closed <- nothing",
            gateway: r#"200 "ok" closed <- GET /a HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "the HTTP library cuts it off before anything is decided: gateway and instance read the same path",
        },
    ),
    same("characters beyond ASCII in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX-Kept: \xc3\xa4\r\nConnection: close\r\n\r\n"),
    but(
        "characters beyond ASCII in the target",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: "400 closed <- nothing",
            gateway: r#"200 "ok" closed <- GET /ä HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "old programs send UTF-8 as it is, and the instance knows whether it wants that",
        },
    ),
    same("quotes and braces in the target", b"GET /\"{}|^?{}|^` HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    but(
        "a quote in the query",
        b"GET /?a=\"b\" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET /?a="b" HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "the HTTP library refuses it; browsers send %22",
        },
    ),
    but(
        "a backtick in the path",
        b"GET /` HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET /` HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "the HTTP library refuses it; browsers send %60",
        },
    ),
    // ---- HTTP/1.0
    but(
        "HTTP/1.0 without a host",
        b"OPTIONS / HTTP/1.0\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- OPTIONS / HTTP/1.0 connection=keep-alive x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- OPTIONS / HTTP/1.1 host=ITS-ADDRESS x-forwarded-for=127.0.0.1 body="""#,
            why: "connections to instances are kept and speak HTTP/1.1, which wants a host",
        },
    ),
    but(
        "HTTP/1.0 with a host",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.0 connection=keep-alive host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "connections to instances speak HTTP/1.1 (RFC 9110, 2.5)",
        },
    ),
    but(
        "HTTP/1.0 that keeps the connection",
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" open <- GET / HTTP/1.0 connection=keep-alive host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" open <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "as before",
        },
    ),
    but(
        "HTTP/1.0 and an answer in chunks",
        b"GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET /chunked HTTP/1.0 connection=keep-alive host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- GET /chunked HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "as before",
        },
    ),
    but(
        "HTTP/1.2",
        b"GET / HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "there is no such version, and nobody speaks it",
        },
    ),
    but(
        "HTTP/2.0 in words",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" open <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "HTTP/2 is not spoken so",
        },
    ),
    same("HTTP/0.9", b"GET /\r\n\r\n"),
    // ---- what could be read in two ways
    but(
        "both lengths",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- POST / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "an attack, mostly (RFC 9112, 6.1): whoever stands in front may have read the other length",
        },
    ),
    same("lengths that differ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    but(
        "a list of equal lengths",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2, 2\r\n\r\nab",
        Differs {
            haproxy: r#"200 "ok" closed <- POST / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="ab""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9112, 6.3 leaves it to choose; no client sends it",
        },
    ),
    same("a signed length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
    same("a length in hex", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"),
    same("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\na"),
    same("an encoding that is unknown", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nab"),
    but(
        "chunked behind another",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Differs {
            haproxy: "422 closed <- nothing",
            gateway: "400 closed <- nothing",
            why: "neither passes it on; the one says that it cannot be done, the other that nobody asks so",
        },
    ),
    same("chunked twice", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    but(
        "chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- POST / HTTP/1.0 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9112, 6.1: it is to be treated as if its framing were faulty",
        },
    ),
    same("a chunk that is no number", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    same("a chunk that is too short", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"),
    but(
        "a folded line",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Kept: one\r\n two\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 x-kept=one   two body="""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9112, 5.2 lets a server choose; no client has folded lines for decades",
        },
    ),
    same("a space before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nX-Kept : 0\r\n\r\n"),
    same("a line without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
    same("a bare carriage return", b"GET / HTTP/1.1\r\nHost: a\r\nX-Kept: one\rtwo\r\n\r\n"),
    but(
        "a zero byte",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Kept: one\0two\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" open <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 x-kept=one\0two body="""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9110, 5.5: it is dangerous, and is rejected or replaced",
        },
    ),
    but(
        "no host",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9112, 3.2: a server must answer with 400",
        },
    ),
    same("two hosts that differ", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    but(
        "two hosts that are equal",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9112, 3.2: a server must answer with 400",
        },
    ),
    but(
        "another host than the target's",
        b"GET http://a/x HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: "400 closed <- nothing",
            gateway: r#"200 "ok" closed <- GET /x HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "RFC 9112, 3.2.2: the target's counts, and the instance is told that one alone",
        },
    ),
    but(
        "a host that is none",
        b"GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a/b x-forwarded-for=127.0.0.1 body="""#,
            gateway: "400 closed <- nothing",
            why: "RFC 9112, 3.2: a server must answer with 400",
        },
    ),
    same("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    same("a bad method", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    same("a method in small letters", b"get / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("TLS", b"\x16\x03\x02\x00\x05hello"),
    // ---- one hop, and the instance's business
    but(
        "what is for one hop",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\nX-Kept: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 connection=x-secret host=a keep-alive=5 te=trailers x-forwarded-for=127.0.0.1 x-kept=2 x-secret=1 body="""#,
            gateway: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 x-kept=2 body="""#,
            why: "RFC 9110, 7.6.1: a proxy must take out what Connection names",
        },
    ),
    but(
        "a proxy's connection",
        b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a proxy-connection=keep-alive x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "RFC 9110, 7.6.1: it is for one hop",
        },
    ),
    but(
        "TRACE",
        b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nMax-Forwards: 0\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- TRACE / HTTP/1.1 host=a max-forwards=0 x-forwarded-for=127.0.0.1 body="""#,
            gateway: "405 closed <- nothing",
            why: "what answers it shows headers that scripts must not read; nginx refuses it as well, and it can be allowed",
        },
    ),
    but(
        "CONNECT",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" open <- CONNECT a:443 HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: "405 closed <- nothing",
            why: "a reverse proxy is no tunnel",
        },
    ),
    same("a WebSocket", b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
    but(
        "an upgrade without the word",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a upgrade=websocket x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "RFC 9110, 7.8: without Connection it is for one hop, and means nothing",
        },
    ),
    but(
        "HTTP/2 in the clear",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" open <- GET / HTTP/1.1 connection=upgrade, http2-settings host=a upgrade=h2c x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" open <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "it would carry requests past the gateway",
        },
    ),
    same("who asks first and is let", b"POST /wants HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n\x01ab"),
    same("another expectation", b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: a-pony\r\nContent-Length: 2\r\n\r\nab"),
    but(
        "addresses that a client claims",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 x-forwarded-for=6.6.6.6 body="""#,
            gateway: r#"200 "ok" closed <- GET / HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "strangers are not believed; frameworks read the first one",
        },
    ),
    // ---- what instances answer
    but(
        "an early answer",
        b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
        Differs {
            haproxy: r#"413 open <- POST /early HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"413 closed <- POST /early HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "the rest of the body is wanted by nobody; the connection is closed when it has come or does not",
        },
    ),
    same("two lengths in an answer", b"GET /two-lengths HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("both lengths in an answer", b"GET /both-lengths HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an answer in chunks", b"GET /chunked HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an answer up to the end", b"GET /to-the-end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an answer of HTTP/1.0", b"GET /old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    but(
        "early hints",
        b"GET /hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"103+200 "ok" closed <- GET /hints HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"200 "ok" closed <- GET /hints HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "the HTTP library sends no interim answers but 100 and 101; the final answer says the same",
        },
    ),
    same("another protocol, unasked", b"GET /unasked HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an answer without a reason", b"GET /no-reason HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an answer that is none", b"GET /nonsense HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    but(
        "a zero byte in an answer",
        b"GET /nul HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Differs {
            haproxy: r#"200 "ok" closed <- GET /nul HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            gateway: r#"502 closed <- GET /nul HTTP/1.1 host=a x-forwarded-for=127.0.0.1 body="""#,
            why: "RFC 9110, 5.5",
        },
    ),
    same("an answer without content", b"GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an answer that is not new", b"GET /same HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    same("an odd status", b"GET /odd-status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
];
