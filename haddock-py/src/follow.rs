//! Continuous releases.

use std::path::PathBuf;
use std::sync::Arc;

use haddock_core::controller::FollowSummary;
use haddock_core::environment::compose::Purpose;
use haddock_core::follow::{Follower, Naming};
use haddock_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::compose::{self, Options};
use crate::house::House;

/// A follower of the registry that the runtime pulls from, for this compose file.
pub(crate) fn follower(house: &House, files: Option<Vec<PathBuf>>, options: Options) -> Result<Follower> {
    let registry = house.registry().ok_or_else(|| {
        Error::new(ErrorKind::NotSupported, "this runtime has no registry whose tags could be followed")
            .with_hint("use Docker")
    })?;
    let read = move |naming: &Naming| {
        let mut options = options.clone();
        options.tag = Some(naming.tag.clone());
        let images = naming.images.iter().map(|(name, image)| (name.to_string(), image.to_string()));
        options.images.extend(images);
        Ok(compose::resolve(files.as_deref(), &options, Purpose::Release)?.resolved.spec)
    };
    Ok(Follower::new(house.controller(), registry, Arc::new(read)))
}

/// What comes next, as plain data.
pub(crate) async fn outlook(mut follower: Follower) -> Result<Value> {
    let look = follower.look_only().await?;
    Ok(json!({ "service": look.service, "follow": FollowSummary::from(&look.outlook) }))
}
