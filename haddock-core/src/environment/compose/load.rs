//! Makes one tree from all files: fills in variables, follows `include` and `extends`, and merges.
//!
//! The order is that of Compose. For each file, its variables are filled in. Then it is merged over the files that it
//! includes, and each of its components over the one that it extends. Then it is merged over the files before it. Each
//! document of a file counts as a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dotenv;
use super::file::{ComposeFile, Files};
use super::fill::fill;
use super::hidden::{OverriddenText, hidden, watched};
use super::keys::nearest;
use super::merge::{Mismatch, merge, without_resets};
use super::reader::listed;
use super::source_file::SourceFile;
use super::tree::{Key, Mark, Node, Value};
use super::variables::Variables;
use super::yaml;
use crate::error::{Error, ErrorKind, Result};

/// How deep files may include or extend each other.
const MAX_FILE_DEPTH: usize = 32;

/// All files in one tree.
pub(super) struct Loaded {
    pub(super) tree: Node,
    /// The files that were read. A mark holds the index of its file.
    pub(super) origins: Vec<SourceFile>,
    /// Texts that are not in the tree, because another file overrides them. Compose reads them nevertheless.
    pub(super) hidden: Vec<OverriddenText>,
}

/// Reads what the files include and extend, and merges all.
pub(super) fn load(file: &ComposeFile, variables: &Variables) -> Result<Loaded> {
    let variables = Arc::new(variables.clone());
    let origin = |name: &String| SourceFile {
        name: name.clone(),
        directory: file.directory.clone(),
        project: file.directory.clone(),
        variables: Arc::clone(&variables),
    };
    let origins = file.sources.iter().map(|source| origin(&source.name)).collect();
    let mut loader = Loader { files: &*file.files, origins, depth: 0, watched: Vec::new() };
    let trees = file.sources.iter().flat_map(|source| source.trees.iter().cloned()).collect();
    let tree = loader.model(trees)?;
    let hidden = hidden(loader.watched, &tree);
    Ok(Loaded { tree, origins: loader.origins, hidden })
}

struct Loader<'f> {
    files: &'f dyn Files,
    origins: Vec<SourceFile>,
    depth: usize,
    /// The texts of each file that may be wrong by themselves.
    watched: Vec<OverriddenText>,
}

impl Loader<'_> {
    /// One tree from files that are merged in this order.
    fn model(&mut self, trees: Vec<Node>) -> Result<Node> {
        let mut merged: Option<Node> = None;
        for tree in trees {
            let variables = Arc::clone(&self.origins[tree.at.file].variables);
            let mut tree = fill(tree, &variables);
            watched(&tree, false, &mut self.watched);
            let included = self.included(&mut tree)?;
            let tree = match self.together(included)? {
                Some(included) => self.put_over(included, tree, &mut Vec::new())?,
                None => tree,
            };
            let tree = self.extended(tree)?;
            merged = Some(match merged {
                Some(base) => self.put_over(base, tree, &mut Vec::new())?,
                None => tree,
            });
        }
        Ok(without_resets(merged.expect("there is at least one file")))
    }

    fn error(&self, at: Mark, path: &str, error: Error) -> Error {
        error.at(at.place(&self.origins[at.file].name, path))
    }

    fn wrong(&self, at: Mark, path: &str, message: impl Into<String>, hint: impl Into<String>) -> Error {
        self.error(at, path, Error::new(ErrorKind::ComposeFile, message).with_hint(hint))
    }

    fn put_over(&self, base: Node, over: Node, path: &mut Vec<String>) -> Result<Node> {
        merge(base, over, path).map_err(|Mismatch { at, path }| {
            let key = path.rsplit('.').next().unwrap_or_default().to_owned();
            let message = format!("`{key}` has another form here than in what it is merged with");
            self.wrong(at, &path, message, "write it in the same form, or as `!override`")
        })
    }

    /// Reads a further file. Its texts are not filled in.
    fn read(
        &mut self,
        from: Mark,
        key: &str,
        path: &Path,
        directory: Option<PathBuf>,
        variables: Arc<Variables>,
    ) -> Result<Vec<Node>> {
        let at = |error: Error| if error.place().is_none() { self.error(from, key, error) } else { error };
        let Some(text) = self.files.read(path).map_err(at)? else {
            let message = format!("file `{}` does not exist", self.shown(path));
            let hint = "correct the path, which starts at the directory of the compose file";
            return Err(self.error(from, key, Error::new(ErrorKind::NotFound, message).with_hint(hint)));
        };
        let name = self.shown(path);
        let project = directory.clone().unwrap_or_else(|| self.origins[from.file].project.clone());
        let directory = directory.or_else(|| path.parent().map(Path::to_path_buf)).unwrap_or_default();
        let trees = yaml::parse(self.origins.len(), &name, &text)?;
        self.origins.push(SourceFile { name, directory, project, variables });
        Ok(trees)
    }

    /// A path as messages show it: relative to the directory of the first file, if it is in there.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.origins[0].directory).unwrap_or(path).display().to_string()
    }

    fn deeper<T>(&mut self, at: Mark, path: &str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_FILE_DEPTH {
            let message = format!("files include or extend each other more than {MAX_FILE_DEPTH} deep");
            return Err(self.wrong(at, path, message, "look for a circle"));
        }
        self.depth += 1;
        let done = work(self);
        self.depth -= 1;
        done
    }

    /// The file, with each component merged over the one that it extends.
    fn extended(&mut self, mut tree: Node) -> Result<Node> {
        let Some(services) = tree.get("services") else { return Ok(tree) };
        let Value::Map(entries) = &services.value else { return Ok(tree) };
        if entries.iter().all(|(_, node)| node.get("extends").is_none()) {
            return Ok(tree);
        }
        let names: Vec<Key> = entries.iter().map(|(key, _)| key.clone()).collect();
        let original = services.clone();
        for name in names {
            let done = self.component(&original, &name.text, name.at)?;
            if let Some(node) = tree.get_mut("services").and_then(|services| services.get_mut(&name.text)) {
                *node = done;
            }
        }
        Ok(tree)
    }

    /// A component, merged over the one that it extends.
    fn component(&mut self, services: &Node, name: &str, asked: Mark) -> Result<Node> {
        let path = format!("services.{name}");
        let Some(node) = services.get(name) else {
            let known: Vec<&str> = match &services.value {
                Value::Map(entries) => entries.iter().map(|(key, _)| key.text.as_str()).collect(),
                _ => Vec::new(),
            };
            let hint = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the components are {}", listed(known)),
            };
            return Err(self.wrong(asked, "extends", format!("there is no component `{name}` to extend"), hint));
        };
        let Some(extends) = node.get("extends").cloned() else { return Ok(node.clone()) };
        let key = format!("{path}.extends");
        let (service, file) = match &extends.value {
            Value::Scalar(_) => (Some(&extends), None),
            Value::Map(_) => (extends.get("service"), extends.get("file")),
            _ => (None, None),
        };
        let Some(base_name) = service.and_then(Node::scalar) else {
            let hint = "write `extends: { service: name }`, with `file: path` if it is in another file";
            return Err(self.wrong(extends.at, &key, "`extends` names no component", hint));
        };
        let base = self.deeper(extends.at, &key, |loader| match file.and_then(Node::scalar) {
            None => loader.component(services, base_name, extends.at),
            Some(file) => {
                let origin = loader.origins[extends.at.file].clone();
                let path = origin.directory.join(file);
                let trees = loader.read(extends.at, &key, &path, None, Arc::clone(&origin.variables))?;
                let trees: Vec<Node> = trees.into_iter().map(|tree| fill(tree, &origin.variables)).collect();
                trees.iter().for_each(|tree| watched(tree, true, &mut loader.watched));
                let mut trees = trees.into_iter();
                let first = trees.next().expect("there is at least one document");
                let read = trees.try_fold(first, |base, over| loader.put_over(base, over, &mut Vec::new()))?;
                let nothing = Node::new(read.at, Value::Map(Vec::new()));
                let services = read.get("services").unwrap_or(&nothing);
                loader.component(services, base_name, extends.at)
            }
        })?;
        let mut own = node.clone();
        own.remove("extends");
        let mut path = vec!["services".to_owned(), name.to_owned()];
        Ok(without_resets(self.put_over(base, own, &mut path)?))
    }

    /// Takes `include` out of the file, and reads what it names.
    fn included(&mut self, tree: &mut Node) -> Result<Vec<Node>> {
        let Some(include) = tree.remove("include") else { return Ok(Vec::new()) };
        if let Value::Null = include.value {
            return Ok(Vec::new());
        }
        let Value::List(items) = &include.value else {
            let hint = "write `include: [path]`";
            return Err(self.wrong(include.at, "include", "`include` is no list", hint));
        };
        let mut models = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = format!("include[{index}]");
            models.push(self.deeper(item.at, &key, |loader| loader.include(item, &key))?);
        }
        Ok(models)
    }

    fn include(&mut self, item: &Node, key: &str) -> Result<Node> {
        let origin = self.origins[item.at.file].clone();
        let texts = |node: Option<&Node>| -> Vec<String> {
            match node.map(|node| &node.value) {
                Some(Value::Scalar(scalar)) => vec![scalar.text.clone()],
                Some(Value::List(items)) => items.iter().filter_map(Node::scalar).map(str::to_owned).collect(),
                _ => Vec::new(),
            }
        };
        if let Value::Map(entries) = &item.value {
            let known = ["path", "project_directory", "env_file"];
            if let Some((unknown, _)) = entries.iter().find(|(key, _)| !known.contains(&key.text.as_str())) {
                let message = format!("`{}` is not a key of an entry of `include`", unknown.text);
                return Err(self.wrong(unknown.at, key, message, format!("the keys here are {}", listed(known))));
            }
        }
        let paths = match &item.value {
            Value::Map(_) => texts(item.get("path")),
            _ => texts(Some(item)),
        };
        let Some(first) = paths.first() else {
            let hint = "write `- path`, or `- path: [first, second]`";
            return Err(self.wrong(item.at, key, "the entry of `include` names no file", hint));
        };
        let first = origin.directory.join(first);
        let directory = match item.get("project_directory").and_then(Node::scalar) {
            // If the directory does not exist, Compose takes the path for that of a file, and uses the directory of
            // that file.
            Some(directory) => {
                let directory = origin.directory.join(directory);
                match (self.files.is_directory(&directory), directory.parent()) {
                    (false, Some(parent)) => parent.to_path_buf(),
                    _ => directory,
                }
            }
            None => first.parent().map(Path::to_path_buf).unwrap_or_default(),
        };
        let variables = Arc::new(self.variables_of(item, key, &origin, &directory, &texts(item.get("env_file")))?);
        let mut trees = Vec::new();
        for path in &paths {
            let path = origin.directory.join(path);
            trees.append(&mut self.read(item.at, key, &path, Some(directory.clone()), Arc::clone(&variables))?);
        }
        let mut model = self.model(trees)?;
        // The including file gives the name of the whole.
        model.remove("name");
        model.remove("version");
        Ok(model)
    }

    /// The variables of an included file: those of its `env_file` or its own `.env`. The variables of the including
    /// file win.
    fn variables_of(
        &self,
        item: &Node,
        key: &str,
        origin: &SourceFile,
        directory: &Path,
        files: &[String],
    ) -> Result<Variables> {
        let mut variables = Variables::default();
        let outer = |name: &str| origin.variables.get(name).map(str::to_owned);
        let own = files.is_empty().then(|| directory.join(".env"));
        let paths: Vec<PathBuf> = own.into_iter().chain(files.iter().map(|file| origin.directory.join(file))).collect();
        for path in paths {
            let Some(text) = self.files.read(&path)? else {
                if files.is_empty() {
                    continue;
                }
                let message = format!("file `{}` of variables does not exist", self.shown(&path));
                let error = Error::new(ErrorKind::NotFound, message).with_hint("correct the path");
                return Err(self.error(item.at, key, error));
            };
            let read = dotenv::parse(&self.shown(&path), &text, &outer, &|_| None)?;
            read.iter().for_each(|(name, value)| variables.set(name, value.expose()));
        }
        origin.variables.iter().for_each(|(name, value)| variables.set(name, value.expose()));
        Ok(variables)
    }

    /// All included files in one tree. If two of them declare the same name differently, this is an error. In Compose
    /// the first one would win, which surprises people.
    fn together(&self, included: Vec<Node>) -> Result<Option<Node>> {
        let mut models = included.into_iter();
        let Some(mut tree) = models.next() else { return Ok(None) };
        for model in models {
            let Value::Map(sections) = model.value else { continue };
            for (section, node) in sections {
                let Some(mine) = tree.get_mut(&section.text) else {
                    tree.insert(section, node);
                    continue;
                };
                let Value::Map(entries) = node.value else { continue };
                if section.text.starts_with("x-") {
                    continue;
                }
                for (name, entry) in entries {
                    match mine.get(&name.text) {
                        None => mine.insert(name, entry),
                        Some(existing) if existing.same(&entry) => {}
                        Some(_) => {
                            let path = format!("{}.{}", section.text, name.text);
                            let message = format!("two included files declare `{}` differently", name.text);
                            let hint = "give one of them another name, or say it in the file that includes both";
                            let error = self.wrong(name.at, &path, message, hint);
                            return Err(error.stricter_than_compose("one of the two declarations"));
                        }
                    }
                }
            }
        }
        Ok(Some(tree))
    }
}
