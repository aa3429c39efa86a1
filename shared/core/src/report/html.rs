//! `report.html`: one self-contained page without scripts.

use std::fmt::Write as _;

use super::{Report, Standing, gantt, trend};
use crate::chart;
use crate::chart::axis::duration;
use crate::markup::escape;
use crate::run::Conclusion;

mod changes;
mod decision;
mod time;

/// How many rows of a long table the page shows; `report.json` has all.
const ROWS: usize = 200;

const STYLE: &str = "\
:root{color-scheme:light dark;--soft:#f3f5f7}\
@media(prefers-color-scheme:dark){:root{--soft:#1e2327}}\
*{box-sizing:border-box}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;padding:1rem;max-width:64rem}\
h1{font-size:1.5rem;line-height:1.2;margin:.2rem 0}h2{font-size:1.15rem;margin:2.2rem 0 .5rem;border-bottom:1px solid var(--grid)}\
h3{font-size:1rem;margin:1rem 0 .2rem}p,ul,ol{margin:.4rem 0}\
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid var(--grid)}\
td,code,pre,li,dt,dd{overflow-wrap:anywhere}td.name{overflow-wrap:break-word}td.name code{white-space:nowrap}td.when{white-space:nowrap}td.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
code{font-size:.9em}pre{background:var(--soft);padding:.6rem;white-space:pre-wrap;font-size:.8rem;margin:.2rem 0}\
.scroll{overflow-x:auto}.note{background:var(--soft);padding:.6rem 1rem;border-left:4px solid var(--mark)}.bad{border-left:8px double var(--hot)}\
ins{text-decoration:underline;font-weight:600}ins::before{content:'+'}del::before{content:'−'}\
details{margin:.3rem 0}details.change{border-bottom:1px solid var(--grid)}details details.change{content-visibility:auto;contain-intrinsic-size:auto 2rem}ul.plain{list-style:none;padding:0;margin:0}.documents dd{margin-bottom:.6rem}@media(min-width:40.01rem){dl.documents{grid-template-columns:12rem minmax(0,1fr)}}.paper{display:none}summary{cursor:pointer}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.4rem 0}dt{font-weight:600}dd{margin:0}\
figure{margin:1rem 0}figcaption{font-size:.85rem}ul.legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem}\
.gantt td,.gantt th{padding:.1rem .4rem;border:0;font-size:.85rem}.gantt .drawn{width:60%;vertical-align:middle}\
.gantt tr.stage>*{border-top:1px solid var(--grid)}.gantt tr.state th{font-weight:400;padding-left:1.2rem}.gantt td+td{white-space:nowrap}\
.multiples{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.5rem 1.2rem}.multiples h3{font-size:.9rem;margin:0}.multiples p{font-size:.8rem;margin:0}\
@media(max-width:40rem){dl{grid-template-columns:1fr}dd{margin:0 0 .4rem}\
.gantt,.gantt tbody,.gantt thead{display:block}.gantt tr{display:grid;grid-template-columns:1fr auto auto;align-items:baseline}\
.gantt .drawn{grid-row:2;grid-column:1/-1;width:auto}.gantt tr.state th{padding-left:.4rem}\
table.cards,table.cards tbody,table.cards td{display:block}table.cards tr{display:block;border-bottom:1px solid var(--grid);padding:.4rem 0}\
table.cards tr:first-child{display:none}table.cards td{border:0;padding:.1rem 0}table.cards td.number{text-align:left}table.cards td:empty{display:none}table.cards td::before{content:attr(data-name) ': ';font-weight:600}}\
@media print{body{max-width:none;padding:0;font-size:10.5pt}h2{break-after:avoid}tr,svg,figure,.note{break-inside:avoid}.scroll{overflow:visible}\
details:not([open]){display:none}.paper{display:block}a{color:inherit}@page{margin:15mm}}";

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    head(&mut html, report);
    time::section(&mut html, report);
    html.push_str(&trend::section(report));
    decision::attack(&mut html, report);
    decision::verdicts(&mut html, report);
    decision::approval(&mut html, report);
    decision::operators(&mut html, report);
    changes::restored(&mut html, report);
    changes::references(&mut html, report);
    changes::traffic(&mut html, report);
    changes::journal(&mut html, report);
    changes::documents(&mut html, report);
    html.push_str(
        "<p class=\"paper\">What is folded up on the page is not on paper; report.json has all of it.</p></main></body></html>\n",
    );
    html
}

// Writing to a String cannot fail, so the results of `write!` below carry nothing.

fn head(html: &mut String, report: &Report) {
    let mode: &str = report.run.mode.into();
    let standing = standing(report);
    let title = format!("{}: {standing}", report.run.workload);
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"referrer\" content=\"no-referrer\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{0}</title><style>{1}{STYLE}</style></head><body>{2}<main><h1>{0}</h1>\
         <p>run <code>{3}</code> · {mode} · started {4}</p>",
        escape(&title),
        chart::STYLE,
        chart::PATTERNS,
        report.run.run,
        second(report.run.started),
    );
    let good = matches!(
        report.conclusion,
        Some(Conclusion::Recovered | Conclusion::Rehearsed)
    );
    let _ = write!(html, "<div class=\"note{}\">", if good { "" } else { " bad" });
    if !report.reason.is_empty() {
        let _ = write!(html, "<p><strong>Why:</strong> {}</p>", escape(&report.reason));
    }
    html.push_str("<strong>What to do next</strong><ol>");
    for step in &report.next_steps {
        let _ = write!(html, "<li>{}</li>", escape(step));
    }
    html.push_str("</ol></div>");
    if !report.open_items.is_empty() {
        let _ = write!(html, "<h2>Open items ({})</h2><ul>", report.open_items.len());
        for item in report.open_items.iter().take(ROWS) {
            let _ = write!(html, "<li>{}</li>", escape(item));
        }
        html.push_str("</ul>");
        more(html, report.open_items.len());
    }
}

fn standing(report: &Report) -> String {
    let words: &str = match (report.standing, &report.conclusion) {
        (Standing::Concluded, Some(conclusion)) => conclusion.into(),
        (Standing::Stuck, _) => "stuck, waits for an operator",
        (Standing::AwaitsApproval, _) => "waits for approval",
        (Standing::BrokenOff, _) => "broken off",
        (Standing::Running | Standing::Concluded, _) => "under way",
    };
    words.replace('_', " ")
}

/// Says how many rows of a table are not on the page.
fn more(html: &mut String, rows: usize) {
    if rows > ROWS {
        let _ = write!(html, "<p>{} more are in report.json.</p>", rows - ROWS);
    }
}

fn second(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn minutes(minutes: f64) -> String {
    duration(minutes * 60.0)
}
