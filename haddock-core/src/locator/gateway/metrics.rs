//! The figures for Prometheus (text exposition format 0.0.4), per instance.

use std::fmt::Write as _;

use crate::name::ServiceName;
use crate::routing::{Count, InstanceFigures, LocatorReport};

use super::tls::TlsCertificate;

type Value = fn(&InstanceFigures) -> Option<u64>;

const FAMILIES: [(&str, &str, &str, Value); 11] = [
    ("share_basis_points", "gauge", "Share of new sessions in force, in hundredths of a percent.", |figures| {
        figures.share.map(|share| u64::from(share.as_basis_points()))
    }),
    ("closed", "gauge", "1 if the instance gets nothing more, for ever.", |figures| Some(u64::from(figures.closed))),
    ("sessions_live", "gauge", "Sessions that have not expired. Absent while unknown.", |figures| match figures.live {
        Count::Exact(live) | Count::AtMost(live) => Some(live),
        Count::Unknown => None,
    }),
    ("requests_in_flight", "gauge", "Requests not answered to the end.", |figures| Some(figures.in_flight)),
    ("connections_upgraded", "gauge", "Upgraded connections that are open.", |figures| Some(figures.upgraded)),
    ("sessions_begun_total", "counter", "Sessions that began.", |figures| Some(figures.sessions_begun)),
    ("sessions_failed_total", "counter", "Sessions with a failed request.", |figures| Some(figures.sessions_failed)),
    ("sessions_evicted_total", "counter", "Sessions that an eviction ended.", |figures| Some(figures.sessions_evicted)),
    ("requests_begun_total", "counter", "Requests sent.", |figures| Some(figures.requests_begun)),
    ("requests_failed_total", "counter", "Failed requests.", |figures| Some(figures.requests_failed)),
    ("last_seen_seconds", "gauge", "When a session's request was last answered.", |figures| {
        figures.last_seen.map(|at| at.as_millis() / 1000)
    }),
];

/// Writes the figures of all services.
pub(super) fn render(
    reports: &[(ServiceName, LocatorReport)],
    connections: u64,
    certificates: &[TlsCertificate],
) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, lines: &mut dyn Iterator<Item = (String, u64)>| {
        let _ = writeln!(text, "# HELP haddock_{name} {help}\n# TYPE haddock_{name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(text, "haddock_{name}{labels} {value}");
        }
    };
    family(
        "client_connections",
        "gauge",
        "Connections of clients, upgraded ones among them.",
        &mut [(String::new(), connections)].into_iter(),
    );
    family(
        "certificate_ends_seconds",
        "gauge",
        "When a certificate ends, since the Unix epoch.",
        &mut certificates.iter().map(|it| (format!("{{file={:?}}}", it.file), it.ends.as_millis() / 1000)),
    );
    let unsaved = reports.iter().filter(|(_, report)| report.unsaved.is_some()).count();
    family(
        "state_unsaved",
        "gauge",
        "Services whose last change could not be written to the state directory, as where its disk is full.",
        &mut [(String::new(), unsaved as u64)].into_iter(),
    );
    // Names of services and instances hold nothing that would have to be escaped.
    for (name, kind, help, value) in FAMILIES {
        let mut lines = reports.iter().flat_map(|(service, report)| {
            report.instances.iter().filter_map(move |(instance, figures)| {
                Some((format!("{{service=\"{service}\",instance=\"{instance}\"}}"), value(figures)?))
            })
        });
        family(&format!("instance_{name}"), kind, help, &mut lines);
    }
    let mut numbers = reports.iter().filter_map(|(service, report)| {
        Some((format!("{{service=\"{service}\",epoch=\"{}\"}}", report.table?.epoch), report.table?.revision))
    });
    family("table_revision", "gauge", "Revision of the table in force.", &mut numbers);
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::name::InstanceId;
    use crate::routing::{FencingToken, Share};
    use crate::time::Timestamp;

    use super::*;

    #[test]
    fn each_instance_has_a_line_and_what_is_unknown_has_none() {
        let known = InstanceFigures { share: Some(Share::percent(10)), live: Count::Exact(3), ..Default::default() };
        let unknown = InstanceFigures { live: Count::Unknown, closed: true, ..Default::default() };
        let id = |name| InstanceId::new(name).expect("valid");
        let report = LocatorReport {
            incarnation: 1,
            counting_since: Timestamp::from_millis(0),
            newest: FencingToken { epoch: 1, revision: 7 },
            table: Some(FencingToken { epoch: 1, revision: 6 }),
            instances: BTreeMap::from([(id("shop-1"), known), (id("shop-2"), unknown)]),
            counted: Vec::new(),
            hosts: Vec::new(),
            unsaved: Some("cannot write `state`: no space".to_owned()),
        };
        let ends = Timestamp::from_millis(1_795_000_000_000);
        let certificate = TlsCertificate { file: "/etc/shop.pem".into(), names: Vec::new(), ends };
        let text = render(&[(ServiceName::new("shop").expect("valid"), report)], 5, &[certificate]);
        assert!(text.contains("\nhaddock_certificate_ends_seconds{file=\"/etc/shop.pem\"} 1795000000\n"), "{text}");
        for line in [
            "haddock_client_connections 5",
            "haddock_state_unsaved 1",
            "haddock_instance_share_basis_points{service=\"shop\",instance=\"shop-1\"} 1000",
            "haddock_instance_sessions_live{service=\"shop\",instance=\"shop-1\"} 3",
            "haddock_instance_closed{service=\"shop\",instance=\"shop-2\"} 1",
            "haddock_table_revision{service=\"shop\",epoch=\"1\"} 6",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("sessions_live{service=\"shop\",instance=\"shop-2\"}"));
    }
}
