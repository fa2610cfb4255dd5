//! Files as they are in a commit.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::objs::tree::EntryKind;

use super::checkout::{open, unreadable};
use crate::error::{Error, ErrorKind, Result};

/// Writes all files of a commit into an empty folder, and returns the paths there of these files of the repository.
///
/// `commit` is a commit, a tag or a branch, as git takes it. The files are written as git keeps them: without filters.
/// Symbolic links that lead out of the folder are left out, and so is the content of submodules.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no such commit, or a file is not in the repository of the first.
/// [`NotSupported`](ErrorKind::NotSupported) if the repository cannot be read. [`Io`](ErrorKind::Io) if a file cannot be
/// written.
pub fn files_at(commit: &str, files: &[PathBuf], into: &Path) -> Result<Vec<PathBuf>> {
    let Some(first) = files.first() else { return Ok(Vec::new()) };
    let folder = folder_of(first);
    let found = open(&folder)?.and_then(|repository| {
        let root = fs::canonicalize(repository.workdir()?).ok()?;
        let id = repository.rev_parse_single(commit).ok()?;
        let tree = id.object().ok()?.peel_to_tree().ok()?.id;
        Some((repository, root, tree))
    });
    let Some((repository, root, tree)) = found else {
        let message = format!("git has no revision `{commit}` of `{}`", first.display());
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("name a commit, a tag or a branch"));
    };
    let inside = files.iter().map(|file| Ok(into.join(within(&root, file)?))).collect::<Result<_>>()?;
    let mut writing = Writing { repository: &repository, folder: &folder, into, links: Vec::new() };
    writing.tree(tree, Path::new(""))?;
    writing.links()?;
    Ok(inside)
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The file's path within the repository. The file itself need not exist any more.
fn within(root: &Path, file: &Path) -> Result<PathBuf> {
    let inside = fs::canonicalize(folder_of(file)).ok().and_then(|folder| {
        let inside = folder.strip_prefix(root).ok()?;
        Some(inside.join(file.file_name()?))
    });
    inside.ok_or_else(|| {
        let message = format!("`{}` is not in the repository `{}`", file.display(), root.display());
        Error::new(ErrorKind::NotFound, message).with_hint("name files of one repository")
    })
}

struct Writing<'a> {
    repository: &'a gix::Repository,
    folder: &'a Path,
    into: &'a Path,
    /// Links and their targets. They are made last, so that nothing is written through one.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Writing<'_> {
    fn tree(&mut self, tree: gix::ObjectId, at: &Path) -> Result<()> {
        let tree = self.repository.find_tree(tree).map_err(|error| self.unreadable(&error))?;
        for entry in tree.iter() {
            let entry = entry.map_err(|error| self.unreadable(&error))?;
            let name = gix::path::from_bstr(entry.filename());
            let name = name.map_err(|error| self.unreadable(&error))?;
            let mut components = name.components();
            if !matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)) {
                let message = format!("the commit has a file whose name is not one: `{}`", entry.filename());
                return Err(Error::new(ErrorKind::NotSupported, message));
            }
            let path = at.join(name);
            match entry.mode().kind() {
                EntryKind::Tree => {
                    self.written(&path, fs::create_dir(self.into.join(&path)))?;
                    self.tree(entry.object_id(), &path)?;
                }
                EntryKind::Commit => self.written(&path, fs::create_dir(self.into.join(&path)))?,
                EntryKind::Link => {
                    let target = self.content(entry.object_id())?;
                    self.links.push((path, PathBuf::from(target.to_os_str_lossy().into_owned())));
                }
                kind => {
                    let content = self.content(entry.object_id())?;
                    let written = write(&self.into.join(&path), &content, kind == EntryKind::BlobExecutable);
                    self.written(&path, written)?;
                }
            }
        }
        Ok(())
    }

    fn links(&self) -> Result<()> {
        for (path, target) in &self.links {
            if stays_inside(path, target) {
                self.written(path, symlink(target, self.into.join(path)))?;
            }
        }
        Ok(())
    }

    fn content(&self, id: gix::ObjectId) -> Result<Vec<u8>> {
        let mut object = self.repository.find_object(id).map_err(|error| self.unreadable(&error))?;
        Ok(std::mem::take(&mut object.data))
    }

    fn written(&self, path: &Path, result: io::Result<()>) -> Result<()> {
        result.map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", self.into.join(path).display());
            Error::new(ErrorKind::Io, message).with_hint("look whether the disk is full")
        })
    }

    fn unreadable(&self, error: &gix::Error) -> Error {
        unreadable(self.folder, error)
    }
}

fn write(path: &Path, content: &[u8], executable: bool) -> io::Result<()> {
    // Never over another file: names that differ in a commit may be the same on a disk.
    File::create_new(path)?.write_all(content)?;
    if executable { fs::set_permissions(path, Permissions::from_mode(0o755)) } else { Ok(()) }
}

/// Whether a link leads to a place within the folder. Its target may be a link, too, which then stays inside as well.
fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count() - 1;
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}
