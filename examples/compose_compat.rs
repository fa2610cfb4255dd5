//! Other people's compose files: does Haddock understand them as Docker Compose does?
//!
//! ```text
//! cargo run --example compose_compat -- FOLDER [--json] [--compose PROGRAM]
//! ```
//!
//! Each YAML file below the folder is read by both. What Haddock makes of it is put into the form of Compose's
//! `config --format json` and compared with it, key by key. A file is
//!
//! - *same*: both say the same of all keys that Haddock takes;
//! - *refused*: Haddock says which key it does not take, with line and column, and Compose takes the file;
//! - *different*: they do not say the same, or Haddock takes what Compose refuses;
//! - *neither*: both refuse it.
//!
//! It exits with 0 if nothing is different.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use comfy_table::Table;
use haddock_core::Error;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Values, Variables, canonical};
use haddock_core::image::ImageReference;
use haddock_examples::compose::Compose;
use serde::Serialize;
use serde_json::{Map, Value, json};

#[derive(Debug, Parser)]
#[command(about = "Compares what Haddock and Docker Compose make of compose files")]
struct Options {
    /// The folder, and all below it.
    folder: PathBuf,
    /// One JSON object in place of text.
    #[arg(long)]
    json: bool,
    /// The program of Docker Compose, version 2 or newer.
    #[arg(long, env = "DOCKER_COMPOSE")]
    compose: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Same,
    Refused,
    Different,
    Neither,
}

/// What came of a file.
#[derive(Debug, Serialize)]
struct Outcome {
    file: PathBuf,
    verdict: Verdict,
    /// Haddock's refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
    /// Compose's refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    compose: Option<String>,
    /// Where they differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Refusal {
    key: String,
    line: u64,
    column: u64,
    message: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let place = error.place();
        Self {
            key: place.map(|place| place.key.clone()).unwrap_or_default(),
            line: place.map_or(0, |place| place.line),
            column: place.map_or(0, |place| place.column),
            message: error.message().to_owned(),
        }
    }
}

fn main() -> io::Result<ExitCode> {
    let options = Options::parse();
    let compose = Compose::find(options.compose.as_deref())?;
    let mut files = Vec::new();
    find(&options.folder, &mut files)?;
    files.sort();
    let outcomes = files.iter().map(|file| compare(&compose, &options.folder, file)).collect::<io::Result<Vec<_>>>()?;

    let count = |verdict: Verdict| outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    let accepted = outcomes.iter().filter(|outcome| outcome.compose.is_none()).count();
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for refusal in outcomes.iter().filter(|outcome| outcome.compose.is_none()).filter_map(|it| it.error.as_ref()) {
        *keys.entry(refusal.key.rsplit('.').next().unwrap_or_default()).or_default() += 1;
    }
    #[allow(clippy::cast_precision_loss, reason = "a number of files")]
    let part = count(Verdict::Same) as f64 / accepted.max(1) as f64;
    if options.json {
        let totals = json!({
            "files": outcomes.len(),
            "accepted_by_compose": accepted,
            "same": count(Verdict::Same),
            "refused": count(Verdict::Refused),
            "different": count(Verdict::Different),
            "neither": count(Verdict::Neither),
            "same_of_accepted": part,
        });
        println!(
            "{}",
            json!({ "compose": compose.version()?, "files": outcomes, "totals": totals, "refused_keys": keys })
        );
    } else {
        for outcome in &outcomes {
            tell(outcome);
        }
        let mut table = Table::new();
        table.set_header(["", "files"]);
        for (what, number) in [
            ("same", count(Verdict::Same)),
            ("refused", count(Verdict::Refused)),
            ("different", count(Verdict::Different)),
            ("neither takes it", count(Verdict::Neither)),
        ] {
            table.add_row([what.to_owned(), number.to_string()]);
        }
        println!("\n{table}");
        println!("{}: same {:.1} % of what it takes ({accepted} files)", compose.version()?, part * 100.0);
        let mut table = Table::new();
        table.set_header(["refused for", "files"]);
        keys.iter().for_each(|(key, number)| _ = table.add_row([(*key).to_owned(), number.to_string()]));
        println!("{table}");
    }
    Ok(if count(Verdict::Different) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            files.push(path);
        }
    }
    Ok(())
}

fn tell(outcome: &Outcome) {
    let verdict = json!(outcome.verdict);
    print!("{:<10} {}", verdict.as_str().unwrap_or_default(), outcome.file.display());
    match (&outcome.error, outcome.verdict) {
        (Some(error), Verdict::Refused) => {
            println!(":{}:{}: {} ({})", error.line, error.column, error.message, error.key);
        }
        _ => println!(),
    }
    if outcome.verdict == Verdict::Different {
        outcome.compose.iter().for_each(|said| println!("           Compose refuses it: {said}"));
        outcome.differences.iter().for_each(|difference| println!("           {difference}"));
    }
}

fn compare(compose: &Compose, folder: &Path, path: &Path) -> io::Result<Outcome> {
    let theirs = compose.config(path)?;
    let options = ResolveOptions { variables: Variables::of_process(), ..ResolveOptions::default() };
    let ours = ComposeFile::read(path).and_then(|file| file.resolve(&options));
    let file = path.strip_prefix(folder).unwrap_or(path).to_path_buf();
    let outcome = |verdict, error: Option<Error>, compose, differences| Outcome {
        file,
        verdict,
        error: error.map(Refusal::from),
        compose,
        differences,
    };
    Ok(match (ours, theirs) {
        (Err(error), Ok(_)) => outcome(Verdict::Refused, Some(error), None, Vec::new()),
        (Err(error), Err(said)) => outcome(Verdict::Neither, Some(error), Some(said), Vec::new()),
        (Ok(_), Err(said)) => outcome(Verdict::Different, None, Some(said), Vec::new()),
        (Ok(resolved), Ok(theirs)) => {
            let ours = canonical(&resolved.name, &resolved.spec, Values::Shown);
            let mut differences = Vec::new();
            differ("", &plain(ours), &plain(theirs), &mut differences);
            let verdict = if differences.is_empty() { Verdict::Same } else { Verdict::Different };
            outcome(verdict, None, None, differences)
        }
    })
}

/// Keys of a component that Haddock reads and says of that they have no effect.
const WITHOUT_EFFECT: [&str; 3] = ["attach", "develop", "profiles"];
/// Those of `deploy`.
const OF_SWARMS: [&str; 7] =
    ["endpoint_mode", "labels", "mode", "placement", "restart_policy", "rollback_config", "update_config"];

/// Without what says nothing, in both the same way.
fn plain(mut model: Value) -> Value {
    let project = model["name"].as_str().unwrap_or_default().to_owned();
    // A service's name has no `_`, and at most 40 letters.
    let short: String = project.replace('_', "-").chars().take(40).collect();
    model["name"] = json!(short.trim_end_matches('-'));
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(members) = model.get_mut(section).and_then(Value::as_object_mut) else { continue };
        for (key, member) in members {
            // The name that Compose gives it by itself.
            if member["name"] == json!(format!("{project}_{key}"))
                && let Some(member) = member.as_object_mut()
            {
                member.remove("name");
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
    // What is built has the name that Compose gives it.
    let project: String = project.replace('_', "-").chars().take(40).collect();
    let built = format!("{}-{name}:latest", project.trim_end_matches('-')).to_lowercase();
    if service.contains_key("build") && service.get("image") == Some(&json!(built)) {
        service.remove("image");
    }
    let mut exposed: BTreeSet<u64> = BTreeSet::new();
    for port in service.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port["protocol"] == "tcp" {
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
        networks.values_mut().filter(|it| it.is_null() || **it == json!({})).for_each(|it| *it = json!({ "": true }));
    }
}

fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            Some(Value::Array(items.into_iter().map(|it| without_empty(it).unwrap_or_default()).collect()))
        }
        Value::Object(members) => {
            let kept: Map<String, Value> =
                members.into_iter().filter_map(|(key, value)| Some((key, without_empty(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        other => Some(other),
    }
}

fn differ(path: &str, ours: &Value, theirs: &Value, differences: &mut Vec<String>) {
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
        _ if ours == theirs => {}
        _ => differences.push(format!("{path}: {ours}, and Compose says {theirs}")),
    }
}
