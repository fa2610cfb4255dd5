//! Whether files differ from the commit.

use std::ops::ControlFlow;

use gix::status::Submodule;
use gix::status::index_worktree::Item;
use gix::status::plumbing::index_as_worktree::{Change, EntryStatus};
use gix::status::tree_index::TrackRenames;
use gix::worktree::stack::state::attributes::Source;

/// Whether a file that git knows differs from the commit, staged or not, as `git describe --dirty` has it. Files that
/// git does not know do not count.
///
/// Not by [`gix::Repository::is_dirty`]: it ends at the first error, and then says that nothing differs.
pub(super) fn is_dirty(repository: &gix::Repository) -> Result<bool, gix::Error> {
    Ok(is_staged(repository)? || is_changed(repository)?)
}

fn is_staged(repository: &gix::Repository) -> Result<bool, gix::Error> {
    let index = repository.index_or_empty()?;
    // The whole repository, and not only what is below the working directory of this process.
    let mut everything = repository.pathspec(false, None::<&str>, false, &index, Source::IdMapping)?;
    let tree = repository.head_tree_id_or_empty()?;
    let mut staged = false;
    repository.tree_index_status(&tree, &index, Some(&mut everything), TrackRenames::Disabled, |_, _, _| {
        staged = true;
        Ok::<_, gix::Error>(ControlFlow::Break(()))
    })?;
    Ok(staged)
}

fn is_changed(repository: &gix::Repository) -> Result<bool, gix::Error> {
    let items = repository
        .status(gix::progress::Discard)?
        .index_worktree_rewrites(None)
        // Not `check_dirty`: it looks only at the first change, which may be a file that git does not know.
        .index_worktree_submodules(Submodule::AsConfigured { check_dirty: false })
        .index_worktree_options_mut(|options| options.dirwalk_options = None)
        .into_index_worktree_iter(Vec::new())?;
    for item in items {
        if differs(&item?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn differs(item: &Item) -> bool {
    match item {
        Item::DirectoryContents { .. } | Item::Modification { status: EntryStatus::NeedsUpdate(_), .. } => false,
        Item::Modification { status: EntryStatus::Change(Change::SubmoduleModification(module)), .. } => {
            module.index_id != module.checked_out_head_id
                || module.changes.iter().flatten().any(|change| match change {
                    gix::status::Item::IndexWorktree(item) => differs(item),
                    gix::status::Item::TreeIndex(_) => true,
                })
        }
        Item::Modification { .. } | Item::Rewrite { .. } => true,
    }
}
