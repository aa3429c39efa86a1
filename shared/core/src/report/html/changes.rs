//! What was changed, and the documents that say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{ROWS, more, second};
use crate::markup::{escape, escape_breakable};
use crate::rebuild::CheckStatus;
use crate::report::{ReferenceChange, Report, diff};

/// Changes per closed page of the list.
const PAGE: usize = 100;
/// Most changes whose difference the page shows.
const CHANGES: usize = 5_000;

pub(super) fn restored(html: &mut String, report: &Report) {
    let resources = report.restore.iter().flat_map(|restore| &restore.resources);
    let credentials = report.rotation.iter().flat_map(|rotation| &rotation.rotated);
    if report.rebuild.is_none() && report.restore.is_none() && report.rotation.is_none() {
        return;
    }
    html.push_str("<h2>Rebuilt, restored, rotated</h2><ul>");
    for stack in report.rebuild.iter().flat_map(|rebuild| &rebuild.stacks) {
        let _ = write!(
            html,
            "<li>stack {} from template <code>{}</code></li>",
            escape_breakable(&stack.name),
            stack.template.short()
        );
    }
    for check in report.rebuild.iter().flat_map(|rebuild| &rebuild.isolation) {
        let status = match check.status {
            CheckStatus::Pass => "pass",
            CheckStatus::Fail => "<strong>fail</strong>",
            CheckStatus::Unknown => "<strong>unknown</strong>",
        };
        let _ = write!(
            html,
            "<li>isolation, {}: {status} <small>({})</small></li>",
            escape(&check.check),
            escape_breakable(&check.evidence)
        );
    }
    for resource in resources {
        let _ = write!(
            html,
            "<li>{}: {} entries in <code>{}</code>, content equal to the validated (manifest <code>{}</code>)</li>",
            escape(&resource.resource),
            resource.entries,
            escape_breakable(&resource.arn),
            resource.manifest.short()
        );
    }
    for credential in credentials {
        let _ = write!(
            html,
            "<li>secret {}: new value, version <code>{}</code></li>",
            escape_breakable(&credential.name),
            escape_breakable(&credential.version)
        );
    }
    html.push_str("</ul>");
}

/// Every change as what went and what came, by account, in closed pages where there are many.
pub(super) fn references(html: &mut String, report: &Report) {
    if report.references.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h2>References rewritten ({})</h2><p>Only what changed and a little around it; the whole documents are in \
         report.json.</p>",
        report.references.len()
    );
    let mut accounts = BTreeMap::<&str, Vec<&ReferenceChange>>::new();
    for change in report.references.iter().take(CHANGES) {
        accounts.entry(&change.account).or_default().push(change);
    }
    for (account, changes) in accounts {
        let _ = write!(html, "<h3>Account {} ({})</h3>", escape(account), changes.len());
        for (page, some) in changes.chunks(PAGE).enumerate() {
            let paged = changes.len() > PAGE;
            if paged {
                let first = page * PAGE + 1;
                let _ = write!(
                    html,
                    "<details><summary>{first} to {}</summary>",
                    first + some.len() - 1
                );
            }
            for change in some {
                reference(html, change, !paged);
            }
            if paged {
                html.push_str("</details>");
            }
        }
    }
    if report.references.len() > CHANGES {
        let _ = write!(
            html,
            "<p>{} more are in report.json.</p>",
            report.references.len() - CHANGES
        );
    }
}

fn reference(html: &mut String, change: &ReferenceChange, open: bool) {
    let _ = write!(
        html,
        "<details class=\"change\"{}><summary><code>{}</code></summary><pre>{}</pre><p><small>step <code>{}</code> · proof: {}</small></p></details>",
        if open { " open" } else { "" },
        escape_breakable(&change.arn),
        diff::html(&change.before, &change.after),
        escape_breakable(&change.step),
        escape(&change.proof)
    );
}

pub(super) fn traffic(html: &mut String, report: &Report) {
    let Some(traffic) = &report.traffic else { return };
    let _ = write!(
        html,
        "<h2>Traffic</h2><p>Zone <code>{}</code>, {}.</p><table class=\"cards\"><tr><th scope=\"col\">before</th><th \
         scope=\"col\">after</th></tr><tr>",
        escape_breakable(&traffic.zone),
        batches(&report.traffic_shares)
    );
    for (name, tag, records) in [
        ("before", "del", &traffic.before),
        ("after", "ins", &traffic.after),
    ] {
        let _ = write!(html, "<td data-name=\"{name}\">");
        for record in records.iter().take(ROWS) {
            let _ = write!(
                html,
                "<pre><{tag}>{}</{tag}></pre>",
                escape_breakable(&record.to_string())
            );
        }
        html.push_str("</td>");
    }
    html.push_str("</tr></table>");
}

/// How the records changed.
fn batches(shares: &[u8]) -> String {
    if shares.is_empty() {
        return "one batch".to_owned();
    }
    let shares: Vec<String> = shares.iter().map(|share| format!("{share} %")).collect();
    format!("one batch each for {}", shares.join(", "))
}

pub(super) fn journal(html: &mut String, report: &Report) {
    if report.journal.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h2>Journal</h2><details><summary>{} entries</summary><table class=\"cards\"><tr><th scope=\"col\">#</th><th \
         scope=\"col\">when</th><th scope=\"col\">event</th></tr>",
        report.journal.len()
    );
    for entry in report.journal.iter().take(ROWS) {
        let event = serde_json::to_string(&entry.event).unwrap_or_default();
        let _ = write!(
            html,
            "<tr><td data-name=\"#\">{}</td><td class=\"when\" data-name=\"when\">{}</td><td data-name=\"event\"><code>{}</code></td></tr>",
            entry.sequence,
            second(entry.at),
            escape_breakable(&event)
        );
    }
    html.push_str("</table>");
    more(html, report.journal.len());
    html.push_str("</details>");
}

pub(super) fn documents(html: &mut String, report: &Report) {
    if report.documents.is_empty() && report.evidence.is_none() {
        return;
    }
    html.push_str("<h2>Evidence</h2>");
    if let Some(evidence) = &report.evidence {
        let _ = write!(
            html,
            "<p>When this was written the evidence chain had {} links; the last one's hash is <code>{}</code>. What it proves can \
             be checked without AWS, with the public key from a place that is not the bundle's: <code>blackstart evidence verify \
             evidence.intoto.jsonl --key KEY.pem --artifacts FOLDER</code>. The bundle is written after this report, under Object \
             Lock.</p>",
            evidence.links,
            escape_breakable(evidence.head.as_str())
        );
    }
    html.push_str("<dl class=\"documents\">");
    for document in &report.documents {
        let _ = write!(
            html,
            "<dt>{}</dt><dd>{}<br><code>{}</code><br><small>sha256 <code>{}</code></small></dd>",
            escape(&document.what),
            escape(&document.proves),
            escape_breakable(&format!(
                "s3://{}/{}",
                document.artifact.bucket, document.artifact.key
            )),
            escape_breakable(document.artifact.sha256.as_str())
        );
    }
    html.push_str("</dl>");
}
