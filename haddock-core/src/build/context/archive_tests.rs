use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::entry::{Content, Entry, Stamp};
use super::folder::{Folder, find, packed, read, unpacked};
use super::header::headers;
use crate::error::ErrorKind;

const PIECE: usize = 256 * 1024;

fn folder() -> Folder {
    Folder::with(&[("Dockerfile", "FROM scratch\n"), ("a", "one"), ("sub/b", "two"), ("sub/c", "")])
}

/// Bytes without a period that a piece or a block has.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn it_has_the_files_with_their_times() {
    let folder = folder();
    folder.touch("a", 1_700_000_000);
    folder.touch("sub", 1_600_000_000);
    let sent = unpacked(&packed(&folder.context()).await);
    assert_eq!(find(&sent, "a").mtime, 1_700_000_000);
    assert_eq!(find(&sent, "sub/").mtime, 1_600_000_000);
    assert_eq!(find(&sent, "sub/b").content, b"two");
    assert_eq!(sent.iter().filter(|entry| entry.kind == tar::EntryType::Regular).count(), 4);
}

#[tokio::test]
async fn it_is_the_same_for_the_same_files_with_the_same_times() {
    let (one, other) = (folder(), folder());
    for folder in [&one, &other] {
        for path in ["Dockerfile", "a", "sub/b", "sub/c", "sub"] {
            folder.touch(path, 1_700_000_000);
        }
    }
    assert_eq!(packed(&one.context()).await, packed(&one.context()).await);
    assert_eq!(packed(&one.context()).await, packed(&other.context()).await);
}

#[tokio::test]
async fn sizes_around_blocks_and_pieces_are_whole() {
    let folder = folder();
    let sizes = [1, 511, 512, 513, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7];
    for size in sizes {
        fs::write(folder.at(size.to_string()), bytes(size)).expect("written");
    }
    let pieces = read(folder.context().archive(BTreeMap::new())).await.expect("an archive");
    assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
    let sent = unpacked(&pieces.concat());
    for size in sizes {
        assert!(find(&sent, &size.to_string()).content == bytes(size), "{size}");
    }
}

#[tokio::test]
async fn sparse_files_are_sent_with_their_zeros() {
    let folder = folder();
    File::create(folder.at("sparse")).and_then(|file| file.set_len(3_000_000)).expect("a file");
    assert_eq!(find(&unpacked(&packed(&folder.context()).await), "sparse").content, vec![0; 3_000_000]);
}

#[tokio::test]
async fn names_may_be_long_and_in_any_bytes() {
    let folder = folder();
    let long = ["long".repeat(50), "x".repeat(255), "é".repeat(100)].join("/");
    let hundred = "h".repeat(100);
    let target = "t/".repeat(150);
    folder.write(&long, "long");
    folder.write(&hundred, "hundred");
    folder.write(&format!("{}/", "f".repeat(100)), "");
    folder.link(&"l".repeat(120), &target);
    let odd = b"odd \xff\n\\name";
    fs::write(folder.at(OsStr::from_bytes(odd)), "odd").expect("written");
    let archive = packed(&folder.context()).await;
    let sent = unpacked(&archive);
    assert_eq!(find(&sent, &long).content, b"long");
    assert_eq!(find(&sent, &hundred).content, b"hundred");
    assert_eq!(find(&sent, &format!("{}/", "f".repeat(100))).kind, tar::EntryType::Directory);
    assert_eq!(find(&sent, &"l".repeat(120)).target.as_deref(), Some(target.as_bytes()));
    assert!(sent.iter().any(|entry| entry.path == odd && entry.content == b"odd"));
    let digest = folder.context().digest(None).expect("a digest");
    assert!(digest.files.contains_key(r"odd \xff\n\\name"), "{:?}", digest.files);
}

#[test]
fn sizes_beyond_eight_gibibytes_fit() {
    let stamp = Stamp { size: 9 << 30, mtime: 0, ctime: 0, inode: 0 };
    let content = Content::File { source: PathBuf::new(), stamp };
    let headers = headers(&Entry { path: b"a".to_vec(), mode: 0o644, mtime: 0, content });
    assert_eq!(tar::Header::from_byte_slice(&headers).entry_size().expect("a size"), 9 << 30);
}

#[tokio::test]
async fn files_in_memory_replace_those_of_the_folder_or_are_added() {
    let folder = folder();
    folder.chmod("a", 0o755);
    folder.touch("a", 1_700_000_000);
    let replaced = [("a", bytes(3 * PIECE)), ("sub/aa", b"new".to_vec())];
    let replaced = replaced.map(|(path, text)| (path.to_owned(), text)).into();
    let pieces = read(folder.context().archive(replaced)).await.expect("an archive");
    let sent = unpacked(&pieces.concat());
    let found = find(&sent, "a");
    assert_eq!((found.mode, found.mtime), (0o755, 1_700_000_000));
    assert!(found.content == bytes(3 * PIECE));
    let new = find(&sent, "sub/aa");
    assert_eq!((new.mode, new.mtime, new.content.as_slice()), (0o644, 0, b"new".as_slice()));
    let paths: Vec<_> = sent.iter().map(|entry| entry.path.as_slice()).collect();
    assert!(paths.is_sorted(), "{paths:?}");
}

#[tokio::test]
async fn a_file_that_changed_since_the_scan_ends_it() {
    let edits: [fn(&Folder); 5] = [
        |folder| folder.write("a", "longer"),
        |folder| folder.write("a", ""),
        |folder| folder.touch("a", 1),
        |folder| fs::remove_file(folder.at("a")).expect("removed"),
        |folder| {
            folder.write("new", "one");
            fs::rename(folder.at("new"), folder.at("a")).expect("replaced");
        },
    ];
    for edit in edits {
        let folder = folder();
        let context = folder.context();
        edit(&folder);
        let error = read(context.archive(BTreeMap::new())).await.expect_err("it ends");
        let message = format!("`{}` changed while the context was read", folder.at("a").display());
        assert_eq!((error.kind(), error.message()), (ErrorKind::ImageTree, message.as_str()));
        assert_eq!(error.hint(), Some("build again when nothing writes to it, or name it in `.dockerignore`"));
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_ends_it() {
    let edits: [fn(&mut File); 3] = [
        |file| file.set_len(100).expect("shorter"),
        |file| file.set_len(100 << 20).expect("longer"),
        |file| file.write_all(b"other").expect("written"),
    ];
    for edit in edits {
        let folder = folder();
        fs::write(folder.at("a"), bytes(40 * PIECE)).expect("written");
        let mut archive = folder.context().archive(BTreeMap::new());
        archive.next().await.expect("a piece").expect("a piece");
        // The thread is a few pieces ahead, in the middle of the file.
        edit(&mut File::options().write(true).open(folder.at("a")).expect("a file"));
        let error = read(archive).await.expect_err("it ends");
        let message = format!("`{}` changed while the context was read", folder.at("a").display());
        assert_eq!((error.kind(), error.message()), (ErrorKind::ImageTree, message.as_str()));
    }
}

#[tokio::test]
async fn another_name_of_a_file_does_not_end_it() {
    let folder = folder();
    let context = folder.context();
    fs::hard_link(folder.at("a"), folder.at("d")).expect("a second name");
    packed(&context).await;
}

#[tokio::test]
async fn the_thread_ends_with_the_stream() {
    let folder = folder();
    fs::write(folder.at("a"), bytes(40 * PIECE)).expect("written");
    let context = folder.context();
    let mut archive = context.archive(BTreeMap::new());
    archive.next().await.expect("a piece").expect("a piece");
    assert_eq!(Arc::strong_count(&context.entries), 2);
    drop(archive);
    let is_over = (0..10_000).any(|_| {
        std::thread::park_timeout(Duration::from_millis(1));
        Arc::strong_count(&context.entries) == 1
    });
    assert!(is_over, "the thread holds the entries");
}
