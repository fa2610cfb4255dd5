//! The compose file of a checkout, as far as a walk edits it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::step::Edit;

/// The components that a file may have. Each may need those before it.
pub(crate) const KEYS: [&str; 4] = ["db", "web", "app", "job"];

/// Where a component may have volumes, and by which name; without one the volume is anonymous.
pub(crate) const MOUNTS: [(&str, Option<&str>); 4] =
    [("/data", Some("data")), ("/more", Some("more")), ("/anon", None), ("/cache", None)];

/// What a file says about a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) image: String,
    pub(crate) command: u32,
    pub(crate) variable: u32,
    pub(crate) label: u32,
    /// Its port on the host.
    pub(crate) port: Option<u16>,
    /// Volumes, by path: the name in the file, or none.
    pub(crate) mounts: BTreeMap<&'static str, Option<&'static str>>,
    /// Whether it is on a second network.
    pub(crate) back: bool,
    pub(crate) needs: BTreeSet<&'static str>,
    /// Whether it is there only with the profile `extra`.
    pub(crate) extra: bool,
    pub(crate) replicas: u32,
    pub(crate) restart: Option<&'static str>,
    pub(crate) checked: bool,
}

impl Part {
    fn new() -> Self {
        Self {
            image: "good:1".to_owned(),
            command: 0,
            variable: 0,
            label: 0,
            port: None,
            mounts: BTreeMap::new(),
            back: false,
            needs: BTreeSet::new(),
            extra: false,
            replicas: 1,
            restart: None,
            checked: false,
        }
    }

    /// Whether it ends by itself, having done its work.
    pub(crate) fn is_once(&self) -> bool {
        self.image.starts_with("once")
    }

    /// What has to be true of it before a component that needs it is started.
    pub(crate) fn condition(&self) -> &'static str {
        match self {
            _ if self.is_once() => "service_completed_successfully",
            _ if self.checked => "service_healthy",
            _ => "service_started",
        }
    }

    /// The paths at which it has an unnamed volume, because the file or its image wants one.
    pub(crate) fn anonymous(&self) -> BTreeSet<&'static str> {
        let image = self.image.starts_with("vol").then_some("/image");
        self.mounts.iter().filter(|(_, name)| name.is_none()).map(|(path, _)| *path).chain(image).collect()
    }

    /// The paths at which it has a volume by name.
    pub(crate) fn named(&self) -> BTreeMap<&'static str, &'static str> {
        self.mounts.iter().filter_map(|(path, name)| Some((*path, (*name)?))).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) parts: BTreeMap<&'static str, Part>,
    /// After how many minutes it is stopped, and removed, if nobody uses it.
    pub(crate) idle: Option<(u64, u64)>,
}

impl File {
    pub(crate) fn new() -> Self {
        let db = Part { mounts: BTreeMap::from([("/data", Some("data")), ("/anon", None)]), ..Part::new() };
        let web = Part { needs: BTreeSet::from(["db"]), ..Part::new() };
        Self { parts: BTreeMap::from([("db", db), ("web", web)]), idle: None }
    }

    /// Makes a change after which Haddock still accepts the file. Returns whether there was one.
    pub(crate) fn edit(&mut self, key: &'static str, edit: Edit) -> bool {
        let before = self.clone();
        let needed = self.parts.values().any(|part| part.needs.contains(key));
        let there: Vec<&'static str> = self.parts.keys().copied().collect();
        match edit {
            Edit::Idle(minutes) => self.idle = minutes,
            Edit::Component => {
                if self.parts.remove(key).is_none() {
                    self.parts.insert(key, Part::new());
                }
                self.parts.values_mut().for_each(|part| _ = part.needs.remove(key));
            }
            Edit::Rename => {
                let free = KEYS.iter().rev().find(|other| !there.contains(*other));
                if let (Some(free), false, true) = (free, needed, self.parts.contains_key(key)) {
                    let mut part = self.parts.remove(key).expect("seen above");
                    let rank = |name: &str| KEYS.iter().position(|key| *key == name);
                    part.needs.retain(|need| rank(need) < rank(free));
                    self.parts.insert(free, part);
                }
            }
            _ => {
                let Some(part) = self.parts.get_mut(key) else { return false };
                match edit {
                    Edit::Image(image) => part.image = image.to_owned(),
                    Edit::Command(to) => part.command = to,
                    Edit::Variable(to) => part.variable = to,
                    Edit::Label(to) => part.label = to,
                    Edit::Port(to) => part.port = to,
                    Edit::Mount(at) => {
                        let (path, name) = MOUNTS[at % MOUNTS.len()];
                        if part.mounts.remove(path).is_none() {
                            part.mounts.insert(path, name);
                        }
                    }
                    Edit::Network => part.back = !part.back,
                    Edit::Need(at) => {
                        let before = KEYS.iter().take_while(|other| **other != key);
                        let before: Vec<&'static str> =
                            before.filter(|other| there.contains(*other)).copied().collect();
                        if let Some(need) = before.get(at % before.len().max(1))
                            && !part.needs.remove(need)
                        {
                            part.needs.insert(need);
                        }
                    }
                    Edit::Profile if !needed => part.extra = !part.extra,
                    Edit::Replicas(to) if to > 0 || !needed => part.replicas = to,
                    Edit::Restart(to) => part.restart = to,
                    Edit::Check => part.checked = !part.checked,
                    _ => return false,
                }
            }
        }
        for part in self.parts.values_mut() {
            if part.is_once() {
                part.restart = None;
                part.checked = false;
                part.port = None;
            }
            if part.replicas > 1 {
                part.port = None;
            }
        }
        let mut wanting = self.parts.values().flat_map(|part| part.needs.iter().copied());
        let is_there = |need: &&str| {
            let part = self.parts.get(need);
            part.is_some_and(|part| !part.extra && part.replicas > 0)
        };
        if self.parts.is_empty() || !wanting.all(|need| is_there(&need)) {
            *self = before;
            return false;
        }
        *self != before
    }

    /// The components that are to run, one for each replica, each with what the file says of it.
    pub(crate) fn active(&self, extra: bool) -> BTreeMap<String, (&'static str, &Part)> {
        let parts = self.parts.iter().filter(|(_, part)| extra || !part.extra);
        let copies = parts.flat_map(|(key, part)| {
            (1..=part.replicas).map(move |number| match number {
                1 => ((*key).to_owned(), (*key, part)),
                _ => (format!("{key}-{number}"), (*key, part)),
            })
        });
        copies.collect()
    }

    /// Whether it is in the file, perhaps as a replica, but is not to run now because its profile is not active.
    pub(crate) fn is_inactive(&self, component: &str, extra: bool) -> bool {
        let of = component.rsplit_once('-').map_or(component, |(of, _)| of);
        self.parts.get(of).is_some_and(|part| part.extra && !extra)
    }

    /// What these components need, with themselves.
    pub(crate) fn with_needs(&self, key: &'static str) -> BTreeSet<&'static str> {
        let mut all = BTreeSet::from([key]);
        for other in KEYS.iter().rev() {
            if all.contains(other) {
                all.extend(self.parts.get(other).iter().flat_map(|part| part.needs.iter().copied()));
            }
        }
        all
    }

    pub(crate) fn text(&self, image: impl Fn(&str) -> String, run: &str, check: &str) -> String {
        let mut text = String::from("name: shop\nservices:\n");
        let (mut names, mut back) = (BTreeSet::new(), false);
        for (key, part) in &self.parts {
            writeln!(text, "  {key}:").expect("a text grows");
            let mut line = |line: std::fmt::Arguments<'_>| writeln!(text, "    {line}").expect("a text grows");
            line(format_args!("image: {}", image(&part.image)));
            if !part.is_once() {
                line(format_args!("command: [{run}, \"{}\"]", part.command));
                line(format_args!("expose: [\"8080\"]"));
            }
            line(format_args!("environment: {{ WALK: \"{}\" }}", part.variable));
            line(format_args!("labels: {{ walk.label: \"{}\" }}", part.label));
            line(format_args!("stop_grace_period: 1s"));
            if let Some(port) = part.port {
                line(format_args!("ports: [\"127.0.0.1:{port}:8080\"]"));
            }
            let mounts = part.mounts.iter().map(|(path, name)| match name {
                Some(name) => format!("\"{name}:{path}\""),
                None => format!("\"{path}\""),
            });
            line(format_args!("volumes: [{}]", mounts.collect::<Vec<_>>().join(", ")));
            names.extend(part.named().into_values());
            if part.back {
                back = true;
                line(format_args!("networks: [default, back]"));
            }
            let needs = part.needs.iter();
            let needs = needs.map(|need| format!("{need}: {{ condition: {} }}", self.parts[need].condition()));
            line(format_args!("depends_on: {{ {} }}", needs.collect::<Vec<_>>().join(", ")));
            if part.extra {
                line(format_args!("profiles: [extra]"));
            }
            if part.replicas != 1 {
                line(format_args!("scale: {}", part.replicas));
            }
            if let Some(restart) = part.restart {
                line(format_args!("restart: {restart}"));
            }
            if part.checked {
                line(format_args!("healthcheck: {{ test: [{check}], interval: 1s }}"));
            }
        }
        let volumes: Vec<String> = names.iter().map(|name| format!("{name}: {{}}")).collect();
        writeln!(text, "volumes: {{ {} }}", volumes.join(", ")).expect("a text grows");
        if back {
            text.push_str("networks: { back: {} }\n");
        }
        if let Some((stop, remove)) = self.idle {
            writeln!(text, "x-haddock: {{ idle: {{ stop_after: {stop}m, remove_after: {remove}m }} }}")
                .expect("a text grows");
        }
        text
    }
}
