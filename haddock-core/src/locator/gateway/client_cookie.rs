//! The cookie by which the gateway knows a client over its sessions, if new sessions are placed by
//! [client](crate::routing::SessionBy).
//!
//! ```text
//!   haddock-client.shop=<44 characters: client id 14 B · day 3 B · MAC 16 B, base64url>
//! ```
//!
//! The id is random. It says nothing about the client, is written to no log, and is kept nowhere but in the cookie: the version
//! to which a client goes is a hash of it. The MAC is keyed BLAKE3, cut to 128 bits, under a key derived for the service. So
//! nobody can choose an id, or carry one from one service to another, and any gateway with the key knows the client.
//!
//! That hash is keyed by the id itself, and not by the gateway's key. So a client stays where it is when the key is changed.
//!
//! The cookie lasts for a year. It is read only when a new session is placed, and given anew if it is older than
//! [`RENEWED_AFTER`] days. So it does not end for a client that comes now and then.

use http::header::{self, HeaderMap, HeaderValue};

use super::cookie::{self, decode, encode, same};
use super::key::Keys;
use crate::name::ServiceName;
use crate::time::Timestamp;

/// Browsers keep no cookie for longer than 400 days (RFC 6265bis, 5.5), so it may as well be a year.
const MAX_AGE_SECONDS: u32 = 365 * 24 * 3600;
const RENEWED_AFTER: u32 = 30;

const ID_BYTES: usize = 14;
const DAY_BYTES: usize = 3;
const MAC_BYTES: usize = 16;
const PLAIN_BYTES: usize = ID_BYTES + DAY_BYTES;
const COOKIE_BYTES: usize = PLAIN_BYTES + MAC_BYTES;
/// In base64, without padding as it is a multiple of three.
const TEXT_BYTES: usize = COOKIE_BYTES / 3 * 4;

/// What the names of these cookies begin with. A service's name has no dot, so none is the name of a session's cookie.
const PREFIX: &str = "haddock-client.";

/// The name of the service's cookie for clients.
pub(super) fn name(service: &ServiceName) -> String {
    format!("{PREFIX}{service}")
}

/// Whether a `Cookie` header may have such a cookie.
pub(super) fn may_be_in(header: &[u8]) -> bool {
    memchr::memmem::find(header, PREFIX.as_bytes()).is_some()
}

/// A client that a new session was placed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    id: [u8; ID_BYTES],
    /// Whether it gets a cookie with the answer.
    is_given: bool,
}

/// The id stays out of logs.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("is_given", &self.is_given).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that nobody has seen before. `None`: there are no random numbers now, so it is known for this session alone.
    fn new() -> Option<Self> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id).ok()?;
        Some(Self { id, is_given: true })
    }

    /// Its random number for a version.
    pub(super) fn number(&self, version: Option<u64>) -> u64 {
        let mut key = [0; 32];
        key[..ID_BYTES].copy_from_slice(&self.id);
        let mut message = [0; 9];
        if let Some(version) = version {
            message[0] = 1;
            message[1..].copy_from_slice(&version.to_be_bytes());
        }
        let hash = blake3::keyed_hash(&key, &message);
        let mut number = [0; 8];
        number.copy_from_slice(&hash.as_bytes()[..8]);
        u64::from_be_bytes(number)
    }
}

/// By what a client is known for which a new session is placed. It is looked at only if that is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Who<'a> {
    /// The request's cookies say so.
    Comes { headers: &'a HeaderMap, sealer: &'a ClientSealer },
    /// It was found out before.
    Known(Client),
}

impl Who<'_> {
    /// The client. One without a genuine cookie is new.
    pub(super) fn client(self, now: Timestamp) -> Option<Client> {
        match self {
            Self::Known(client) => Some(client),
            Self::Comes { headers, sealer } => {
                let headers = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
                let mut values = headers.flat_map(|header| cookie::values(header, &sealer.name));
                values.find_map(|value| sealer.open(value, now)).or_else(Client::new)
            }
        }
    }
}

/// Makes and checks the cookies of one service's clients.
pub(super) struct ClientSealer {
    pub(super) name: Box<[u8]>,
    current: [u8; 32],
    previous: Option<[u8; 32]>,
}

impl std::fmt::Debug for ClientSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSealer")
    }
}

impl ClientSealer {
    pub(super) fn new(keys: &Keys, service: &ServiceName) -> Self {
        // With the dot in it, it is not the key for the cookies of some service's sessions.
        let name = name(service).into_bytes().into_boxed_slice();
        let derive = |key: &[u8; 32]| *blake3::keyed_hash(key, &name).as_bytes();
        Self { current: derive(keys.current()), previous: keys.previous().map(derive), name }
    }

    /// Writes the cookie's value to `out`.
    fn seal(&self, client: &Client, now: Timestamp, out: &mut Vec<u8>) {
        let mut bytes = [0; COOKIE_BYTES];
        bytes[..ID_BYTES].copy_from_slice(&client.id);
        bytes[ID_BYTES..PLAIN_BYTES].copy_from_slice(&day(now).to_be_bytes()[4 - DAY_BYTES..]);
        let mac = mac(&self.current, &bytes[..PLAIN_BYTES]);
        bytes[PLAIN_BYTES..].copy_from_slice(&mac);
        encode(&bytes, out);
    }

    /// What is set for a client that has no cookie, or an old one. `None`: it has a good one.
    pub(super) fn given(&self, client: &Client, attributes: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        if !client.is_given {
            return None;
        }
        let mut text = Vec::with_capacity(160);
        text.extend_from_slice(&self.name);
        text.push(b'=');
        self.seal(client, now, &mut text);
        text.extend_from_slice(format!("; Max-Age={MAX_AGE_SECONDS}").as_bytes());
        text.extend_from_slice(attributes);
        Some(text)
    }

    /// The client, if one of our keys made the cookie.
    fn open(&self, value: &[u8], now: Timestamp) -> Option<Client> {
        if value.len() != TEXT_BYTES {
            return None;
        }
        let mut bytes = [0; COOKIE_BYTES];
        decode(value, &mut bytes)?;
        let (plain, theirs) = bytes.split_at(PLAIN_BYTES);
        let genuine = |key: &[u8; 32]| same(&mac(key, plain), theirs);
        let is_current = genuine(&self.current);
        if !is_current && !self.previous.as_ref().is_some_and(genuine) {
            return None;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&plain[..ID_BYTES]);
        let mut made = [0; 4];
        made[4 - DAY_BYTES..].copy_from_slice(&plain[ID_BYTES..]);
        let age = day(now).saturating_sub(u32::from_be_bytes(made));
        Some(Client { id, is_given: !is_current || age > RENEWED_AFTER })
    }
}

fn mac(key: &[u8; 32], plain: &[u8]) -> [u8; MAC_BYTES] {
    let mut out = [0; MAC_BYTES];
    out.copy_from_slice(&blake3::keyed_hash(key, plain).as_bytes()[..MAC_BYTES]);
    out
}

/// The day since the Unix epoch. It fits into three bytes for the next 45 000 years.
fn day(now: Timestamp) -> u32 {
    u32::try_from(now.as_millis() / (24 * 3600 * 1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).expect("valid")
    }

    fn sealer(key: u8, previous: Option<u8>, of: &str) -> ClientSealer {
        ClientSealer::new(&Keys::new([key; 32], previous.map(|key| [key; 32])), &service(of))
    }

    fn sealed(sealer: &ClientSealer, client: &Client) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(client, NOW, &mut out);
        out
    }

    #[test]
    fn a_client_is_known_again_and_its_cookie_is_renewed_now_and_then() {
        let (sealer, client) = (sealer(7, None, "shop"), Client::new().expect("random numbers"));
        assert!(client.is_given);
        let value = sealed(&sealer, &client);
        assert_eq!(value.len(), TEXT_BYTES);
        for (later, renewed) in [(0, false), (30, false), (31, true), (364, true)] {
            let again = sealer.open(&value, NOW + DAY * later).expect("genuine");
            assert_eq!((again.id, again.is_given), (client.id, renewed), "after {later} days");
        }
        // The clock of another gateway may be behind.
        assert!(!sealer.open(&value, NOW.before(DAY * 2)).expect("genuine").is_given);
    }

    #[test]
    fn a_key_may_be_changed_and_nobody_moves() {
        let client = Client::new().expect("random numbers");
        let value = sealed(&sealer(7, None, "shop"), &client);
        let again = sealer(8, Some(7), "shop").open(&value, NOW).expect("the previous key");
        assert!(again.is_given, "it gets one by the present key");
        assert_eq!(again.number(Some(3)), client.number(Some(3)));
        assert!(sealer(8, None, "shop").open(&value, NOW).is_none());
    }

    #[test]
    fn what_somebody_else_has_made_or_changed_is_nobody() {
        let (ours, client) = (sealer(7, None, "shop"), Client::new().expect("random numbers"));
        let value = sealed(&ours, &client);
        assert!(sealer(7, None, "shop-client").open(&value, NOW).is_none(), "another service");
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(ours.open(&changed, NOW).is_none(), "character {at}");
        }
        for bad in [&value[1..], &[&value[..], b"A"].concat(), b"", b"%%%%"] {
            assert!(ours.open(bad, NOW).is_none());
        }
    }

    #[test]
    fn a_client_has_a_number_of_its_own_for_each_version_and_shows_none() {
        let clients: Vec<Client> = (0..50).filter_map(|_| Client::new()).collect();
        let numbers: BTreeSet<u64> = clients
            .iter()
            .flat_map(|client| [None, Some(0), Some(1), Some(u64::MAX)].map(|version| client.number(version)))
            .collect();
        assert_eq!(numbers.len(), 200);
        let shown = format!("{:?}", Client { id: [0xab; ID_BYTES], is_given: true });
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("ab,"), "{shown}");
    }

    #[test]
    fn the_name_is_not_that_of_a_session_and_no_service_can_have_it() {
        let name = name(&service("shop"));
        assert_eq!(name, "haddock-client.shop");
        assert!(may_be_in(format!("a=b; {name}=x").as_bytes()) && !may_be_in(b"haddock-client=x"));
        assert!(!cookie::has_foreign(format!("{name}=x").as_bytes()), "it is one of ours");
        assert!(ServiceName::new("client.shop").is_err());
    }
}
