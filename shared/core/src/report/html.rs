//! `report.html`: one self-contained page without scripts.

use std::fmt::Write as _;

use strum::IntoEnumIterator as _;

use super::{Report, gantt};
use crate::approval::vote::Choice;
use crate::critical_path::{Stage, what_if_shorter};
use crate::dns::RecordSet;

/// How many rows of a long table the page shows; `report.json` has all.
const ROWS: usize = 200;

const STYLE: &str = "
:root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--line:#c9d1d9;--soft:#f3f5f7;--mark:#0b5cad;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ec;--bg:#14171a;--line:#3a4148;--soft:#1e2327;--mark:#7ab7f5;--bad:#ff8a80}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);margin:0 auto;padding:1rem;max-width:60rem}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:.3rem .5rem;border-bottom:1px solid var(--line)}
td,code,pre{overflow-wrap:anywhere}pre{background:var(--soft);padding:.6rem;white-space:pre-wrap;font-size:.8rem;margin:.2rem 0}
.scroll{overflow-x:auto}.note{background:var(--soft);padding:.6rem 1rem;border-left:4px solid var(--mark)}
.bad{border-left-color:var(--bad)}ins{text-decoration:none;font-weight:600}ins::before{content:'+ '}del{text-decoration:none}del::before{content:'− '}
svg{width:100%;height:auto;font-size:12px}svg text{fill:var(--fg)}svg .bound{fill:var(--mark)}svg .slack{fill:url(#slack);stroke:var(--mark)}
svg .hatch{fill:var(--mark)}svg .people{fill:none;stroke:var(--mark);stroke-width:2}.figure{opacity:.8}
@media print{body{max-width:none}pre{white-space:pre-wrap}}";

/// Text as HTML text or attribute value.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Bidirectional controls reorder what people read; control characters show nothing.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut html = String::new();
    head(&mut html, report);
    critical_path(&mut html, report);
    boundary(&mut html, report);
    verdicts(&mut html, report);
    approval(&mut html, report);
    restored(&mut html, report);
    references(&mut html, report);
    traffic(&mut html, report);
    journal(&mut html, report);
    html.push_str("</main></body></html>\n");
    html
}

// Writing to a String cannot fail, so the results of `write!` below carry nothing.

fn head(html: &mut String, report: &Report) {
    let conclusion: &str = report.conclusion.into();
    let mode: &str = report.run.mode.into();
    let title = format!("{}: {}", report.run.workload, conclusion.replace('_', " "));
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{0}</title><style>{STYLE}</style></head>\
         <body><main><h1>{0}</h1><p>run <code>{1}</code> · {mode} · started {2}</p>",
        escape(&title),
        report.run.run,
        report.run.started,
    );
    let bad = matches!(
        report.conclusion,
        crate::run::Conclusion::Failed | crate::run::Conclusion::Reverted | crate::run::Conclusion::Abandoned
    );
    let _ = write!(html, "<div class=\"note{}\">", if bad { " bad" } else { "" });
    if !report.reason.is_empty() {
        let _ = write!(html, "<p><strong>Why:</strong> {}</p>", escape(&report.reason));
    }
    html.push_str("<strong>What to do next</strong><ol>");
    for step in &report.next_steps {
        let _ = write!(html, "<li>{}</li>", escape(step));
    }
    html.push_str("</ol></div>");
}

fn critical_path(html: &mut String, report: &Report) {
    let path = &report.critical_path;
    html.push_str("<h2>Critical path</h2>");
    html.push_str(&gantt::svg(path, report.run.started));
    html.push_str("<div class=\"scroll\"><table><tr><th>formula</th><th>seconds</th></tr>");
    for (name, seconds) in [
        ("seed, stages one after the other", path.seed_sequential),
        (
            "seed, max(timeline, validation, rebuild) + approval + restore + cutover",
            path.seed_parallel,
        ),
        (
            "corrected, max(timeline + residual, validation, rebuild, references) + approval + restore + rotate + cutover",
            path.corrected,
        ),
        ("measured", path.measured),
        ("orchestration = measured − corrected", path.orchestration),
        ("saved by running in parallel", path.saved),
    ] {
        let _ = write!(html, "<tr><td>{name}</td><td>{seconds:.1}</td></tr>");
    }
    html.push_str("</table></div>");
    if let Some(binding) = path.binding {
        let name: &str = binding.into();
        let _ = write!(
            html,
            "<p>The gate waited for <strong>{name}</strong>. One minute less would have saved: "
        );
        let parts: Vec<String> = Stage::iter()
            .filter(|stage| path.stages.contains_key(stage))
            .map(|stage| {
                let name: &str = stage.into();
                format!(
                    "{} {:.0} s",
                    name.replace('_', " "),
                    what_if_shorter(path, stage, 60.0)
                )
            })
            .collect();
        let _ = write!(html, "{}.</p>", parts.join(", "));
    }
    let met = &report.targets;
    let _ = write!(html, "<p>Recovery time {:.1} min", met.recovery_time_minutes);
    if let Some(target) = met.targets.recovery_time_minutes {
        let _ = write!(html, " of {target} min allowed");
    }
    if let Some(minutes) = met.recovery_point_minutes {
        let _ = write!(html, "; data lost before the boundary: {minutes:.0} min");
        if let Some(target) = met.targets.recovery_point_minutes {
            let _ = write!(html, " of {target} min allowed");
        }
    }
    html.push_str(".</p>");
}

fn boundary(html: &mut String, report: &Report) {
    let Some(document) = &report.boundary else { return };
    html.push_str("<h2>Event boundary</h2>");
    match &document.boundary {
        Some(boundary) => {
            let _ = write!(
                html,
                "<p><strong>{}</strong>, not later than {}, floor {}</p><div class=\"scroll\"><table>\
                 <tr><th>when</th><th>what</th><th>indicator</th><th>evidence</th></tr>",
                boundary.best, boundary.not_later_than, boundary.floor
            );
            for reason in boundary.reasons.iter().take(ROWS) {
                let _ = write!(
                    html,
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td><code>{} #{}</code></td></tr>",
                    reason.at,
                    escape(&reason.what),
                    escape(&reason.indicator),
                    escape(&reason.evidence.object),
                    reason.evidence.record
                );
            }
            html.push_str("</table></div>");
        }
        None => html.push_str("<p>No indicator was found.</p>"),
    }
    let coverage = &document.coverage;
    let _ = write!(
        html,
        "<p>{} records in {} objects were read; {} gaps.</p>",
        coverage.records,
        coverage.objects,
        coverage.gaps.len()
    );
    if !coverage.gaps.is_empty() {
        html.push_str("<ul>");
        for gap in coverage.gaps.iter().take(ROWS) {
            let _ = write!(html, "<li>{}: {}</li>", escape(&gap.what), escape(&gap.reason));
        }
        html.push_str("</ul>");
    }
}

fn verdicts(html: &mut String, report: &Report) {
    let Some(selection) = &report.selection else {
        return;
    };
    html.push_str("<h2>Recovery sets, newest first</h2><div class=\"scroll\"><table><tr><th>set</th><th>newest point</th><th>eligible</th><th>verdict</th><th>why</th></tr>");
    for set in selection.considered.iter().take(ROWS) {
        let verdict = set.verdict.map_or("not judged", Into::into);
        let chosen = if set.set == selection.set.id {
            " <strong>(restored)</strong>"
        } else {
            ""
        };
        let _ = write!(
            html,
            "<tr><td><code>{}</code>{chosen}</td><td>{}</td><td>{}</td><td>{verdict}</td><td>{}</td></tr>",
            escape(&set.set),
            set.newest,
            if set.eligible { "yes" } else { "no" },
            escape(&set.reasons.join("; "))
        );
    }
    html.push_str("</table></div>");
}

fn approval(html: &mut String, report: &Report) {
    let Some(gate) = &report.gate else { return };
    let state: &str = (&gate.state).into();
    let _ = write!(
        html,
        "<h2>Approval</h2><p>{state}, digest <code>{}</code></p>",
        gate.digest
    );
    for vote in &report.votes {
        let decision = match vote.decision {
            Choice::Approve => "approved",
            Choice::Refuse => "refused",
        };
        let _ = write!(
            html,
            "<p><strong>{}</strong> {decision} at {}: {}</p>",
            escape(&vote.person),
            vote.at,
            escape(&vote.rationale)
        );
    }
}

fn restored(html: &mut String, report: &Report) {
    if let Some(rebuild) = &report.rebuild {
        html.push_str("<h2>Rebuilt, restored, rotated</h2><ul>");
        for stack in &rebuild.stacks {
            let _ = write!(
                html,
                "<li>stack {} from template <code>{}</code></li>",
                escape(&stack.name),
                stack.template.short()
            );
        }
        for check in &rebuild.isolation {
            let status: &str = match check.status {
                crate::rebuild::CheckStatus::Pass => "pass",
                crate::rebuild::CheckStatus::Fail => "FAIL",
                crate::rebuild::CheckStatus::Unknown => "UNKNOWN",
            };
            let _ = write!(html, "<li>isolation, {}: {status}</li>", escape(&check.check));
        }
        for resource in report.restore.iter().flat_map(|restore| &restore.resources) {
            let _ = write!(
                html,
                "<li>{}: {} entries in <code>{}</code>, content equal to the validated</li>",
                escape(&resource.resource),
                resource.entries,
                escape(&resource.arn)
            );
        }
        for credential in report.rotation.iter().flat_map(|rotation| &rotation.rotated) {
            let _ = write!(
                html,
                "<li>secret {}: new value, version <code>{}</code></li>",
                escape(&credential.name),
                escape(&credential.version)
            );
        }
        html.push_str("</ul>");
    }
}

fn references(html: &mut String, report: &Report) {
    if report.references.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h2>References rewritten ({})</h2>",
        report.references.len()
    );
    for change in report.references.iter().take(ROWS) {
        let _ = write!(
            html,
            "<details><summary><code>{}</code> in {}</summary><pre><del>{}</del></pre><pre><ins>{}</ins></pre><p>{}</p></details>",
            escape(&change.arn),
            escape(&change.account),
            escape(&change.before),
            escape(&change.after),
            escape(&change.proof)
        );
    }
    if report.references.len() > ROWS {
        let _ = write!(
            html,
            "<p>{} more are in report.json.</p>",
            report.references.len() - ROWS
        );
    }
}

fn traffic(html: &mut String, report: &Report) {
    let Some(traffic) = &report.traffic else { return };
    let _ = write!(
        html,
        "<h2>Traffic</h2><p>zone <code>{}</code></p>",
        escape(&traffic.zone)
    );
    for (tag, records) in [("del", &traffic.before), ("ins", &traffic.after)] {
        for record in records {
            let _ = write!(html, "<pre><{tag}>{}</{tag}></pre>", escape(&line(record)));
        }
    }
}

fn line(record: &RecordSet) -> String {
    let mut text = format!(
        "{} {} {}",
        record.name,
        record.record_type,
        record.values.join(" ")
    );
    if let Some(role) = &record.failover {
        let _ = write!(text, " {role}");
    }
    if let Some(check) = &record.health_check {
        let _ = write!(text, " health check {check}");
    }
    text
}

fn journal(html: &mut String, report: &Report) {
    if report.journal.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Journal</h2><div class=\"scroll\"><table><tr><th>#</th><th>when</th><th>event</th></tr>",
    );
    for entry in report.journal.iter().take(ROWS) {
        let event = serde_json::to_string(&entry.event).unwrap_or_default();
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            entry.sequence,
            entry.at,
            escape(&event)
        );
    }
    html.push_str("</table></div>");
}
