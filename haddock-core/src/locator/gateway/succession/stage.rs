//! Where a gateway is on its way to being replaced.

use std::path::Path;
use std::sync::Arc;

/// Whether a gateway decides where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::locator::gateway) enum Stage {
    /// It does.
    Serves,
    /// Another one is about to. Until it says that it does, requests wait.
    Passes,
    /// Another one does. It takes requests at this socket.
    Replaced(Arc<Path>),
}

impl Stage {
    pub(in crate::locator::gateway) fn is_replaced(&self) -> bool {
        matches!(self, Self::Replaced(_))
    }
}
