//! What components say about each other: `depends_on`, `links` and `volumes_from`.

use super::keys;
use super::reader::{Cursor, REFUSED_BY_ENGINE, Reader};
use super::tree::Value;
use crate::environment::{self, DependencyCondition};
use crate::error::{Error, ErrorKind};
use crate::name::LinkAlias;

/// An entry of `depends_on`.
pub(super) struct Dependency<'t> {
    pub(super) on: String,
    pub(super) dependency: environment::Dependency,
    pub(super) cursor: Cursor<'t>,
}

/// An entry of `links`.
pub(super) struct DraftLink<'t> {
    pub(super) to: String,
    pub(super) alias: LinkAlias,
    pub(super) cursor: Cursor<'t>,
}

/// An entry of `volumes_from`.
pub(super) struct DraftVolumes<'t> {
    pub(super) of: String,
    pub(super) mode: Option<String>,
    pub(super) cursor: Cursor<'t>,
}

/// The prefix before the name of a container outside the environment.
const OUTSIDE_PREFIX: &str = "container:";

/// A list of `component` or `component:ro`.
pub(super) fn read_volumes_from<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<DraftVolumes<'t>> {
    let mut volumes: Vec<DraftVolumes<'t>> = Vec::new();
    reader.distinct_texts(cursor);
    for item in reader.items(cursor).unwrap_or_default() {
        if item.node.scalar().is_some_and(|text| text.starts_with(OUTSIDE_PREFIX)) {
            continue;
        }
        let read = |text: &str| {
            let (of, mode) = text.split_once(':').map_or((text, None), |(of, mode)| (of, Some(mode)));
            match mode {
                None | Some("ro" | "rw") => Ok((of.to_owned(), mode.map(str::to_owned))),
                Some(mode) => Err(Error::new(ErrorKind::InvalidValue, format!("`{mode}` is neither `ro` nor `rw`"))
                    .with_hint("write `component` or `component:ro`")
                    .stricter_than_compose(REFUSED_BY_ENGINE)),
            }
        };
        if let Some((of, mode)) = reader.word(&item, read) {
            volumes.push(DraftVolumes { of, mode, cursor: item });
        }
    }
    volumes
}

/// Those of the list that are containers outside the environment, each `container` or `container:ro`.
pub(super) fn read_volumes_from_outside<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<String> {
    let items = reader.items(cursor).unwrap_or_default();
    items.iter().filter_map(|item| reader.text(item)?.strip_prefix(OUTSIDE_PREFIX).map(str::to_owned)).collect()
}

/// A list of components, or a mapping with conditions.
pub(super) fn read_depends_on<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<Dependency<'t>> {
    let mut dependencies: Vec<Dependency<'t>> = Vec::new();
    let Some(is_list) = reader.is_list(cursor) else { return dependencies };
    if is_list {
        for item in reader.items(cursor).unwrap_or_default() {
            let Some(on) = reader.text(&item) else { continue };
            if dependencies.iter().any(|other| other.on == on) {
                reader.wrong(&item, format!("`{}` stands here a second time", item.written()), "keep one of them");
                continue;
            }
            dependencies.push(Dependency { on, dependency: DependencyCondition::Started.into(), cursor: item });
        }
        return dependencies;
    }
    for entry in reader.entries(cursor).unwrap_or_default() {
        let mut dependency = environment::Dependency::from(DependencyCondition::Started);
        let settings = reader.known_entries(&entry.value, &keys::DEPENDENCY).unwrap_or_default();
        if matches!(entry.value.node.value, Value::Map(_)) && entry.value.node.get("condition").is_none() {
            reader.wrong(&entry.value, "the dependency has no `condition`", "write `condition: service_started`");
        }
        for setting in settings {
            let at = &setting.value;
            match setting.key.text.as_str() {
                "condition" => {
                    dependency.condition = reader.word(at, dependency_condition).unwrap_or(dependency.condition);
                }
                "required" => dependency.required = reader.boolean(at).unwrap_or(true),
                _ => dependency.restart = reader.boolean(at).unwrap_or(false),
            }
        }
        dependencies.push(Dependency { on: entry.key.text.clone(), dependency, cursor: entry.value });
    }
    dependencies
}

fn dependency_condition(text: &str) -> Result<DependencyCondition, Error> {
    match text {
        "service_started" => Ok(DependencyCondition::Started),
        "service_healthy" => Ok(DependencyCondition::Healthy),
        "service_completed_successfully" => Ok(DependencyCondition::CompletedSuccessfully),
        _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a condition"))
            .with_hint("write `service_started`, `service_healthy` or `service_completed_successfully`")),
    }
}

/// A list of `component` or `component:alias`.
pub(super) fn read_links<'t>(reader: &mut Reader<'t>, cursor: &Cursor<'t>) -> Vec<DraftLink<'t>> {
    let mut links: Vec<DraftLink<'t>> = Vec::new();
    for item in reader.items(cursor).unwrap_or_default() {
        let read = |text: &str| {
            let (to, alias) = text.split_once(':').unwrap_or((text, text));
            LinkAlias::new(alias).map(|alias| (to.to_owned(), alias))
        };
        let Some((to, alias)) = reader.word(&item, read) else { continue };
        if let Some(other) = links.iter().find(|other| other.alias == alias) {
            if other.to == to {
                continue;
            }
            let message = format!("link `{}` has the alias of link `{}`", item.written(), other.cursor.written());
            let hint = "give each link an alias of its own: `component:alias`";
            reader.stricter(&item, message, hint, "one of the two components");
            continue;
        }
        links.push(DraftLink { to, alias, cursor: item });
    }
    links
}
