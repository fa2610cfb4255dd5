//! Two models without what says nothing, and where they differ.

use std::collections::BTreeSet;

use haddock_core::image::ImageReference;
use serde_json::{Map, Value, json};

/// Keys of a component that Haddock reads and says of that they have no effect, or that stand in others.
const WITHOUT_EFFECT: [&str; 4] = ["attach", "develop", "label_file", "profiles"];
/// Those of `deploy`.
const OF_SWARMS: [&str; 7] =
    ["endpoint_mode", "labels", "mode", "placement", "restart_policy", "rollback_config", "update_config"];

/// Without what says nothing, in both the same way.
#[must_use]
pub fn plain(mut model: Value) -> Value {
    let project = model["name"].as_str().unwrap_or_default().to_owned();
    // A service's name has no `_`, and at most 40 letters.
    let short: String = project.replace('_', "-").chars().take(40).collect();
    model["name"] = json!(short.trim_end_matches('-'));
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(members) = model.get_mut(section).and_then(Value::as_object_mut) else { continue };
        for (key, member) in members {
            // The name that Compose gives it by itself, be it written out or not.
            let dashed = |name: &str| name.replace('_', "-");
            if member["name"].as_str().is_some_and(|name| dashed(name) == dashed(&format!("{project}_{key}")))
                && let Some(member) = member.as_object_mut()
            {
                member.remove("name");
            }
            // Those of secrets and configs are for swarms.
            if matches!(section, "secrets" | "configs")
                && let Some(member) = member.as_object_mut()
            {
                member.retain(|key, _| !matches!(key.as_str(), "labels" | "template_driver"));
            }
        }
    }
    if let Some(services) = model.get_mut("services").and_then(Value::as_object_mut) {
        for (name, service) in services.iter_mut() {
            if let Some(service) = service.as_object_mut() {
                plain_component(&project, name, service);
            }
        }
    }
    let model = without_empty(model).unwrap_or_default();
    match model {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(key, _)| !key.starts_with("x-")).collect())
        }
        other => other,
    }
}

fn plain_component(project: &str, name: &str, service: &mut Map<String, Value>) {
    service.retain(|key, _| !key.starts_with("x-") && !WITHOUT_EFFECT.contains(&key.as_str()));
    if let Some(deploy) = service.get_mut("deploy").and_then(Value::as_object_mut) {
        deploy.retain(|key, _| !OF_SWARMS.contains(&key.as_str()));
    }
    if let Some(scale) = service.remove("scale")
        && let Some(deploy) = service.entry("deploy").or_insert_with(|| json!({})).as_object_mut()
    {
        deploy.insert("replicas".to_owned(), scale);
    }
    // Each image, and each link, has two spellings: with and without `docker.io/` and `:latest`, `db:db` and `db`.
    if let Some(image) = service.get_mut("image")
        && let Some(Ok(reference)) = image.as_str().map(ImageReference::parse)
    {
        let tagged = if reference.tag().is_none() && reference.digest().is_none() { ":latest" } else { "" };
        *image = json!(format!("{reference}{tagged}"));
    }
    for link in service.get_mut("links").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some((to, alias)) = link.as_str().and_then(|link| link.split_once(':'))
            && to == alias
        {
            *link = json!(to);
        }
    }
    // `consistency` has no effect, and Compose drops it in the short form.
    for mount in service.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        mount.as_object_mut().and_then(|mount| mount.remove("consistency"));
    }
    // As a variable that is not set leaves it.
    for key in ["dns_search", "tmpfs"] {
        if let Some(texts) = service.get_mut(key).and_then(Value::as_array_mut) {
            texts.retain(|text| text != "");
        }
    }
    if let Some(hosts) = service.get_mut("extra_hosts").and_then(Value::as_array_mut) {
        hosts.sort_by_key(|host| host.as_str().map(str::to_owned));
        once(hosts);
    }
    if let Some(check) = service.get_mut("healthcheck")
        && (check["disable"] == json!(true) || check["test"][0] == json!("NONE"))
    {
        *check = json!({ "disable": true });
    }
    if let Some(limits) = service.get_mut("ulimits").and_then(Value::as_object_mut) {
        limits.retain(|_, limit| *limit != json!(0));
    }
    if let Some(links) = service.get_mut("links").and_then(Value::as_array_mut) {
        once(links);
    }
    // What is built has the name that Compose gives it.
    let project: String = project.replace('_', "-").chars().take(40).collect();
    let built = format!("{}-{name}:latest", project.trim_end_matches('-')).to_lowercase();
    if service.contains_key("build") && service.get("image") == Some(&json!(built)) {
        service.remove("image");
    }
    let mut exposed: BTreeSet<u64> = BTreeSet::new();
    for port in service.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let protocol = port["protocol"].as_str().unwrap_or("tcp").to_ascii_lowercase();
        port["protocol"] = json!(protocol);
        if protocol == "tcp" {
            exposed.extend(port["target"].as_u64());
        }
        if let Some(port) = port.as_object_mut() {
            ["mode", "name", "app_protocol"].iter().for_each(|key| _ = port.remove(*key));
            // Any that is free.
            if port.get("published") == Some(&json!("0")) {
                port.remove("published");
            }
        }
    }
    // Compose keeps what is said twice if it was a number once and a text once.
    for key in ["group_add", "ports"] {
        service.get_mut(key).and_then(Value::as_array_mut).into_iter().for_each(once);
    }
    // Each TCP port that others may reach.
    for text in service.get("expose").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        if let (Ok(first), Ok(last), "tcp") = (first.parse::<u64>(), last.parse::<u64>(), protocol) {
            exposed.extend(first..=last);
        }
    }
    service.insert("expose".to_owned(), json!(exposed));
    if let Some(networks) = service.get_mut("networks").and_then(Value::as_object_mut) {
        // To be on a network says something, although nothing is said of how.
        let says_nothing = |it: &Value| without_empty(it.clone()).is_none();
        networks.values_mut().filter(|it| says_nothing(it)).for_each(|it| *it = json!({ "": true }));
    }
}

/// Takes away what stands there before.
fn once(items: &mut Vec<Value>) {
    let mut seen: Vec<Value> = Vec::new();
    items.retain(|item| {
        let new = !seen.contains(item);
        seen.push(item.clone());
        new
    });
}

/// Keys of which Compose writes no zero, which says nothing.
const NOT_ZERO: &[&str] = &[
    "count",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "gw_priority",
    "hard",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memory",
    "memswap_limit",
    "mode",
    "oom_score_adj",
    "pids",
    "pids_limit",
    "priority",
    "shm_size",
    "size",
    "soft",
];

fn is_zero(key: &str, value: &Value) -> bool {
    NOT_ZERO.contains(&key) && (value == "0" || value.as_f64() == Some(0.0))
}

fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            Some(Value::Array(items.into_iter().map(|it| without_empty(it).unwrap_or_default()).collect()))
        }
        Value::Object(members) => {
            let kept: Map<String, Value> = members
                .into_iter()
                .filter(|(key, value)| !is_zero(key, value))
                .filter_map(|(key, value)| Some((key, without_empty(value)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other),
    }
}

/// Where they differ, by path.
pub fn differ(path: &str, ours: &Value, theirs: &Value, differences: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differ(&at, one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null), differences);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{path}[{index}]"), one, other, differences);
            }
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        (Value::String(ours), Value::String(theirs)) if is_apart(path, ours, theirs) => {}
        _ if ours == theirs => {}
        _ => differences.push(format!("{path}: {ours}, and Compose says {theirs}")),
    }
}

/// Whether both are meant to be what they are. The reasons are in docs/decisions/022-where-compose-is-not-followed.md.
fn is_apart(path: &str, ours: &str, theirs: &str) -> bool {
    // A path that Compose does not complete.
    let completed = path.ends_with(".driver_opts.device") && !theirs.starts_with(['/', ':']);
    is_as_written(ours, theirs)
        || (ours.is_empty() && theirs.starts_with('#'))
        || (completed && ours.ends_with(theirs.trim_start_matches(['.', '~'])))
}

/// Whether Compose made a number, a boolean or a date of what Haddock keeps as it is written: `022` is its `18`.
fn is_as_written(ours: &str, theirs: &str) -> bool {
    let bare = ours.replace('_', "");
    let based = |leads: [&str; 2], base| {
        let digits = leads.iter().find_map(|lead| bare.strip_prefix(lead))?;
        i64::from_str_radix(digits, base).ok()
    };
    let whole = based(["0x", "0X"], 16).or_else(|| based(["0o", "0O"], 8)).or_else(|| based(["0b", "0B"], 2));
    let octal = || bare.strip_prefix('0').and_then(|digits| i64::from_str_radix(digits, 8).ok());
    let is_whole = whole.or_else(octal).is_some_and(|number| number.to_string() == theirs);
    let part = |text: &str| text.parse::<f64>().ok();
    let is_part = part(&bare).is_some_and(|number| Some(number) == part(theirs));
    let is_date = theirs.strip_suffix(" +0000 UTC").is_some_and(|date| date.starts_with(&ours[..ours.len().min(10)]));
    let is_boolean = matches!(theirs, "true" | "false") && ours.eq_ignore_ascii_case(theirs);
    is_whole || is_part || is_date || is_boolean
}
