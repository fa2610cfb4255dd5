use std::path::Path;

use super::super::reading::read;
use super::super::record::RECORD_BYTES;
use super::*;
use crate::routing::FencingToken;
use crate::time::Timestamp;

const BOOT: &str = "01234567-89ab-cdef-0123-456789abcdef";
const UNTIL: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn boot() -> Option<Boot> {
    Boot::of(BOOT)
}

/// A log with three sessions, the first of which has ended.
fn log(path: &Path) -> SessionLog {
    let mut log = SessionLog::new(path.to_owned(), "shop", boot());
    let which = log.begin().expect("room");
    let used = |id| Record::Used { id, instance: 1, until: UNTIL };
    assert!(log.append_anew(which, &[Record::Number(FencingToken { epoch: 1, revision: 1 }), used(1)]));
    assert!(log.finish(which));
    log.append(&[used(2), used(3)]);
    log.append(&[Record::Ended { id: 1 }]);
    log
}

fn sessions(path: &Path) -> Option<Vec<u64>> {
    let mut ids: Vec<_> = read(path, "shop", boot().as_ref())?.sessions.into_keys().collect();
    ids.sort_unstable();
    Some(ids)
}

#[test]
fn what_was_appended_is_read_in_this_boot_for_this_service() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions-shop");
    let _log = log(&path);
    assert_eq!(sessions(&path), Some(vec![2, 3]));
    let other = Boot::of(&BOOT.replace('0', "f"));
    assert_eq!(read(&path, "shop", other.as_ref()), None, "the machine was started anew");
    assert_eq!(read(&path, "shop", None), None, "nobody knows");
    assert_eq!(read(&path, "shops", boot().as_ref()), None, "another service");
    assert_eq!(read(&dir.path().join("none"), "shop", boot().as_ref()), None);
}

#[test]
fn a_record_that_was_not_written_to_its_end_is_cut_off_and_a_wrong_one_makes_all_unknown() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions-shop");
    let _log = log(&path);
    let whole = fs::read(&path).expect("there");
    for cut in 1..RECORD_BYTES {
        fs::write(&path, &whole[..whole.len() - cut]).expect("ours");
        assert_eq!(sessions(&path), Some(vec![1, 2, 3]), "the last record is torn");
    }
    for at in 0..whole.len() {
        let mut wrong = whole.clone();
        wrong[at] ^= 4;
        fs::write(&path, wrong).expect("ours");
        assert_eq!(sessions(&path), None, "byte {at}");
    }
    // Two records have changed their places.
    let mut wrong = whole;
    let from = wrong.len() - 2 * RECORD_BYTES;
    wrong[from..].rotate_left(RECORD_BYTES);
    fs::write(&path, wrong).expect("ours");
    assert_eq!(sessions(&path), None);
}

#[test]
fn one_that_is_ended_is_good_for_any_boot_if_all_of_it_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions-shop");
    let mut log = log(&path);
    log.end(&[Record::Used { id: 7, instance: 1, until: UNTIL }]).expect("room");
    log.append(&[Record::Ended { id: 7 }]);
    assert!(log.begin().is_err(), "it is the last word");
    assert_eq!(sessions(&path), Some(vec![7]));
    assert!(read(&path, "shop", None).is_some());
    let whole = fs::read(&path).expect("there");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("ours");
        assert_eq!(sessions(&path), None, "cut to {length} bytes");
    }
}

#[test]
fn without_room_there_is_no_log_and_with_room_there_is_one_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sessions-shop");
    let mut log = log(&path);
    // The new one, which is just being written, does not miss what the old one cannot take.
    let which = log.begin().expect("room");
    log.fill_up();
    log.append(&[Record::Used { id: 9, instance: 1, until: UNTIL }]);
    assert_eq!((sessions(&path), log.records()), (None, None));
    assert!(log.finish(which));
    assert_eq!(sessions(&path), Some(vec![9]));
    assert!(!log.finish(which) && !log.append_anew(which + 1, &[]), "it is over");
}
