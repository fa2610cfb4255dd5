use proptest::prelude::*;

use super::*;

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("valid")
}

fn sealer(current: u8, previous: Option<u8>, name: &str) -> Sealer {
    Sealer::new(&Keys::new([current; 32], previous.map(|byte| [byte; 32])), &service(name))
}

fn sealed(sealer: &Sealer, claim: Claim<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(claim, &mut out);
    out
}

const CLAIM: Claim<'_> =
    Claim { session: 0x0123_4567_89ab_cdef, stamp: Timestamp::from_millis(1_795_000_000_123), instance: "shop-1-ab" };

#[test]
fn what_is_sealed_can_be_opened() {
    let ours = sealer(1, None, "shop");
    let value = sealed(&ours, CLAIM);
    assert_eq!(value.len(), HEAD_TEXT_BYTES + CLAIM.instance.len());
    assert_eq!(ours.open(&value), Some(CLAIM));
}

#[test]
fn no_bit_can_be_changed() {
    let ours = sealer(1, None, "shop");
    let value = sealed(&ours, CLAIM);
    for at in 0..value.len() {
        for bit in 0..8 {
            let mut altered = value.clone();
            altered[at] ^= 1 << bit;
            assert_eq!(ours.open(&altered), None, "byte {at}, bit {bit}");
        }
    }
    for length in 0..value.len() {
        assert_eq!(ours.open(&value[..length]), None);
    }
}

#[test]
fn another_key_and_another_service_make_other_cookies() {
    let value = sealed(&sealer(1, None, "shop"), CLAIM);
    assert_eq!(sealer(2, None, "shop").open(&value), None);
    assert_eq!(sealer(1, None, "bank").open(&value), None);
}

#[test]
fn during_a_rotation_both_keys_open_and_the_new_one_seals() {
    let (old, both, new) = (sealer(1, None, "shop"), sealer(2, Some(1), "shop"), sealer(2, None, "shop"));
    assert_eq!(both.open(&sealed(&old, CLAIM)), Some(CLAIM));
    assert_eq!(new.open(&sealed(&both, CLAIM)), Some(CLAIM));
}

#[test]
fn the_key_is_not_in_the_debug_output() {
    assert_eq!(format!("{:?}", sealer(7, None, "shop")), "Sealer");
}

#[test]
fn cookies_are_found_and_taken_out() {
    let header = b"a=1; haddock-shop=XY;b=2 ; haddock-shop=Z; haddock-shopping=3";
    let found: Vec<_> = values(header, b"haddock-shop").collect();
    assert_eq!(found, [b"XY".as_slice(), b"Z"]);
    assert_eq!(without(header, b"haddock-shop").expect("a rest"), b"a=1; b=2; haddock-shopping=3");
    assert_eq!(without(b"haddock-shop=XY", b"haddock-shop"), None);
    assert_eq!(without(b"haddock-shop=XY; ", b"haddock-shop"), None);
}

#[test]
fn a_cookie_comes_back_from_anywhere_unless_it_is_to_be_kept_closer() {
    let written = |policy: CookiePolicy| {
        let attributes = Attributes::of(&policy);
        [false, true].map(|https| String::from_utf8(attributes.for_client(https).to_vec()).expect("text"))
    };
    let default = CookiePolicy::default();
    // Browsers refuse `SameSite=None` without `Secure`, and `Secure` over http.
    assert_eq!(written(default.clone()), ["; Path=/; HttpOnly", "; Path=/; HttpOnly; SameSite=None; Secure"]);
    let lax = CookiePolicy { same_site: SameSite::Lax, ..default.clone() };
    assert_eq!(written(lax), ["; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; SameSite=Lax; Secure"]);
    let all = CookiePolicy {
        same_site: SameSite::Strict,
        domain: Some("example.com".to_owned()),
        path: Some("/app".to_owned()),
        partitioned: true,
    };
    let common = "; Path=/app; Domain=example.com; HttpOnly; SameSite=Strict";
    assert_eq!(written(all), [common.to_owned(), format!("{common}; Secure; Partitioned")]);
    let partitioned = CookiePolicy { partitioned: true, ..default };
    assert_eq!(written(partitioned)[1], "; Path=/; HttpOnly; SameSite=None; Secure; Partitioned");
}

proptest! {
    #[test]
    fn any_bytes_are_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(sealer(1, None, "shop").open(&bytes), None);
    }

    #[test]
    fn any_claim_survives(session: u64, stamp in 0_u64..1 << 48, instance in "[a-z][a-z0-9-]{0,79}") {
        let ours = sealer(1, None, "shop");
        let claim = Claim { session, stamp: Timestamp::from_millis(stamp), instance: &instance };
        let value = sealed(&ours, claim);
        prop_assert_eq!(ours.open(&value), Some(claim));
    }
}
