//! The crate's source, file by file: which items a file defines, and which paths it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path, such as `crate::name::ServiceName`, by its segments.
pub(crate) type Segments = Vec<String>;

/// A source file, without comments and unit tests.
pub(crate) struct File {
    /// Its path below `src`.
    pub(crate) name: String,
    /// The path of its module below the crate; empty for `lib.rs`.
    pub(crate) module: Segments,
    /// The code as text.
    pub(crate) code: String,
    /// The names of the items in it.
    defines: BTreeSet<String>,
    /// What its `use` declarations bring in, by the name that it has here.
    imports: BTreeMap<String, Segments>,
    /// The modules all of whose items it brings in.
    globs: Vec<Segments>,
    /// Every word in it, but for those of its `use` declarations.
    words: BTreeSet<String>,
    /// What it re-exports, by name.
    reexports: BTreeMap<String, Segments>,
    /// Every path in it, those of its `use` declarations too. What it only re-exports is not among them.
    pub(crate) paths: Vec<Segments>,
}

/// The source of this crate.
pub(crate) static SOURCE: LazyLock<Source> = LazyLock::new(Source::read);

/// All files of the crate.
pub(crate) struct Source {
    pub(crate) files: Vec<File>,
    by_module: BTreeMap<Segments, usize>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

impl Source {
    pub(crate) fn read() -> Self {
        let mut found = Vec::new();
        walk(&root(), &mut found);
        // Unit tests with a file of their own may name whatever they need.
        found.retain(|path| !path.to_string_lossy().ends_with("_tests.rs"));
        let files: Vec<File> = found.iter().map(|path| File::read(path)).collect();
        let by_module = files.iter().enumerate().map(|(index, file)| (file.module.clone(), index)).collect();
        Self { files, by_module }
    }

    /// The file that defines the item that `path` names in `file`. `None` if it is of another crate, or only a module.
    pub(crate) fn definition(&self, file: &File, path: &[String]) -> Option<usize> {
        self.resolve(file, path, 0)
    }

    /// The path from the root of the crate. `None` if it is of another crate.
    pub(crate) fn absolute(&self, file: &File, path: &[String]) -> Option<Segments> {
        let (first, rest) = path.split_first()?;
        let mut module = file.module.clone();
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => module.extend_from_slice(rest),
            "super" => {
                let supers = path.iter().take_while(|segment| *segment == "super").count();
                module.truncate(module.len().saturating_sub(supers));
                module.extend_from_slice(&path[supers..]);
            }
            child => {
                module.push(child.to_owned());
                if self.by_module.contains_key(&module) {
                    module.extend_from_slice(rest);
                } else {
                    let mut imported = file.imports.get(child)?.clone();
                    if imported.first()? == child {
                        return None;
                    }
                    imported.extend_from_slice(rest);
                    return self.absolute(file, &imported);
                }
            }
        }
        Some(module)
    }

    fn resolve(&self, file: &File, path: &[String], depth: usize) -> Option<usize> {
        if depth > 8 {
            return None;
        }
        let path = self.absolute(file, path)?;
        // The longest part of the path that is a module; the segment after it is the item.
        let modules = (0..path.len()).rev().find(|count| self.by_module.contains_key(&path[..*count]))?;
        let index = self.by_module[&path[..modules]];
        let (home, item) = (&self.files[index], &path[modules]);
        if home.defines.contains(item) {
            return Some(index);
        }
        if let Some(imported) = home.imports.get(item)
            && let Some(found) = self.resolve(home, imported, depth + 1)
        {
            return Some(found);
        }
        home.globs.iter().find_map(|glob| {
            let path: Segments = glob.iter().chain([item]).cloned().collect();
            self.resolve(home, &path, depth + 1)
        })
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

impl File {
    fn read(path: &Path) -> Self {
        let name = path.strip_prefix(root()).expect("below").to_string_lossy().into_owned();
        let mut module: Segments = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        let text = fs::read_to_string(path).expect("readable");
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (defines, code, paths) = (BTreeSet::new(), code_of(&text), Vec::new());
        let mut file = Self {
            name,
            module,
            code,
            defines,
            imports: BTreeMap::new(),
            globs: Vec::new(),
            words: BTreeSet::new(),
            reexports: BTreeMap::new(),
            paths,
        };
        for item in items(tokens) {
            file.add(&item);
        }
        let used = file.reexports.iter().filter(|(name, _)| file.words.contains(*name));
        file.paths.extend(used.map(|(_, path)| path.clone()));
        file
    }

    fn add(&mut self, item: &[TokenTree]) {
        let words: Vec<String> = item.iter().map(ToString::to_string).collect();
        let kinds = ["fn", "struct", "enum", "trait", "union", "type", "const", "static", "macro_rules", "mod"];
        // `const fn` and `macro_rules!`: the name is further on.
        let position =
            words.iter().position(|word| kinds.contains(&word.as_str()) || ["use", "impl"].contains(&&**word));
        if let Some(at) = position
            && kinds.contains(&words[at].as_str())
        {
            let between = ["fn", "mut", "async", "unsafe", "!"];
            let name = words[at + 1..].iter().find(|word| !between.contains(&word.as_str()));
            // A module with a file of its own is no item of this one.
            if words[at] != "mod" || words.last().is_some_and(|last| last != ";") {
                self.defines.extend(name.cloned());
            }
        }
        let (paths, imports) = (self.paths.len(), std::mem::take(&mut self.imports));
        self.paths_of(item);
        if words[0] == "pub" && position.is_some_and(|at| words[at] == "use") {
            self.paths.truncate(paths);
            self.reexports.extend(self.imports.clone());
        }
        self.imports.extend(imports);
    }

    fn paths_of(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if word == "use" => {
                    at = self.tree(tokens, at + 1, &Vec::new());
                    continue;
                }
                TokenTree::Ident(_) => {
                    let (path, next) = path_at(tokens, at);
                    self.words.extend(path.first().cloned());
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                    at = next;
                    continue;
                }
                TokenTree::Group(group) => self.paths_of(&without_tests(group.stream())),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads a tree of `use` that begins there, below `prefix`; answers with the position after it.
    fn tree(&mut self, tokens: &[TokenTree], begin: usize, prefix: &Segments) -> usize {
        let (path, mut at) = path_at(tokens, begin);
        let path: Segments = prefix.iter().cloned().chain(path).collect();
        match tokens.get(at) {
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                self.globs.push(path);
                return at + 1;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut within = 0;
                while within < inner.len() {
                    within = self.tree(&inner, within, &path).max(within + 1);
                }
                return at + 1;
            }
            _ => {}
        }
        let mut path = path;
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let mut alias = path.last().cloned().unwrap_or_default();
        if let (Some(TokenTree::Ident(word)), Some(name)) = (tokens.get(at), tokens.get(at + 1))
            && word == "as"
        {
            alias = name.to_string();
            at += 2;
        }
        if !path.is_empty() {
            self.imports.insert(alias, path.clone());
            self.paths.push(path);
        }
        at
    }
}

/// The path that begins there, and the position after it and the `::` that may follow it.
fn path_at(tokens: &[TokenTree], mut at: usize) -> (Segments, usize) {
    let mut path = Segments::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        at += 1;
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        if !(colon(at) && colon(at + 1)) {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// Whether an attribute is `cfg(test)`, or `cfg(all(test, …))`.
fn is_for_tests(attribute: &str) -> bool {
    let attribute = attribute.replace(' ', "");
    attribute == "[cfg(test)]" || attribute.starts_with("[cfg(all(test,")
}

/// The items of a file, without those for tests alone.
fn items(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let (mut items, mut item, mut is_test) = (Vec::new(), Vec::new(), false);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if item.is_empty() && matches!(&token, TokenTree::Punct(hash) if hash.as_char() == '#') {
            tokens.next_if(|bang| matches!(bang, TokenTree::Punct(_)));
            let attribute = tokens.next().map(|it| it.to_string()).unwrap_or_default();
            is_test |= is_for_tests(&attribute);
            continue;
        }
        let ends = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let word =
                    |word: &str| item.iter().any(|it: &TokenTree| matches!(it, TokenTree::Ident(it) if it == word));
                let value = word("use") || word("static") || word("type") || (word("const") && !word("fn"));
                !value || word("impl") || word("trait")
            }
            _ => false,
        };
        item.push(token);
        if ends {
            let whole = std::mem::take(&mut item);
            if !std::mem::take(&mut is_test) {
                items.push(whole);
            }
        }
    }
    items
}

/// The tokens of a group, without the items in it that are for tests alone.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let all: Vec<TokenTree> = tokens.into_iter().collect();
    let is_cfg_test = |at: usize| {
        matches!(&all[at], TokenTree::Punct(hash) if hash.as_char() == '#')
            && all.get(at + 1).is_some_and(|it| is_for_tests(&it.to_string()))
    };
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < all.len() {
        if is_cfg_test(at) {
            let ends = |it: &TokenTree| match it {
                TokenTree::Punct(punct) => punct.as_char() == ';' || punct.as_char() == ',',
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                _ => false,
            };
            at += 2;
            while at < all.len() && !ends(&all[at]) {
                at += 1;
            }
        } else {
            kept.push(all[at].clone());
        }
        at += 1;
    }
    kept
}

/// The code without comments and without its unit tests.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}
