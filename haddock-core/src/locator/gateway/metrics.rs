//! The figures for Prometheus, per instance: in its text format 0.0.4, or as OpenMetrics 1.0 for those that ask for it.

use std::fmt::{self, Error as NotWritten};

use http::header::{self, HeaderMap};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::name::{InstanceId, ServiceName};
use crate::routing::{Count, InstanceFigures, LocatorReport};

use super::service_routing::{BUCKETS, Histogram, Timings};
use super::tls::TlsCertificate;

type Value = fn(&InstanceFigures) -> Option<u64>;

const FAMILIES: [(&str, MetricType, &str, Value); 11] = [
    (
        "share_basis_points",
        MetricType::Gauge,
        "Share of new sessions in force, in hundredths of a percent.",
        |figures| figures.share.map(|share| u64::from(share.as_basis_points())),
    ),
    ("closed", MetricType::Gauge, "1 if the instance gets nothing more, for ever.", |it| Some(u64::from(it.closed))),
    ("sessions_live", MetricType::Gauge, "Sessions that have not expired. Absent while unknown.", |it| match it.live {
        Count::Exact(live) | Count::AtMost(live) => Some(live),
        Count::Unknown => None,
    }),
    ("requests_in_flight", MetricType::Gauge, "Requests not answered to the end.", |it| Some(it.in_flight)),
    ("connections_upgraded", MetricType::Gauge, "Upgraded connections that are open.", |it| Some(it.upgraded)),
    ("sessions_begun", MetricType::Counter, "Sessions that began.", |it| Some(it.sessions_begun)),
    ("sessions_failed", MetricType::Counter, "Sessions with a failed request.", |it| Some(it.sessions_failed)),
    ("sessions_evicted", MetricType::Counter, "Sessions that an eviction ended.", |it| Some(it.sessions_evicted)),
    ("requests_begun", MetricType::Counter, "Requests sent.", |it| Some(it.requests_begun)),
    ("requests_failed", MetricType::Counter, "Failed requests.", |it| Some(it.requests_failed)),
    ("last_seen_seconds", MetricType::Gauge, "When a session's request was last answered.", |figures| {
        figures.last_seen.map(|at| at.as_millis() / 1000)
    }),
];

type Times = fn(&Timings) -> &Histogram;

const TIMES: [(&str, &str, Times); 2] = [
    ("request_first_byte_seconds", "Time until the answer began.", |timings| &timings.first_byte),
    ("request_duration_seconds", "Time until the answer had ended. Upgraded connections do not count.", |it| &it.whole),
];

/// What the gateway says of itself.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) services: Vec<ServiceFigures>,
    /// The connections of clients, upgraded ones among them.
    pub(super) connections: u64,
    pub(super) certificates: Vec<TlsCertificate>,
}

/// What it says of a service.
#[derive(Debug)]
pub(super) struct ServiceFigures {
    pub(super) name: ServiceName,
    pub(super) report: LocatorReport,
    pub(super) timings: Vec<(InstanceId, Timings)>,
}

/// The media types in which the figures can be had.
pub(super) const FORMATS: [&str; 2] =
    ["text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; charset=utf-8"];

/// Writes the figures in the format that the reader prefers, and says in which.
pub(super) fn render(figures: Figures, asked: &HeaderMap) -> (&'static str, Result<String, NotWritten>) {
    let accepts = asked.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    let mut registry = Registry::with_prefix("haddock");
    registry.register_collector(Box::new(figures));
    let mut written = String::new();
    if accepts.contains("application/openmetrics-text") {
        return (FORMATS[1], text::encode(&mut written, &registry).map(|()| written));
    }
    (FORMATS[0], prometheus_text::encode(&mut written, &registry).map(|()| written))
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Connections of clients, upgraded ones among them.";
        encoder
            .encode_descriptor("client_connections", help, None, MetricType::Gauge)?
            .encode_gauge(&self.connections)?;
        let help = "When a certificate ends, since the Unix epoch.";
        let mut metric = encoder.encode_descriptor("certificate_ends_seconds", help, None, MetricType::Gauge)?;
        for certificate in &self.certificates {
            let file = certificate.file.to_string_lossy();
            metric.encode_family(&[("file", file)])?.encode_gauge(&(certificate.ends.as_millis() / 1000))?;
        }
        let help = "Services whose last change could not be written to the state directory, as where its disk is full.";
        let unsaved = self.services.iter().filter(|service| service.report.unsaved.is_some()).count();
        encoder.encode_descriptor("state_unsaved", help, None, MetricType::Gauge)?.encode_gauge(&(unsaved as u64))?;
        for (name, kind, help, value) in FAMILIES {
            let name = format!("instance_{name}");
            let mut metric = encoder.encode_descriptor(&name, help, None, kind)?;
            for service in &self.services {
                for (instance, figures) in &service.report.instances {
                    if let Some(value) = value(figures) {
                        one(&mut metric, service, instance, |mut it| match kind {
                            MetricType::Counter => it.encode_counter::<NoLabelSet, _, u64>(&value, None),
                            _ => it.encode_gauge(&value),
                        })?;
                    }
                }
            }
        }
        for (name, help, times) in TIMES {
            let name = format!("instance_{name}");
            let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Histogram)?;
            for service in &self.services {
                let listed = service.timings.iter().filter(|(id, _)| service.report.instances.contains_key(id));
                for (instance, timings) in listed {
                    one(&mut metric, service, instance, |it| histogram(it, times(timings)))?;
                }
            }
        }
        let mut metric =
            encoder.encode_descriptor("table_revision", "Revision of the table in force.", None, MetricType::Gauge)?;
        for service in &self.services {
            if let Some(number) = service.report.table {
                let labels = [("service", service.name.to_string()), ("epoch", number.epoch.to_string())];
                metric.encode_family(&labels)?.encode_gauge(&number.revision)?;
            }
        }
        Ok(())
    }
}

/// Writes the series of an instance.
fn one(
    metric: &mut MetricEncoder<'_>,
    service: &ServiceFigures,
    instance: &InstanceId,
    write: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    let labels = [("service", service.name.as_str()), ("instance", instance.as_str())];
    write(metric.encode_family(&labels)?)
}

#[allow(clippy::cast_precision_loss, reason = "a sum of 2^53 ms is a long time")]
fn histogram(mut metric: MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    let ends = BUCKETS.iter().map(|millis| *millis as f64 / 1e3).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = ends.zip(histogram.counts).collect();
    let count = histogram.counts.iter().sum();
    metric.encode_histogram::<NoLabelSet>(histogram.sum as f64 / 1e3, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::routing::{FencingToken, Share};
    use crate::time::Timestamp;

    use super::*;

    fn figures() -> Figures {
        let known = InstanceFigures {
            share: Some(Share::percent(10)),
            live: Count::Exact(3),
            sessions_begun: 4,
            ..Default::default()
        };
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
        let mut timings = Timings::default();
        (timings.whole.counts[1], timings.whole.counts[13], timings.whole.sum) = (2, 1, 61_018);
        let ends = Timestamp::from_millis(1_795_000_000_000);
        let certificate = TlsCertificate { file: "/etc/shop\n\"1\".pem".into(), names: Vec::new(), ends };
        let timings = vec![(id("shop-1"), timings), (id("shop-9"), Timings::default())];
        let service = ServiceFigures { name: ServiceName::new("shop").expect("valid"), report, timings };
        Figures { services: vec![service], connections: 5, certificates: vec![certificate] }
    }

    #[test]
    fn each_instance_has_a_line_and_what_is_unknown_has_none() {
        let (kind, text) = render(figures(), &HeaderMap::new());
        let text = text.expect("written");
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        for line in [
            "haddock_client_connections 5",
            "haddock_state_unsaved 1",
            "haddock_certificate_ends_seconds{file=\"/etc/shop\\n\\\"1\\\".pem\"} 1795000000",
            "# TYPE haddock_instance_sessions_begun_total counter",
            "haddock_instance_sessions_begun_total{service=\"shop\",instance=\"shop-1\"} 4",
            "haddock_instance_share_basis_points{service=\"shop\",instance=\"shop-1\"} 1000",
            "haddock_instance_sessions_live{service=\"shop\",instance=\"shop-1\"} 3",
            "haddock_instance_closed{service=\"shop\",instance=\"shop-2\"} 1",
            "haddock_instance_request_duration_seconds_bucket{service=\"shop\",instance=\"shop-1\",le=\"0.005\"} 0",
            "haddock_instance_request_duration_seconds_bucket{service=\"shop\",instance=\"shop-1\",le=\"0.01\"} 2",
            "haddock_instance_request_duration_seconds_bucket{service=\"shop\",instance=\"shop-1\",le=\"60\"} 2",
            "haddock_instance_request_duration_seconds_bucket{service=\"shop\",instance=\"shop-1\",le=\"+Inf\"} 3",
            "haddock_instance_request_duration_seconds_sum{service=\"shop\",instance=\"shop-1\"} 61.018",
            "haddock_instance_request_duration_seconds_count{service=\"shop\",instance=\"shop-1\"} 3",
            "haddock_table_revision{service=\"shop\",epoch=\"1\"} 6",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("sessions_live{service=\"shop\",instance=\"shop-2\"}"));
        assert!(!text.contains("shop-9"), "it is not reported");
    }

    #[test]
    fn open_metrics_is_written_for_those_that_ask_for_it() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5";
        let asked = HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("valid"))]);
        let (kind, text) = render(figures(), &asked);
        let text = text.expect("written");
        assert!(kind.starts_with("application/openmetrics-text"));
        assert!(text.ends_with("\n# EOF\n"));
        assert!(text.contains("\n# TYPE haddock_instance_sessions_begun counter\n"), "{text}");
        assert!(
            text.contains("\nhaddock_instance_sessions_begun_total{service=\"shop\",instance=\"shop-1\"} 4\n"),
            "{text}"
        );
    }
}
