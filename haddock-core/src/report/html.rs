//! The page around the charts.

use std::collections::BTreeSet;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{self, Numbered, STYLES};
use super::model::{Conclusion, Fact, Page, Scale, Table, Tone};
use super::{thin, words};
use crate::time::Timestamp;

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/// Rows of the table that says what the charts show, and columns.
const MOST_ROWS: usize = 60;
const MOST_VERSIONS: usize = 10;
/// Columns of any other table, and entries of the key.
const MOST_COLUMNS: usize = 24;
/// Rows of any other table, and notes.
const MOST_TABLE_ROWS: usize = 100;
const MOST_NOTES: usize = 20;

impl Page {
    /// The page as HTML, at most 300 KiB long. It has no script, and its content security policy forbids every request.
    #[must_use]
    pub fn html(&self) -> String {
        write(self)
    }
}

fn write(page: &Page) -> String {
    let (marks, left_out) = chart::numbered(page);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (words::plain(&page.title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (words::plain(&page.title)) }
                        @if !page.subtitle.is_empty() { p.subtitle { (sentence(&page.subtitle)) } }
                        p.period { (period(page)) }
                    }
                    @if let Some(conclusion) = &page.conclusion { (conclude(conclusion)) }
                    (facts(&page.facts))
                    (figure(page, &marks))
                    (events(page, &marks, left_out))
                    @for table in &page.tables { (tabulate(table)) }
                    @if !page.notes.is_empty() {
                        section aria-labelledby="notes" {
                            h2 id="notes" { "Notes" }
                            ul.notes { @for note in page.notes.iter().take(MOST_NOTES) { li { (sentence(note)) } } }
                        }
                    }
                    footer { "Made by Haddock " (env!("CARGO_PKG_VERSION")) "." }
                }
            }
        }
    };
    markup.into_string()
}

/// A sentence in which values stand in backticks.
fn sentence(text: &str) -> Markup {
    let text = words::plain(text);
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn period(page: &Page) -> String {
    let lasting = words::lasting(page.to - page.from);
    match page.scale {
        Scale::Since(_) => format!("{lasting} in virtual time"),
        Scale::Utc => {
            let [from, to] = [page.from, page.to].map(|at| words::calendar("%F %H:%M", at));
            format!("{from} to {to} UTC, {lasting}")
        }
    }
}

fn conclude(Conclusion { tone, word, text }: &Conclusion) -> Markup {
    let sign = match tone {
        Tone::Neutral => "●",
        Tone::Good => "◆",
        Tone::Bad => "■",
    };
    html! {
        p class={ "conclusion " (chart::tone(*tone)) } {
            span.sign aria-hidden="true" { (sign) } " "
            strong { (words::plain(word)) } " "
            span { (sentence(text)) }
        }
    }
}

fn facts(facts: &[Fact]) -> Markup {
    html! {
        @if !facts.is_empty() {
            dl.facts {
                @for fact in facts.iter().take(MOST_NOTES) {
                    div {
                        dt { (words::plain(&fact.label)) }
                        dd { (words::plain(&fact.value)) }
                        @if !fact.note.is_empty() { dd.note { (words::plain(&fact.note)) } }
                    }
                }
            }
        }
    }
}

fn figure(page: &Page, marks: &[Numbered<'_>]) -> Markup {
    html! {
        figure {
            @if page.lines.len() > 1 {
                p.key aria-hidden="true" {
                    @for (index, line) in page.lines.iter().enumerate().take(MOST_COLUMNS) {
                        span {
                            svg viewBox="0 0 44 16" width="44" height="16" {
                                rect x="0.5" y="0.5" width="15" height="15" fill={ "url(#p" (index % STYLES) ")" }
                                    class={ "swatch s" (index % STYLES) } {}
                                path d="M20 8H44" class={ "curve s" (index % STYLES) @if line.candidate { " candidate" } } {}
                            }
                            " " (words::plain(&line.name))
                        }
                    }
                }
            }
            div.wide { (chart::draw(page, marks)) }
            @if !page.gaps.is_empty() { p.small { "Where the chart is grey, no sessions were recorded." } }
            @if !page.lines.is_empty() {
                details {
                    summary { "The charts as a table" }
                    (series(page))
                }
            }
        }
    }
}

/// What the charts show, in numbers.
fn series(page: &Page) -> Markup {
    let slots = MOST_ROWS - 2;
    let mut times: BTreeSet<Timestamp> = thin::changes(page, slots / 2).into_iter().collect();
    let width = (page.to - page.from) / u32::try_from(slots / 2).unwrap_or(1);
    let even = (0..).take(slots / 2).map(|number| page.from + width * number);
    times.extend(even.chain([page.to]));
    // The newest: those that the page is about.
    let lines = &page.lines[page.lines.len().saturating_sub(MOST_VERSIONS)..];
    let unknown = |at: Timestamp| page.gaps.iter().any(|gap| gap.from <= at && at < gap.to);
    html! {
        div.wide tabindex="0" role="region" aria-label="The charts as a table" {
            table {
                thead {
                    tr {
                        th scope="col" { (clock(page)) }
                        @for line in lines {
                            th scope="col" { (words::plain(&line.name)) ", share" }
                            th scope="col" { (words::plain(&line.name)) ", live sessions" }
                        }
                    }
                }
                tbody {
                    @for at in &times {
                        tr {
                            th scope="row" { (words::moment(page, *at)) }
                            @for line in lines {
                                td { (words::share(line.share_at(*at))) }
                                td {
                                    @match line.live_at(*at).filter(|_| !unknown(*at)) {
                                        Some(live) => (words::count(live)),
                                        None => "unknown",
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn clock(page: &Page) -> &'static str {
    match page.scale {
        Scale::Utc => "time (UTC)",
        Scale::Since(_) => "after",
    }
}

fn events(page: &Page, marks: &[Numbered<'_>], left_out: usize) -> Markup {
    html! {
        @if !marks.is_empty() {
            section aria-labelledby="events" {
                h2 id="events" { "What happened" }
                table.events {
                    thead { tr { th scope="col" { "no." } th scope="col" { (clock(page)) } th scope="col" { "event" } } }
                    tbody {
                        @for Numbered { number, mark } in marks {
                            tr id={ "event-" (number) } class=(chart::tone(mark.tone)) {
                                th scope="row" { span.badge { (number) } }
                                td.time { (words::moment(page, mark.at)) }
                                td {
                                    @if !mark.label.is_empty() { strong { (words::plain(&mark.label)) } " " }
                                    (sentence(&mark.text))
                                }
                            }
                        }
                    }
                }
                @if left_out > 0 { p.small { (left_out) " more are not shown." } }
            }
        }
    }
}

fn tabulate(table: &Table) -> Markup {
    let left_out = table.rows.len().saturating_sub(MOST_TABLE_ROWS);
    html! {
        section {
            h2 { (words::plain(&table.caption)) }
            div.wide tabindex="0" role="region" aria-label=(words::plain(&table.caption)) {
                table {
                    thead { tr { @for head in table.head.iter().take(MOST_COLUMNS) { th scope="col" { (words::plain(head)) } } } }
                    tbody {
                        @for row in table.rows.iter().take(MOST_TABLE_ROWS) {
                            tr {
                                @for (column, cell) in row.iter().enumerate().take(MOST_COLUMNS) {
                                    @if column == 0 { th scope="row" { (words::plain(cell)) } }
                                    @else { td { (words::plain(cell)) } }
                                }
                            }
                        }
                    }
                }
            }
            @if left_out > 0 { p.small { (left_out) " more rows are not shown." } }
        }
    }
}
