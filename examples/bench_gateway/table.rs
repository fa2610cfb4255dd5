//! What is printed: medians, each with its ratio to HAProxy with the same duties.

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::Failure;
use crate::load::{Figures, Mode};
use crate::proxies::Proxy;

type Figure = fn(&Figures) -> f64;

/// What is compared, and with how many places it is shown.
const COMPARED: [(&str, Figure, usize); 5] = [
    ("req/s", |figures| figures.per_second, 0),
    ("p50 ms", |figures| figures.p50, 2),
    ("p99 ms", |figures| figures.p99, 2),
    ("cpu µs/req", |figures| figures.cpu, 1),
    ("MiB", |figures| figures.memory, 1),
];

fn median(of: &[Figures], what: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = of.iter().map(what).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn print(results: &BTreeMap<(Mode, Proxy), Vec<Figures>>, json: bool) -> Result<(), Failure> {
    let mut table = comfy_table::Table::new();
    let compared = COMPARED.iter().map(|(name, ..)| (*name).to_owned());
    table.set_header(
        ["connections".to_owned(), "proxy".to_owned()]
            .into_iter()
            .chain(compared)
            .chain(["proxy busy".to_owned(), "others busy".to_owned()]),
    );
    let (mut figures, mut ratios) = (Vec::new(), BTreeMap::new());
    for ((mode, proxy), rounds) in results {
        let peer = proxy.peer().and_then(|peer| results.get(&(*mode, peer)));
        let ratio = |what: Figure| peer.map(|theirs| median(rounds, what) / median(theirs, what));
        let mut row = vec![format!("{mode:?}"), format!("{proxy:?}")];
        for (_, what, places) in COMPARED {
            let own = median(rounds, what);
            row.push(match ratio(what) {
                Some(ratio) => format!("{own:.places$} ×{ratio:.2}"),
                None => format!("{own:.places$}"),
            });
        }
        let (busy, others) = (median(rounds, |f| f.proxy_busy), median(rounds, |f| f.others_busy));
        row.extend([busy, others].map(|part| format!("{:.0}%", part * 100.0)));
        table.add_row(row);
        figures.push(serde_json::json!({
            "mode": format!("{mode:?}"), "proxy": format!("{proxy:?}"), "rounds": rounds.len(),
            "requests_per_second": median(rounds, |f| f.per_second),
            "p50_ms": median(rounds, |f| f.p50), "p99_ms": median(rounds, |f| f.p99),
            "cpu_us_per_request": median(rounds, |f| f.cpu), "memory_mib": median(rounds, |f| f.memory),
            "proxy_busy": busy, "others_busy": others,
        }));
        if peer.is_some() {
            let of = serde_json::json!({
                "throughput": ratio(|f| f.per_second), "p99": ratio(|f| f.p99),
                "cpu": ratio(|f| f.cpu), "memory": ratio(|f| f.memory),
            });
            ratios.insert(format!("{mode:?} {proxy:?}"), of);
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}\n× is the ratio to HAProxy with the same duties, in the same run.")?;
    if json {
        writeln!(out, "{}", serde_json::json!({ "figures": figures, "ratios": ratios }))?;
    }
    Ok(())
}
