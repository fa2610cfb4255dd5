//! The environment in canonical form: as `docker compose config --format json` shows a file once everything is merged
//! and filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::written::mount_path;
use crate::container::{HealthCheck, PublishedPort};
use crate::environment::{Component, DEFAULT_NETWORK, DeclaredFile, DependencyCondition, EnvironmentSpec, FileSource};
use crate::name::ServiceName;

/// How the values of variables and secrets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Values are shown as `***`. A command, a label or another free text that holds the value of a variable is shown
    /// as it stands in the file.
    Hidden,
    /// Values are shown as they are.
    Shown,
}

/// The environment as Compose would write it: each key in its long form, and no empty values.
///
/// As in Compose, each `$` is doubled, so that the result can be read as a compose file again.
///
/// ```
/// use haddock_core::environment::compose::{ComposeFile, Values, canonical};
///
/// let file = ComposeFile::parse("compose.yaml", "name: shop\nservices: { web: { image: shop, ports: ['80'] } }")?;
/// let resolved = file.resolve(&Default::default())?;
/// let canonical = canonical(&resolved.name, &resolved.spec, Values::Hidden);
/// assert_eq!(canonical["services"]["web"]["ports"][0]["target"], 80);
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[must_use]
pub fn canonical(name: &ServiceName, spec: &EnvironmentSpec, values: Values) -> Value {
    let services = spec.components.iter().map(|(name, it)| (name.to_string(), component(it, values)));
    let mut networks: Map<String, Value> =
        spec.networks.iter().map(|(name, network)| (name.clone(), json!(network))).collect();
    let on_default = spec.components.values().any(joins_default);
    if on_default {
        networks.entry(DEFAULT_NETWORK).or_insert_with(|| json!({}));
    }
    let mut all = Map::new();
    all.insert("name".to_owned(), json!(name));
    all.insert("services".to_owned(), Value::Object(services.collect()));
    put(&mut all, "networks", Value::Object(networks));
    put(&mut all, "volumes", json!(spec.volumes));
    put(&mut all, "secrets", files(&spec.secrets, values));
    put(&mut all, "configs", files(&spec.configs, values));
    let mut all = doubled(Value::Object(all));
    if values == Values::Hidden && !spec.written.is_empty() {
        hide("", &mut all, &spec.written);
    }
    all
}

/// The canonical form as YAML.
///
/// ```
/// use haddock_core::environment::compose::to_yaml;
///
/// assert_eq!(to_yaml(&serde_json::json!({ "name": "shop" })), "name: shop\n");
/// ```
#[must_use]
pub fn to_yaml(canonical: &Value) -> String {
    serde_saphyr::to_string(canonical).expect("plain data can be written as YAML")
}

/// Replaces texts that hold values of variables by the texts as they stand in the file.
fn hide(path: &str, value: &mut Value, written: &BTreeMap<String, String>) {
    if let Some(text) = written.get(path) {
        *value = json!(text);
        return;
    }
    let component = path.strip_prefix("services.").and_then(|path| path.split_once(".volumes[")).map(|(name, _)| name);
    if let (Some(component), Some(target)) = (component, value["target"].as_str()) {
        hide_within(&mount_path(component, &target.replace("$$", "$")), value, written);
        return;
    }
    hide_within(path, value, written);
}

fn hide_within(path: &str, value: &mut Value, written: &BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = key.replace("$$", "$");
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                hide(&path, value, written);
            }
        }
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(index, item)| hide(&format!("{path}[{index}]"), item, written));
        }
        _ => {}
    }
}

fn joins_default(component: &Component) -> bool {
    component.network_mode.is_none()
        && (component.networks.is_empty() || component.networks.contains_key(DEFAULT_NETWORK))
}

/// Adds a value, unless it is empty.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if !empty {
        map.insert(key.to_owned(), value);
    }
}

fn component(component: &Component, values: Values) -> Value {
    let mut map = match json!(component.options) {
        Value::Object(options) => options,
        _ => Map::new(),
    };
    let mut deploy = Map::new();
    put(&mut deploy, "resources", map.remove("resources").unwrap_or_default());
    put(&mut deploy, "replicas", json!(component.replicas));
    put(&mut map, "deploy", Value::Object(deploy));
    put(&mut map, "build", json!(component.build));
    put(&mut map, "command", json!(component.command));
    put(&mut map, "container_name", json!(component.container_name));
    put(&mut map, "entrypoint", json!(component.entrypoint));
    put(&mut map, "external_links", json!(component.external_links));
    put(&mut map, "image", json!(component.image.to_string()));
    put(&mut map, "labels", json!(component.labels));
    put(&mut map, "network_mode", json!(component.network_mode));
    put(&mut map, "pull_policy", json!(component.pull_policy.as_ref().map(ToString::to_string)));
    put(&mut map, "restart", json!(component.restart));
    put(&mut map, "stop_grace_period", json!(component.stop_grace_period.map(duration)));
    put(&mut map, "stop_signal", json!(component.stop_signal));
    put(&mut map, "volumes", json!(component.mounts));
    let outside = component.options.volumes_from.iter().map(|it| format!("container:{it}"));
    let volumes_from = component.volumes_from.iter().map(ToString::to_string).chain(outside);
    put(&mut map, "volumes_from", json!(volumes_from.collect::<Vec<_>>()));
    put(&mut map, "secrets", json!(component.secrets));
    put(&mut map, "configs", json!(component.configs));
    put(&mut map, "expose", json!(component.expose.iter().map(u16::to_string).collect::<Vec<_>>()));
    put(&mut map, "ports", json!(component.ports.iter().map(port).collect::<Vec<_>>()));
    put(&mut map, "healthcheck", component.health_check.as_ref().map_or(Value::Null, health_check));
    let links = component.links.iter().map(|link| match link.alias.as_str() == link.component.as_str() {
        true => link.component.to_string(),
        false => format!("{}:{}", link.component, link.alias),
    });
    put(&mut map, "links", json!(links.collect::<Vec<_>>()));
    let environment = component.environment.iter().map(|(name, value)| match values {
        Values::Hidden => (name.clone(), json!(value)),
        Values::Shown => (name.clone(), json!(value.expose())),
    });
    put(&mut map, "environment", Value::Object(environment.collect()));
    let depends_on = component.depends_on.iter().map(|(name, it)| {
        let condition = match it.condition {
            DependencyCondition::Started => "service_started",
            DependencyCondition::Healthy => "service_healthy",
            DependencyCondition::CompletedSuccessfully => "service_completed_successfully",
        };
        let mut dependency = json!({ "condition": condition, "required": it.required });
        if it.restart {
            dependency["restart"] = json!(true);
        }
        (name.to_string(), dependency)
    });
    put(&mut map, "depends_on", Value::Object(depends_on.collect()));
    if component.network_mode.is_none() {
        let asked = component.networks.iter().map(|(name, endpoint)| match endpoint.is_default() {
            true => (name.clone(), Value::Null),
            false => (name.clone(), json!(endpoint)),
        });
        let mut networks: Map<String, Value> = asked.collect();
        if networks.is_empty() {
            networks.insert(DEFAULT_NETWORK.to_owned(), Value::Null);
        }
        put(&mut map, "networks", Value::Object(networks));
    }
    Value::Object(map)
}

fn port(port: &PublishedPort) -> Value {
    let mut map = Map::new();
    put(&mut map, "target", json!(port.container));
    let published = match (port.host, port.host_last) {
        (Some(first), Some(last)) => Some(format!("{first}-{last}")),
        (host, _) => host.map(|host| host.to_string()),
    };
    put(&mut map, "published", json!(published));
    put(&mut map, "host_ip", json!(port.host_address));
    put(&mut map, "protocol", json!(port.protocol));
    Value::Object(map)
}

fn health_check(check: &HealthCheck) -> Value {
    if check.test == ["NONE"] {
        return json!({ "disable": true });
    }
    let mut map = Map::new();
    put(&mut map, "test", json!(check.test));
    put(&mut map, "interval", json!(check.interval.map(duration)));
    put(&mut map, "timeout", json!(check.timeout.map(duration)));
    put(&mut map, "retries", json!(check.retries));
    put(&mut map, "start_period", json!(check.start_period.map(duration)));
    put(&mut map, "start_interval", json!(check.start_interval.map(duration)));
    Value::Object(map)
}

fn files(files: &BTreeMap<String, DeclaredFile>, values: Values) -> Value {
    let file = |file: &DeclaredFile| {
        let mut map = Map::new();
        put(&mut map, "name", json!(file.name));
        match &file.source {
            FileSource::File(path) => put(&mut map, "file", json!(path)),
            FileSource::Environment(variable) => put(&mut map, "environment", json!(variable)),
            FileSource::Content => {
                let content = file.content.as_ref().map(|content| match values {
                    Values::Hidden => content.to_string(),
                    Values::Shown => content.expose().to_owned(),
                });
                put(&mut map, "content", json!(content.filter(|content| !content.is_empty())));
            }
        }
        Value::Object(map)
    };
    Value::Object(files.iter().map(|(name, it)| (name.clone(), file(it))).collect())
}

/// A duration as Go writes it, and therefore Compose: `1h0m0s`, `1m30s`, `1.5s`, `100ms`.
fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u128| {
        let (whole, rest) = (nanos / unit, nanos % unit);
        let digits = unit.to_string().len() - 1;
        let rest = format!("{rest:0digits$}");
        match rest.trim_end_matches('0') {
            "" => whole.to_string(),
            rest => format!("{whole}.{rest}"),
        }
    };
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", fraction(1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", fraction(1_000_000));
    }
    let (minutes, hours) = (duration.as_secs() / 60 % 60, duration.as_secs() / 3600);
    let rest = Duration::from_nanos(u64::try_from(nanos % 60_000_000_000).expect("less than a minute"));
    let seconds = match rest.subsec_nanos() {
        0 => rest.as_secs().to_string(),
        part => format!("{}.{}", rest.as_secs(), format!("{part:09}").trim_end_matches('0')),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Doubles each `$`, in keys too, as in Compose.
fn doubled(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(items) => Value::Array(items.into_iter().map(doubled).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name.replace('$', "$$"), doubled(value))).collect())
        }
        other => other,
    }
}

/// Shows the canonical form, without the values of variables.
impl fmt::Debug for EnvironmentSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ServiceName::new("environment").expect("a valid name");
        write!(f, "EnvironmentSpec({})", canonical(&name, self, Values::Hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (120_000_000_000, "2m0s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }
}
