//! The gateway's own cookie. It names the instance and the session, and says when the session was last used.
//!
//! ```text
//!   haddock-shop=<40 characters: session id 8 B · stamp 6 B · MAC 16 B, base64url><instance id>
//! ```
//!
//! The MAC is keyed BLAKE3, cut to 128 bits, under a key derived for the service. It covers all the rest. So nobody can
//! pick an instance, revive a removed one, or carry a session from one service to another. Any gateway with the key can
//! read the cookie of any other.
//!
//! # The stamp
//!
//! An expired session must not come back to an instance that is being closed. A live one must not be lost, even by a
//! gateway that sees it for the first time. So the figures and the cookie have to agree on when a session expires,
//! although only a response can replace a cookie:
//!
//! - A stamp lies [`STAMP_AHEAD`] (100 ms) after the response that carries it. A request that comes before its cookie's stamp
//!   needs no new one; any later one gets one. So the stamp never lies before the last response's head.
//! - The session table lets a session live until idle time has passed since its last use *or its last stamp*, whichever
//!   is later. A cookie that is still good is therefore always one whose session counts as live where it was issued;
//!   no count is ever too low for it.
//! - A gateway that does not know the session follows the cookie while idle time has not passed since the stamp. As the
//!   stamp is never behind the last use, no live session is lost.
//!
//! The price is that a session expires up to 100 ms (and a tick of 50 ms) late, never early. No stamp can cover the end
//! of a long response or of an upgraded connection. A gateway that has not seen that end counts from the response's
//! head.

use std::time::Duration;

use crate::name::ServiceName;
use crate::routing::{CookiePolicy, SameSite};
use crate::time::Timestamp;

use super::key::Keys;

/// How far a stamp lies ahead of the response that carries it.
pub(super) const STAMP_AHEAD: Duration = Duration::from_millis(100);

const SESSION_BYTES: usize = 8;
const STAMP_BYTES: usize = 6;
const MAC_BYTES: usize = 16;
const HEAD_BYTES: usize = SESSION_BYTES + STAMP_BYTES + MAC_BYTES;
/// The head in base64, without padding as it is a multiple of three.
const HEAD_TEXT_BYTES: usize = HEAD_BYTES / 3 * 4;
/// The longest id of an instance.
pub(super) const MAX_INSTANCE_BYTES: usize = 80;

/// What a genuine cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    pub(super) session: u64,
    pub(super) stamp: Timestamp,
    pub(super) instance: &'a str,
}

/// Makes and checks the cookies of one service.
pub(super) struct Sealer {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    pub(super) fn new(keys: &Keys, service: &ServiceName) -> Self {
        let derive = |key: &[u8; 32]| *blake3::keyed_hash(key, service.as_str().as_bytes()).as_bytes();
        Self { current: derive(keys.current()), previous: keys.previous().map(derive) }
    }

    /// Writes the cookie's value to `out`.
    pub(super) fn seal(&self, claim: Claim<'_>, out: &mut Vec<u8>) {
        let mut head = [0; HEAD_BYTES];
        head[..SESSION_BYTES].copy_from_slice(&claim.session.to_be_bytes());
        head[SESSION_BYTES..SESSION_BYTES + STAMP_BYTES]
            .copy_from_slice(&claim.stamp.as_millis().to_be_bytes()[8 - STAMP_BYTES..]);
        let mac = mac(&self.current, &head[..SESSION_BYTES + STAMP_BYTES], claim.instance.as_bytes());
        head[SESSION_BYTES + STAMP_BYTES..].copy_from_slice(&mac);
        encode(&head, out);
        out.extend_from_slice(claim.instance.as_bytes());
    }

    /// What the cookie says, if one of our keys made it.
    pub(super) fn open<'a>(&self, value: &'a [u8]) -> Option<Claim<'a>> {
        let (text, instance) = value.split_at_checked(HEAD_TEXT_BYTES)?;
        if instance.is_empty() || instance.len() > MAX_INSTANCE_BYTES {
            return None;
        }
        let mut head = [0; HEAD_BYTES];
        decode(text, &mut head)?;
        let (plain, theirs) = head.split_at(SESSION_BYTES + STAMP_BYTES);
        let genuine = |key| same(&mac(key, plain, instance), theirs);
        if !genuine(&self.current) && !self.previous.as_ref().is_some_and(genuine) {
            return None;
        }
        let mut session = [0; 8];
        session.copy_from_slice(&plain[..SESSION_BYTES]);
        let mut stamp = [0; 8];
        stamp[8 - STAMP_BYTES..].copy_from_slice(&plain[SESSION_BYTES..]);
        Some(Claim {
            session: u64::from_be_bytes(session),
            stamp: Timestamp::from_millis(u64::from_be_bytes(stamp)),
            instance: std::str::from_utf8(instance).ok()?,
        })
    }
}

fn mac(key: &[u8; 32], plain: &[u8], instance: &[u8]) -> [u8; MAC_BYTES] {
    // One block of 64 bytes for all but the longest instance ids.
    let mut message = [0; SESSION_BYTES + STAMP_BYTES + MAX_INSTANCE_BYTES];
    message[..plain.len()].copy_from_slice(plain);
    let end = plain.len() + instance.len();
    message[plain.len()..end].copy_from_slice(instance);
    let mut out = [0; MAC_BYTES];
    out.copy_from_slice(&blake3::keyed_hash(key, &message[..end]).as_bytes()[..MAC_BYTES]);
    out
}

/// Compares at most 32 bytes in constant time, as BLAKE3's own hashes do.
pub(super) fn same(ours: &[u8], theirs: &[u8]) -> bool {
    let whole = |half: &[u8]| {
        let mut bytes = [0; 32];
        bytes[..half.len()].copy_from_slice(half);
        blake3::Hash::from_bytes(bytes)
    };
    ours.len() == theirs.len() && whole(ours) == whole(theirs)
}

/// Appends the bytes in base64url. Their number is a multiple of three, so there is no padding.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        out.extend([18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift) as usize & 63]));
    }
}

/// Reads base64url into bytes, whose number is a multiple of three.
pub(super) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    for (group, bytes) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let mut bits = 0_u32;
        for character in group {
            let six = DIGITS[usize::from(*character)];
            if six == INVALID_DIGIT {
                return None;
            }
            bits = bits << 6 | u32::from(six);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    Some(())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const INVALID_DIGIT: u8 = 64;
const DIGITS: [u8; 256] = {
    let mut digits = [INVALID_DIGIT; 256];
    let mut six = 0;
    while six < 64 {
        digits[ALPHABET[six as usize] as usize] = six;
        six += 1;
    }
    digits
};

/// The values of the cookies called `name` in one `Cookie` header.
pub(super) fn values<'a>(header: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    header.split(|byte| *byte == b';').filter_map(|pair| value(pair, name))
}

fn value<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=")
}

/// The header without the cookies called `name`. `None`: nothing else is in it.
pub(super) fn without(header: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Vec::new();
    for pair in header.split(|byte| *byte == b';').filter(|pair| value(pair, name).is_none()) {
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        if !rest.is_empty() {
            rest.extend_from_slice(b"; ");
        }
        rest.extend_from_slice(pair);
    }
    (!rest.is_empty()).then_some(rest)
}

/// Whether one `Cookie` header has a cookie that no gateway has set, of whatever service.
pub(super) fn has_foreign(header: &[u8]) -> bool {
    let pairs = header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    pairs.into_iter().any(|pair| !pair.is_empty() && !pair.starts_with(COOKIE_PREFIX.as_bytes()))
}

/// What the names of our cookies begin with.
const COOKIE_PREFIX: &str = "haddock-";

/// The name of the service's cookie. Cookies ignore ports, so two services on one host name need different names.
pub(super) fn name(service: &ServiceName) -> String {
    format!("{COOKIE_PREFIX}{service}")
}

/// What follows the value in `Set-Cookie`, for clients that came by http and for those that came by https.
#[derive(Debug)]
pub(super) struct Attributes {
    http: Box<[u8]>,
    https: Box<[u8]>,
}

impl Attributes {
    pub(super) fn of(policy: &CookiePolicy) -> Self {
        let domain = policy.domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        let common = format!("; Path={}{domain}; HttpOnly", policy.path.as_deref().unwrap_or("/"));
        let (http, https) = match policy.same_site {
            SameSite::None => ("", "; SameSite=None"),
            SameSite::Lax => ("; SameSite=Lax", "; SameSite=Lax"),
            SameSite::Strict => ("; SameSite=Strict", "; SameSite=Strict"),
        };
        let partitioned = if policy.partitioned { "; Partitioned" } else { "" };
        Self {
            http: format!("{common}{http}").into_bytes().into(),
            https: format!("{common}{https}; Secure{partitioned}").into_bytes().into(),
        }
    }

    pub(super) fn for_client(&self, https: bool) -> &[u8] {
        if https { &self.https } else { &self.http }
    }
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
