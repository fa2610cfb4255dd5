//! Dockerfiles: which images from elsewhere a build needs.
//!
//! A [`Dockerfile`] is read as Docker reads it, with stages, arguments, here-documents, and another escape character.
//! Where BuildKit and the builder before it differ, BuildKit counts. `ONBUILD` counts where it runs, not where it stands.
//!
//! ```
//! use std::collections::BTreeMap;
//! use haddock_core::image::dockerfile::{Dockerfile, UsedBy};
//!
//! let text = "ARG JAVA=21\nFROM maven:3 AS build\nRUN mvn package\nFROM java:$JAVA\nCOPY --from=build /app.war /\n";
//! let file = Dockerfile::parse("shop/Dockerfile", text)?;
//! let args = BTreeMap::from([("JAVA".to_owned(), "25".to_owned())]);
//!
//! let uses = file.uses(&args, None)?;
//! assert_eq!(uses.iter().map(|used| used.image.as_str()).collect::<Vec<_>>(), ["maven:3", "java:25"]);
//! assert_eq!(uses[1].by, UsedBy::From);
//! assert_eq!(uses[1].place.to_string(), "shop/Dockerfile:4:6");
//! # Ok::<(), haddock_core::Error>(())
//! ```

mod expand;
mod heredoc;
mod parts;
mod pattern;
mod platform;
mod read;
mod uses;
mod words;

use std::collections::BTreeMap;

pub use parts::{ImageUse, UsedBy};
pub use platform::platform_args;

use crate::error::{Place, Result};
use parts::Parts;
use uses::Origin;

/// Arguments that builders take without `ARG`, from Docker's reference of the Dockerfile, "Predefined ARGs".
const KNOWN_ARGS: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH"];

/// A Dockerfile that has been read.
#[derive(Debug, Clone)]
pub struct Dockerfile(Parts);

impl Dockerfile {
    /// Reads a Dockerfile. `file` is its name for messages.
    ///
    /// # Errors
    /// [`ImageTree`](crate::ErrorKind::ImageTree) with the place of what Docker would refuse, too. The commands of steps
    /// are not looked at.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        read::read(file, text).map(Self)
    }

    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The images from elsewhere that a build needs, in order of the file, each as often as it is named. `target` is the
    /// stage that becomes the image, the last one if there is none. `args` are arguments of the build: `ARG` before the
    /// first `FROM` gives their defaults. The arguments for platforms, such as `TARGETARCH`, are those of this
    /// process unless `args` has them; see [`platform_args`].
    ///
    /// Only stages that the target needs count. The builder before BuildKit builds all stages up to the target, and
    /// may need more.
    ///
    /// # Errors
    /// [`ImageTree`](crate::ErrorKind::ImageTree) with the place: of an image or a platform that no argument gives, of
    /// something that is no image, or of stages that need each other in a circle; or if there is no such target.
    pub fn uses(&self, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<Vec<ImageUse>> {
        let resolved = self.0.resolved(args, target)?;
        let reached = self.0.reached(&resolved, target)?;
        let stages = resolved.iter().zip(reached).filter(|(_, reached)| *reached);
        let images = stages.flat_map(|(stage, _)| stage.images().cloned());
        images.map(|used| self.0.checked(used)).collect()
    }

    /// The image that the target stands on in the end; `None` if it begins with nothing (`FROM scratch`).
    ///
    /// # Errors
    /// As [`uses`](Self::uses).
    pub fn base(&self, args: &BTreeMap<String, String>, target: Option<&str>) -> Result<Option<ImageUse>> {
        let resolved = self.0.resolved(args, target)?;
        self.0.reached(&resolved, target)?;
        let mut number = self.0.target(target)?;
        loop {
            match resolved[number].base() {
                Origin::Scratch => return Ok(None),
                Origin::Image(used) => return self.0.checked(used.clone()).map(Some),
                // Always an earlier stage.
                Origin::Stage(base) => number = *base,
            }
        }
    }

    /// The same text with other images. `replace` gives the new text for an image, or `None` if it stays. It is asked for
    /// those of all stages. `FROM $X` becomes `FROM image`, and nothing else changes.
    ///
    /// # Errors
    /// As [`uses`](Self::uses).
    pub fn with_images(
        &self,
        args: &BTreeMap<String, String>,
        replace: &dyn Fn(&ImageUse) -> Option<String>,
    ) -> Result<String> {
        let resolved = self.0.resolved(args, None)?;
        let mut text = String::with_capacity(self.0.text.len());
        let mut end = 0;
        for used in resolved.iter().flat_map(|stage| stage.images()) {
            if let Some(image) = replace(used) {
                text.push_str(&self.0.text[end..used.span.start]);
                text.push_str(&image);
                end = used.span.end;
            }
        }
        text.push_str(&self.0.text[end..]);
        Ok(text)
    }

    /// Whether a build takes this argument: because an `ARG` declares it, or because builders know it without one, as
    /// those for proxies. `ONBUILD ARG` of the images that it stands on is not seen.
    #[must_use]
    pub fn takes_arg(&self, name: &str) -> bool {
        let is_known = name.starts_with("BUILDKIT_") || KNOWN_ARGS.contains(&name.to_ascii_uppercase().as_str());
        is_known || self.0.args.contains(name)
    }

    /// Whether a stage has this name. Upper and lower case are the same.
    #[must_use]
    pub fn has_stage(&self, name: &str) -> bool {
        self.0.stages.iter().any(|stage| stage.name.as_deref() == Some(&*name.to_lowercase()))
    }

    /// What only BuildKit can do, with the first place; `None` if every builder can build it.
    #[must_use]
    pub fn needs_buildkit(&self) -> Option<(String, Place)> {
        self.0.buildkit.clone()
    }
}

#[cfg(test)]
#[path = "dockerfile_tests.rs"]
mod tests;
