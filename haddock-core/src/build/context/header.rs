//! The headers of the archive: GNU's tar format, which engines read, with names of any length and in any bytes.

use tar::{EntryType, Header};

use super::entry::{Content, Entry};

/// What the archive has before the content of this entry: one header, or more if a name is long.
pub(super) fn headers(entry: &Entry) -> Vec<u8> {
    let (kind, size) = match &entry.content {
        Content::Folder => (EntryType::Directory, 0),
        Content::Fifo => (EntryType::Fifo, 0),
        Content::Link(_) => (EntryType::Symlink, 0),
        Content::File { stamp, .. } => (EntryType::Regular, stamp.size),
        Content::Text(text) => (EntryType::Regular, text.len() as u64),
    };
    let mut written = Vec::new();
    let mut header = header(kind, size);
    header.set_mode(entry.mode);
    header.set_mtime(entry.mtime);
    let mut name = entry.path.clone();
    if entry.content == Content::Folder {
        name.push(b'/');
    }
    if let Some(gnu) = header.as_gnu_mut() {
        if let Content::Link(target) = &entry.content {
            set_name(&mut gnu.linkname, target, EntryType::GNULongLink, &mut written);
        }
        set_name(&mut gnu.name, &name, EntryType::GNULongName, &mut written);
    }
    header.set_cksum();
    written.extend_from_slice(header.as_bytes());
    written
}

/// The number of zeros after a content of this size.
pub(super) fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0)
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Writes a name into its field. If it is too long for that, the whole name is written before as an entry of its own.
fn set_name(field: &mut [u8; 100], name: &[u8], long: EntryType, written: &mut Vec<u8>) {
    let fits = name.len().min(field.len());
    field[..fits].copy_from_slice(&name[..fits]);
    if fits == name.len() {
        return;
    }
    let size = name.len() as u64 + 1;
    let mut header = header(long, size);
    if let Some(gnu) = header.as_gnu_mut() {
        let own = b"././@LongLink";
        gnu.name[..own.len()].copy_from_slice(own);
    }
    header.set_cksum();
    written.extend_from_slice(header.as_bytes());
    written.extend_from_slice(name);
    written.resize(written.len() + 1 + padding(size), 0);
}
