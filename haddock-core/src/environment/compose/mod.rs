//! The compose file: reading, filling in variables, checking.
//!
//! ```text
//!   texts ──yaml──▶ keys and values with places ──load──▶ one tree ──reader──▶ drafts ──resolve──▶ EnvironmentSpec
//!                                                  ▲                                        │
//!   variables (release, caller, .env), `extends`, ─┘                                        └──▶ reasons, notes
//!   `include`, several files
//! ```
//!
//! Standard keys mean what the Compose Specification says. A key that is known and not supported yet is an error of
//! its own kind ([`NotSupported`](crate::ErrorKind::NotSupported)), any other a mistake
//! ([`ComposeFile`](crate::ErrorKind::ComposeFile)); none is silently ignored. Every error has file, line, column and
//! the path of keys, and none has the value of a variable. The user's page is `docs/reference/compose-file.md`.
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
mod declared;
mod dotenv;
mod file;
mod fill;
mod fit;
mod gpus;
mod haddock;
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
mod reader;
mod relations;
mod resolve;
mod schema;
mod service;
mod template;
mod tree;
mod variables;
mod words;
mod written;
mod yaml;

pub use canonical::{Values, canonical, to_yaml};
pub use classify::Reason;
pub use file::ComposeFile;
pub use reader::Note;
pub use resolve::{Purpose, ResolveOptions, Resolved};
pub use schema::schema;
pub use variables::Variables;
