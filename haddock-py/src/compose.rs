//! The compose file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{
    ComposeFile, Purpose, Reason, ResolveOptions, Resolved, Values, Variables, canonical, to_yaml,
};
use haddock_core::environment::{Build, Origin, PullPolicy};
use haddock_core::image::ImageReference;
use haddock_core::{ComponentName, EnvironmentName, Error, ErrorKind, Result, ServiceName};
use pyo3::prelude::*;
use serde_json::{Value, json};

/// The arguments of a release besides the file.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    pub(crate) tag: Option<String>,
    pub(crate) images: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    env_files: Vec<PathBuf>,
    profiles: BTreeSet<String>,
    /// What components with `build` are made from was built on this host, and no registry is asked for it.
    built: bool,
}

/// A compose file that was read and resolved.
pub(crate) struct Found {
    /// The path as messages show it.
    pub(crate) file: String,
    pub(crate) origin: Option<Origin>,
    pub(crate) resolved: Resolved,
}

/// The name and the path of the file.
pub(crate) fn name(files: Option<&[PathBuf]>, options: &Options) -> Result<(ServiceName, Option<Origin>)> {
    let (file, resolve) = read(files, options, Purpose::Environment)?;
    Ok((file.service_name(&resolve)?, file.origin()))
}

fn read(files: Option<&[PathBuf]>, options: &Options, purpose: Purpose) -> Result<(ComposeFile, ResolveOptions)> {
    let variables = Variables::of_process();
    let file = match files {
        Some(paths) => ComposeFile::read_all(paths)?,
        None => ComposeFile::find_with(Path::new("."), &variables, &options.env_files)?,
    };
    // As in Compose: relative to the caller's directory.
    let here = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let resolve = ResolveOptions {
        variables,
        tag: options.tag.clone(),
        release_variables: options.variables.clone(),
        images: BTreeMap::new(),
        env_files: options.env_files.iter().map(here).collect(),
        profiles: options.profiles.clone(),
        purpose,
        ..ResolveOptions::default()
    };
    Ok((file, resolve))
}

/// Reads the file, or the one that Compose would find, and resolves it for its service.
pub(crate) fn resolve(files: Option<&[PathBuf]>, options: &Options, purpose: Purpose) -> Result<Found> {
    resolve_as(files, options, purpose, None, &[])
}

/// The resolved file as Compose writes it: as YAML, or as JSON.
pub(crate) fn text(found: &Found, values: Values, yaml: bool) -> String {
    let form = canonical(&found.resolved.name, &found.resolved.spec, values);
    if yaml { to_yaml(&form) } else { format!("{form:#}\n") }
}

/// As [`resolve`], for an environment of that name with only these components; none: all.
pub(crate) fn resolve_as(
    files: Option<&[PathBuf]>,
    options: &Options,
    purpose: Purpose,
    name: Option<&EnvironmentName>,
    only: &[String],
) -> Result<Found> {
    let (file, mut resolve) = read(files, options, purpose)?;
    resolve.environment = name.cloned();
    resolve.only = only.iter().map(ComponentName::new).collect::<Result<_>>()?;
    let (mut tags, mut images) = (BTreeMap::new(), BTreeMap::new());
    for (name, image) in &options.images {
        let name = ComponentName::new(name)?;
        match image.strip_prefix(':') {
            Some(tag) => drop(tags.insert(name, tag)),
            None => drop(images.insert(name, image.parse::<ImageReference>()?)),
        }
    }
    resolve.images = images;
    if !tags.is_empty() {
        resolve.images.append(&mut retagged(&file, &resolve, &tags)?);
    }
    let mut resolved = file.resolve(&resolve)?;
    if options.built {
        let is_built = |name: &ComponentName, build: &Option<Build>| {
            build.is_some() && !options.images.contains_key(name.as_str())
        };
        let components = resolved.spec.components.iter_mut();
        let built = components.filter(|(name, component)| is_built(name, &component.build));
        built.for_each(|(_, component)| component.pull_policy = Some(PullPolicy::Build));
    }
    Ok(Found { file: file.name().to_owned(), origin: file.origin(), resolved })
}

/// The file's own repositories, with other tags.
fn retagged(
    file: &ComposeFile,
    options: &ResolveOptions,
    tags: &BTreeMap<ComponentName, &str>,
) -> Result<BTreeMap<ComponentName, ImageReference>> {
    let mut images = BTreeMap::new();
    for (name, tag) in tags {
        let own = ResolveOptions { tag: options.tag.clone().or(Some((*tag).to_owned())), ..options.clone() };
        let resolved = file.resolve(&own)?;
        let component = resolved.spec.components.get(name).ok_or_else(|| {
            let known: Vec<&str> = resolved.spec.components.keys().map(ComponentName::as_str).collect();
            Error::new(ErrorKind::NotFound, format!("an image is given for `{name}`, which is no component"))
                .with_hint(format!("the components are `{}`", known.join("`, `")))
        })?;
        images.insert(name.clone(), component.image.with_tag(tag)?);
    }
    Ok(images)
}

/// The resolved file, without the values of environment variables.
pub(crate) fn plain(found: &Found) -> Value {
    let Found { file, resolved, origin: _ } = found;
    let spec = &resolved.spec;
    json!({
        "service": resolved.name,
        "file": file,
        "components": components(spec, &resolved.reasons),
        "notes": resolved.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "settings": spec.settings,
        "follows": spec.follow.as_ref().map(|follow| follow.release.to_string()),
        "canonical": canonical(&resolved.name, spec, Values::Hidden),
    })
}

/// The components of a file, and why each is versioned or shared, if known.
pub(crate) fn components(spec: &EnvironmentSpec, reasons: &BTreeMap<ComponentName, Reason>) -> Vec<Value> {
    let why = |name, versioned: bool| {
        let known = reasons.get(name).map(ToString::to_string);
        known.unwrap_or_else(|| {
            if versioned { "a release brings its own" } else { "it runs once per service" }.to_owned()
        })
    };
    // A command as it may be shown. The name does not matter.
    let any = ServiceName::new("service").expect("a valid name");
    let shown = canonical(&any, spec, Values::Hidden);
    let command = |name: &ComponentName| match &shown["services"][name.as_str()]["command"] {
        Value::String(text) => json!([text]),
        words => words.clone(),
    };
    spec.components
        .iter()
        .map(|(name, component)| {
            json!({
                "name": name,
                "image": component.image.to_string(),
                "versioned": component.versioned,
                "reason": why(name, component.versioned),
                "expose": component.expose,
                "ports": component.ports,
                "links": component.links.iter().map(|l| (l.alias.to_string(), &l.component)).collect::<BTreeMap<_, _>>(),
                "depends_on": component.depends_on.iter().map(|(on, it)| (on, it.condition)).collect::<BTreeMap<_, _>>(),
                "variables": component.environment.keys().collect::<Vec<_>>(),
                "command": command(name),
            })
        })
        .collect()
}
