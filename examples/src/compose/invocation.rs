//! How people call Compose: in which folder, with which files, profiles, variables and files of variables.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Resolved, Variables};
use haddock_core::{Error, Result};
use serde::Deserialize;

/// A call of Compose as a project's documentation gives it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Invocation {
    /// What it is called.
    pub label: String,
    /// The working folder, below the folder of the project.
    pub sub: PathBuf,
    /// `-f`; none: those that Compose finds.
    pub files: Vec<PathBuf>,
    /// `--profile`.
    pub profiles: Vec<String>,
    /// What the caller's environment has besides.
    pub env: BTreeMap<String, String>,
    /// `--env-file`.
    pub envfiles: Vec<PathBuf>,
    /// The working folder, absolute.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Invocation {
    /// The name of the file that lists a project's invocations.
    pub const FILE: &str = "invocations.json";

    /// A file that stands for itself.
    #[must_use]
    pub fn of_file(file: &Path) -> Self {
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        Self { label: name.display().to_string(), files: vec![name], folder, ..Self::default() }
    }

    /// Those that the folder's list has; `None` if it has no list.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn of_folder(folder: &Path) -> io::Result<Option<Vec<Self>>> {
        let text = match std::fs::read_to_string(folder.join(Self::FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let read: Vec<Self> = serde_json::from_str(&text).map_err(io::Error::other)?;
        // To join an empty path would put a `/` at the end.
        let placed = read.into_iter().map(|it| Self { folder: folder.join(&it.sub).components().collect(), ..it });
        Ok(Some(placed.collect()))
    }

    /// From a command line such as `docker compose -f compose.yaml -f over.yaml config`.
    #[must_use]
    pub fn of_line(folder: &Path, line: &str) -> Self {
        let mut read = Self { folder: folder.to_path_buf(), ..Self::default() };
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "-f" | "--file" => read.files.extend(words.next().map(PathBuf::from)),
                "--env-file" => read.envfiles.extend(words.next().map(PathBuf::from)),
                "--profile" => read.profiles.extend(words.next().map(str::to_owned)),
                _ => {}
            }
        }
        read
    }

    /// What is said to Compose before its command.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let paths = |option: &str, paths: &[PathBuf]| -> Vec<String> {
            paths.iter().flat_map(|path| [option.to_owned(), path.display().to_string()]).collect()
        };
        let profiles = self.profiles.iter().flat_map(|profile| ["--profile".to_owned(), profile.clone()]);
        let files = paths("-f", &self.files).into_iter().chain(paths("--env-file", &self.envfiles));
        files.chain(profiles).collect()
    }

    /// What it is shown as.
    #[must_use]
    pub fn shown(&self) -> String {
        let words = self.arguments().join(" ");
        let label = if self.label.is_empty() || words.ends_with(&self.label) { "" } else { &self.label };
        [self.sub.display().to_string(), label.to_owned(), words]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What Haddock makes of it.
    ///
    /// # Errors
    /// Haddock's refusal, all that is wrong; at least one.
    pub fn resolve(&self) -> std::result::Result<Resolved, Vec<Error>> {
        let found = self.found().map_err(|error| vec![error])?;
        found.0.check(&found.1)
    }

    fn found(&self) -> Result<(ComposeFile, ResolveOptions)> {
        let mut variables = Variables::of_process();
        variables.set("PWD", self.folder.display().to_string());
        self.env.iter().for_each(|(name, value)| variables.set(name, value));
        let options = ResolveOptions {
            variables,
            env_files: self.envfiles.iter().map(|path| self.folder.join(path)).collect(),
            profiles: self.profiles.iter().cloned().collect(),
            ..ResolveOptions::default()
        };
        let paths: Vec<PathBuf> = self.files.iter().map(|path| self.folder.join(path)).collect();
        let file = match paths.is_empty() {
            true => ComposeFile::find(&self.folder, &options.variables)?,
            false => ComposeFile::read_all(&paths)?,
        };
        Ok((file, options))
    }
}
