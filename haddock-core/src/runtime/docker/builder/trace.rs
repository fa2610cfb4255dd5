//! What BuildKit says: vertexes of its graph, as steps and lines.

use std::collections::{BTreeMap, BTreeSet};

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

use super::steps::{Said, Step, Steps};

/// The output of a build so far. Stages are built at the same time, so each vertex has lines of its own.
#[derive(Default)]
pub(super) struct Trace {
    vertexes: BTreeMap<String, Steps>,
    told: BTreeSet<String>,
    failed: Option<(String, String)>,
    layers: BTreeMap<String, (u64, u64)>,
}

impl Trace {
    pub(super) fn take(&mut self, status: &StatusResponse) -> Vec<Said> {
        let mut said = Vec::new();
        for vertex in &status.vertexes {
            said.extend(self.vertex(vertex));
        }
        for log in &status.logs {
            let lines = self.vertexes.entry(log.vertex.clone()).or_default();
            said.extend(lines.take(&String::from_utf8_lossy(&log.msg)));
        }
        said
    }

    /// How many bytes of layers have moved, and of how many, if that has changed.
    pub(super) fn moved(&mut self, status: &StatusResponse) -> Option<(u64, u64)> {
        let mut changed = false;
        for layer in status.statuses.iter().filter(|it| it.total > 0 && it.id.starts_with("sha256:")) {
            let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
            let now = (bytes(layer.current), bytes(layer.total));
            changed |= self.layers.insert(layer.id.clone(), now) != Some(now);
        }
        changed.then(|| self.layers.values().fold((0, 0), |(done, total), it| (done + it.0, total + it.1)))
    }

    /// The last lines of all vertexes that have not ended with one.
    pub(super) fn end(&mut self) -> Vec<Said> {
        self.vertexes.values_mut().filter_map(Steps::end).collect()
    }

    /// The name of the vertex that failed, and what it printed.
    pub(super) fn failed(&self) -> Option<(&str, Vec<String>)> {
        let (digest, name) = self.failed.as_ref()?;
        let lines = self.vertexes.get(digest).into_iter().flat_map(Steps::last_lines);
        Some((name, lines.map(str::to_owned).collect()))
    }

    fn vertex(&mut self, vertex: &Vertex) -> Option<Said> {
        // The others are cancelled when one has failed.
        if !vertex.error.is_empty() && !vertex.error.contains("context canceled") && self.failed.is_none() {
            self.failed = Some((vertex.digest.clone(), vertex.name.clone()));
        }
        let begun = vertex.started.is_some() || vertex.cached;
        let step = step(&vertex.name).filter(|_| begun)?;
        self.told.insert(vertex.digest.clone()).then_some(Said::Step(step))
    }
}

/// `[2/3] RUN make` or `[stage-1 2/3] RUN make`.
pub(super) fn step(name: &str) -> Option<Step> {
    let (place, text) = name.strip_prefix('[')?.split_once("] ")?;
    let (number, of) = place.rsplit(' ').next()?.split_once('/')?;
    Some(Step { number: number.parse().ok()?, of: of.parse().ok()?, text: text.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use bollard_buildkit_proto::google::protobuf::Timestamp;
    use bollard_buildkit_proto::moby::buildkit::v1::VertexLog;

    use super::*;

    #[test]
    fn each_vertex_has_its_own_lines_and_the_first_that_failed_counts() {
        let vertex = |digest: &str, name: &str, error: &str| Vertex {
            digest: digest.to_owned(),
            name: name.to_owned(),
            error: error.to_owned(),
            started: Some(Timestamp::default()),
            ..Vertex::default()
        };
        let log = |of: &str, text: &str| VertexLog { vertex: of.to_owned(), msg: text.into(), ..VertexLog::default() };
        let mut trace = Trace::default();
        let (a, b) = (vertex("a", "[one 2/3] RUN make", ""), vertex("b", "[stage-1 3/3] RUN test", ""));
        let internal = vertex("c", "[internal] load build definition from Dockerfile", "");
        let said = trace.take(&StatusResponse { vertexes: vec![a.clone(), b, internal, a], ..Default::default() });
        let step = |number, text: &str| Said::Step(Step { number, of: 3, text: text.to_owned() });
        assert_eq!(said, [step(2, "RUN make"), step(3, "RUN test")]);
        let logs = vec![log("a", "of "), log("b", "of b\n"), log("a", "a\n"), log("b", "rest")];
        let line = |text: &str| Said::Line(text.to_owned());
        assert_eq!(trace.take(&StatusResponse { logs, ..Default::default() }), [line("of b"), line("of a")]);
        let a = vertex("a", "[one 2/3] RUN make", "context canceled");
        let b = vertex("b", "[stage-1 3/3] RUN test", "exit code: 2");
        trace.take(&StatusResponse { vertexes: vec![a, b], ..Default::default() });
        assert_eq!(trace.end(), [line("rest")]);
        assert_eq!(trace.failed(), Some(("[stage-1 3/3] RUN test", vec!["of b".to_owned(), "rest".to_owned()])));
    }
}
