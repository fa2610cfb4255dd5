//! Other people's compose files: does Haddock understand them as Docker Compose does?
//!
//! ```text
//! cargo run --example compose_compat -- FOLDER [--each] [--json] [--compose PROGRAM]
//! ```
//!
//! Where a folder below it has an `invocations.json`, each call that it lists is compared: a list of
//! `{ sub, files, profiles, env, envfiles }`. Elsewhere each YAML file stands for itself; with `--each` everywhere, too.
//! A folder with a `note.md` that has lines `Run:` and `Judgement:` is a minimal case, which has to come out as judged.
//!
//! What Haddock makes of a call is put into the form of Compose's `config --format json` and compared with it, key by
//! key. It is
//!
//! - *same*: both say the same of all keys that Haddock takes;
//! - *refused*: Haddock says what it does not take, with line and column, and Compose takes it. Some refusals are meant
//!   (*keep*), since something would be lost without a word;
//! - *different*: they do not say the same;
//! - *taken*: Haddock takes what Compose refuses;
//! - *neither*: both refuse it.
//!
//! It exits with 0 if nothing is different or taken, each refusal is meant, and each minimal case is as judged.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use comfy_table::Table;
use haddock_core::Error;
use haddock_core::environment::compose::{Values, canonical};
use haddock_examples::compose::{Compose, Invocation, Judgement, differ, of_note, plain};
use serde::Serialize;
use serde_json::json;

#[derive(Debug, Parser)]
#[command(about = "Compares what Haddock and Docker Compose make of compose files")]
struct Options {
    /// The folder, and all below it.
    folder: PathBuf,
    /// Each file by itself, too, where a folder lists its invocations.
    #[arg(long)]
    each: bool,
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
    Taken,
    Neither,
}

/// A call, and what is thought of it beforehand.
struct Case {
    call: Invocation,
    /// The folder that it is counted under.
    group: String,
    judgement: Option<Judgement>,
}

/// What came of a call.
#[derive(Debug, Serialize)]
struct Outcome {
    group: String,
    folder: PathBuf,
    call: String,
    verdict: Verdict,
    /// What a minimal case is to come out as.
    #[serde(skip_serializing_if = "Option::is_none")]
    judgement: Option<Judgement>,
    /// Haddock's refusals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Refusal>,
    /// Compose's refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    compose: Option<String>,
    /// Where they differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

impl Outcome {
    /// Whether each of the refusals is meant.
    fn is_kept(&self) -> bool {
        self.verdict == Verdict::Refused && self.errors.iter().all(|error| error.keep.is_some())
    }

    /// Whether it came out as it should.
    fn is_right(&self) -> bool {
        match self.judgement {
            Some(Judgement::Follow) => self.verdict == Verdict::Same,
            Some(Judgement::Apart) => matches!(self.verdict, Verdict::Same | Verdict::Different),
            Some(Judgement::Keep) => self.verdict == Verdict::Refused,
            Some(Judgement::Refuse) => self.verdict == Verdict::Neither,
            None => matches!(self.verdict, Verdict::Same | Verdict::Neither) || self.is_kept(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Refusal {
    file: String,
    key: String,
    line: u64,
    column: u64,
    message: String,
    /// What would be lost, if the refusal is meant.
    keep: Option<String>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let place = error.place();
        Self {
            file: place.map(|place| place.file.clone()).unwrap_or_default(),
            key: place.map(|place| place.key.clone()).unwrap_or_default(),
            line: place.map_or(0, |place| place.line),
            column: place.map_or(0, |place| place.column),
            message: error.message().to_owned(),
            keep: error.lost_in_compose().map(str::to_owned),
        }
    }
}

fn main() -> io::Result<ExitCode> {
    let options = Options::parse();
    let compose = Compose::find(options.compose.as_deref())?;
    let folder = std::path::absolute(&options.folder)?;
    let mut cases = Vec::new();
    find(&options, &folder, &folder, true, &mut cases)?;
    cases.sort_by(|one, other| (&one.group, &one.call.folder).cmp(&(&other.group, &other.call.folder)));
    let outcomes = cases.into_iter().map(|case| compare(&compose, &folder, case)).collect::<io::Result<Vec<_>>>()?;
    let right = outcomes.iter().all(Outcome::is_right);
    match options.json {
        true => show_json(&compose, &outcomes)?,
        false => show_text(&compose, &outcomes)?,
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The calls below a folder; files by themselves only if they are to stand `alone`.
fn find(options: &Options, top: &Path, folder: &Path, alone: bool, cases: &mut Vec<Case>) -> io::Result<()> {
    let below = folder.strip_prefix(top).unwrap_or(folder);
    let group = below.iter().next().map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned());
    let case = |call, judgement| Case { call, group: group.clone(), judgement };
    let note = match std::fs::read_to_string(folder.join("note.md")) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if let Some(line) = note.lines().find_map(|line| line.strip_prefix("Run:")) {
        cases.push(case(Invocation::of_line(folder, &line.replace('`', "")), of_note(&note)));
        return Ok(());
    }
    let listed = Invocation::of_folder(folder)?;
    let alone = alone && (options.each || listed.is_none());
    cases.extend(listed.into_iter().flatten().map(|call| case(call, None)));
    let mut inner: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|it| Ok(it?.path())).collect::<io::Result<_>>()?;
    inner.sort();
    for path in inner {
        if path.is_dir() {
            find(options, top, &path, alone, cases)?;
        } else if alone && path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml") {
            cases.push(case(Invocation::of_file(&path), None));
        }
    }
    Ok(())
}

fn compare(compose: &Compose, top: &Path, case: Case) -> io::Result<Outcome> {
    let Case { call, group, judgement } = case;
    let theirs = compose.config(&call)?;
    let ours = call.resolve();
    let folder = call.folder.strip_prefix(top).unwrap_or(&call.folder).to_path_buf();
    let outcome = |verdict, errors: Vec<Error>, compose, differences| Outcome {
        group,
        folder,
        call: call.shown(),
        verdict,
        judgement,
        errors: errors.into_iter().map(Refusal::from).collect(),
        compose,
        differences,
    };
    Ok(match (ours, theirs) {
        (Err(errors), Ok(_)) => outcome(Verdict::Refused, errors, None, Vec::new()),
        (Err(errors), Err(said)) => outcome(Verdict::Neither, errors, Some(said), Vec::new()),
        (Ok(_), Err(said)) => outcome(Verdict::Taken, Vec::new(), Some(said), Vec::new()),
        (Ok(resolved), Ok(theirs)) => {
            let ours = canonical(&resolved.name, &resolved.spec, Values::Shown);
            let mut differences = Vec::new();
            differ("", &plain(ours), &plain(theirs), &mut differences);
            let verdict = if differences.is_empty() { Verdict::Same } else { Verdict::Different };
            outcome(verdict, Vec::new(), None, differences)
        }
    })
}

/// How many came out how.
struct Counts<'o>(Vec<&'o Outcome>);

impl Counts<'_> {
    fn of(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    fn kept(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.is_kept()).count()
    }

    fn right(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.is_right()).count()
    }

    /// Those that Compose takes.
    fn accepted(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.compose.is_none()).count()
    }

    #[allow(clippy::cast_precision_loss, reason = "a number of files")]
    fn same_of_accepted(&self) -> f64 {
        self.of(Verdict::Same) as f64 / self.accepted().max(1) as f64
    }

    fn to_json(&self) -> serde_json::Value {
        json!({
            "calls": self.0.len(),
            "accepted_by_compose": self.accepted(),
            "same": self.of(Verdict::Same),
            "refused": self.of(Verdict::Refused),
            "kept": self.kept(),
            "different": self.of(Verdict::Different),
            "taken": self.of(Verdict::Taken),
            "neither": self.of(Verdict::Neither),
            "right": self.right(),
            "same_of_accepted": self.same_of_accepted(),
        })
    }
}

fn grouped(outcomes: &[Outcome]) -> BTreeMap<&str, Counts<'_>> {
    let mut groups: BTreeMap<&str, Counts<'_>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(&outcome.group).or_insert_with(|| Counts(Vec::new())).0.push(outcome);
    }
    groups
}

fn show_json(compose: &Compose, outcomes: &[Outcome]) -> io::Result<()> {
    let folders: BTreeMap<&str, _> =
        grouped(outcomes).into_iter().map(|(name, counts)| (name, counts.to_json())).collect();
    let totals = Counts(outcomes.iter().collect()).to_json();
    println!("{}", json!({ "compose": compose.version()?, "calls": outcomes, "folders": folders, "totals": totals }));
    Ok(())
}

fn show_text(compose: &Compose, outcomes: &[Outcome]) -> io::Result<()> {
    outcomes.iter().for_each(tell);
    println!();
    let mut table = Table::new();
    table.set_header(["folder", "same", "refused: keep", "refused", "different", "taken", "neither takes it"]);
    let row = |name: &str, counts: &Counts<'_>| {
        let refused = counts.of(Verdict::Refused) - counts.kept();
        let numbers = [
            counts.of(Verdict::Same),
            counts.kept(),
            refused,
            counts.of(Verdict::Different),
            counts.of(Verdict::Taken),
            counts.of(Verdict::Neither),
        ];
        [vec![name.to_owned()], numbers.iter().map(usize::to_string).collect()].concat()
    };
    for (name, counts) in grouped(outcomes) {
        table.add_row(row(name, &counts));
    }
    let all = Counts(outcomes.iter().collect());
    table.add_row(row("all", &all));
    println!("{table}");
    let (accepted, same) = (all.accepted(), all.same_of_accepted() * 100.0);
    println!("{}: same {same:.1} % of the {accepted} that it takes", compose.version()?);
    if outcomes.iter().any(|outcome| outcome.judgement.is_some()) {
        println!("{} of {} are as judged", all.right(), outcomes.len());
    }
    Ok(())
}

fn tell(outcome: &Outcome) {
    let verdict = json!(outcome.verdict);
    let mark = if outcome.is_right() { ' ' } else { '!' };
    let at = outcome.folder.display();
    println!("{mark} {:<10} {at}: {}", verdict.as_str().unwrap_or_default(), outcome.call);
    if outcome.verdict == Verdict::Refused {
        for error in &outcome.errors {
            let keep = error.keep.as_ref().map_or("not meant".to_owned(), |lost| format!("keep: {lost}"));
            let Refusal { file, key, line, column, message, .. } = error;
            println!("             {file}:{line}:{column}: {message} ({key}) [{keep}]");
        }
    }
    if outcome.verdict == Verdict::Taken {
        outcome.compose.iter().for_each(|said| println!("             Compose refuses it: {said}"));
    }
    outcome.differences.iter().for_each(|difference| println!("             {difference}"));
}
