//! The compose file: reading, filling in variables, checking.
//!
//! ```text
//!   texts ──yaml──▶ keys and values with places ──load──▶ one tree ──reader──▶ drafts ──resolve──▶ EnvironmentSpec
//!                                                  ▲                                        │
//!   variables (release, caller, .env), `extends`, ─┘                                        └──▶ reasons, notes
//!   `include`, several files
//! ```
//!
//! Standard keys mean what the Compose Specification says. A key that is known but not supported yet is an error of its
//! own kind ([`NotSupported`](crate::ErrorKind::NotSupported)). An unknown key is a mistake
//! ([`ComposeFile`](crate::ErrorKind::ComposeFile)). No key is silently ignored. Every error names file, line, column
//! and the path of keys, and none holds the value of a variable. The page for users is
//! `docs/reference/compose-file.md`.
//!
//! Where a new key goes:
//!
//! - Of `x-haddock`: it is listed in `keys`, read in `x_haddock`, described in `schema` and on the page for users, and kept
//!   in [`ServiceSettings`](crate::environment::ServiceSettings).
//! - Under `session`: it is read in `session`, and in place of the latter it is kept in [`SessionPolicy`](crate::routing::SessionPolicy). An attribute
//!   of the cookie is in [`CookiePolicy`](crate::routing::CookiePolicy); `locator/gateway/cookie` writes it, and
//!   `_ports.py` of the Python package has it, too.
//! - Of a component: it is listed in `keys`, and read in `service` or, if it becomes an option of the container, in
//!   `options`.
//!
//! ```
//! use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
//!
//! let file = ComposeFile::parse("accounting/compose.yaml", r#"
//! services:
//!   oracle: { image: "registry.local:5000/oracle-xe:sl" }
//!   accounting:
//!     image: "registry.local:5000/accounting:${TAG}"
//!     links: [oracle]
//!     ports: ["8080"]
//! "#)?;
//! let resolved = file.resolve(&ResolveOptions { tag: Some("main-3f2a1bc".into()), ..ResolveOptions::default() })?;
//! let component = &resolved.spec.components["accounting"];
//! assert_eq!(component.image.tag(), Some("main-3f2a1bc"));
//! assert!(component.versioned);
//! assert_eq!(resolved.reasons["oracle"].to_string(), "shared: its image is the same in every release, and so are those it links to");
//! assert_eq!(resolved.spec.entry().map(|entry| entry.port), Some(8080));
//! # Ok::<(), haddock_core::Error>(())
//! ```

mod build;
mod canonical;
mod classify;
mod components;
mod declared;
mod dotenv;
mod file;
mod fill;
mod fit;
mod follow;
mod gate;
mod gpus;
mod guard;
mod health;
mod hidden;
mod hooks;
mod injected;
mod keys;
mod load;
mod merge;
mod mounts;
mod networks;
mod number;
mod options;
mod origin;
mod pairs;
mod ports;
mod ramp;
mod reader;
mod relations;
mod resolve;
mod resolve_options;
mod schema;
mod service;
mod session;
mod settings_values;
mod source_file;
mod template;
mod tree;
mod values;
mod variables;
mod words;
mod written;
mod x_haddock;
mod yaml;

pub use canonical::{Values, canonical, to_yaml};
pub use classify::Reason;
pub use file::ComposeFile;
pub use reader::Note;
pub use resolve::Resolved;
pub use resolve_options::{Purpose, ResolveOptions};
pub use schema::schema;
#[cfg(feature = "controller")]
pub(crate) use template::values_in;
pub use variables::Variables;
pub(crate) use written::RAMP_PATH;
