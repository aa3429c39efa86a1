//! What was found and decided.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{ROWS, more, second};
use crate::approval::gate::{GateRecord, GateState};
use crate::approval::vote::{Choice, Vote};
use crate::chart::attack::source_of;
use crate::markup::{escape, escape_breakable};
use crate::report::Report;
use crate::timeline::Reason;
use crate::validation::{SetVerdict, Verdict};

pub(super) fn attack(html: &mut String, report: &Report) {
    let figure = report.attack.figure();
    if report.boundary.is_none() && figure.is_empty() {
        return;
    }
    html.push_str("<h2>Attack and event boundary</h2>");
    html.push_str(&figure);
    let Some(document) = &report.boundary else { return };
    match &document.boundary {
        Some(boundary) => {
            let _ = write!(
                html,
                "<dl><dt>Boundary</dt><dd>{}</dd><dt>Not later than</dt><dd>{}, the earliest strong indicator</dd><dt>Floor</dt><dd>{}, \
                 the beginning of the actor's credential{}</dd></dl>",
                second(boundary.best),
                second(boundary.not_later_than),
                second(boundary.floor),
                if boundary.unbounded {
                    "; the actor was already there when the logs begin"
                } else {
                    ""
                }
            );
            reasons(html, "What set the boundary", &boundary.reasons);
        }
        None => html.push_str("<p>No indicator was found.</p>"),
    }
    for actor in &document.actors {
        let set = |set: &BTreeSet<String>| {
            let all: Vec<String> = set.iter().take(20).map(|text| escape_breakable(text)).collect();
            all.join(", ")
        };
        let _ = write!(
            html,
            "<details><summary>Actor {}</summary><dl><dt>Principals</dt><dd>{}</dd><dt>Credentials</dt><dd>{}</dd><dt>Addresses</dt><dd>{}</dd></dl></details>",
            if actor.confirmed {
                "(more than one kind of act)"
            } else {
                "(one kind of act)"
            },
            set(&actor.principals),
            set(&actor.credentials),
            set(&actor.addresses)
        );
    }
    reasons(
        html,
        "Suspects: strong indicators that did not set the boundary",
        &document.suspects,
    );
    let coverage = &document.coverage;
    let _ = write!(
        html,
        "<h3>Coverage</h3><p>{} records in {} objects",
        coverage.records, coverage.objects
    );
    if let (Some(first), Some(last)) = (coverage.first, coverage.last) {
        let _ = write!(html, ", from {} to {}", second(first), second(last));
    }
    let _ = write!(html, "; {} gaps.</p>", coverage.gaps.len());
    if !coverage.gaps.is_empty() {
        html.push_str("<ul>");
        for gap in coverage.gaps.iter().take(ROWS) {
            let _ = write!(
                html,
                "<li>{}: {}</li>",
                escape_breakable(&gap.what),
                escape(&gap.reason)
            );
        }
        html.push_str("</ul>");
        more(html, coverage.gaps.len());
    }
}

fn reasons(html: &mut String, title: &str, reasons: &[Reason]) {
    if reasons.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<h3>{title} ({})</h3><table class=\"cards\"><tr><th scope=\"col\">when</th><th scope=\"col\">what</th><th \
         scope=\"col\">indicator</th></tr>",
        reasons.len()
    );
    for reason in reasons.iter().take(ROWS) {
        let _ = write!(
            html,
            "<tr><td class=\"when\" data-name=\"when\">{}</td><td data-name=\"what\">{}<details><summary>evidence</summary>record {} of \
             <code>{}</code>, sha256 <code>{}</code>, event <code>{}</code></details></td><td class=\"name\" data-name=\"indicator\">{} \
             <small>({})</small></td></tr>",
            second(reason.at),
            escape_breakable(&reason.what),
            reason.evidence.record,
            escape_breakable(&reason.evidence.object),
            escape_breakable(reason.evidence.sha256.as_str()),
            escape_breakable(&reason.evidence.event_id),
            escape_breakable(&reason.indicator),
            escape_breakable(source_of(&reason.indicator)),
        );
    }
    html.push_str("</table>");
    more(html, reasons.len());
}

pub(super) fn verdicts(html: &mut String, report: &Report) {
    let chosen = report
        .selection
        .as_ref()
        .map(|selection| selection.set.id.as_str());
    if report.attack.candidates.is_empty() && report.verdicts.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Recovery sets</h2><table class=\"cards\"><tr><th scope=\"col\">set</th><th scope=\"col\">newest point</th><th \
         scope=\"col\">precedes the boundary</th><th scope=\"col\">verdict</th><th scope=\"col\">why</th></tr>",
    );
    for set in report.attack.candidates.iter().take(ROWS) {
        let verdict = set.verdict.map_or("○ not judged", |verdict| match verdict {
            Verdict::Clean => "✓ clean",
            Verdict::Tainted => "× tainted",
            Verdict::Unknown => "? unknown",
        });
        let considered = report
            .selection
            .iter()
            .flat_map(|selection| &selection.considered)
            .find(|considered| considered.set == set.set);
        let judged = report.verdicts.iter().find(|judged| judged.set == set.set);
        let reasons = match (considered, judged) {
            (Some(considered), _) => considered.reasons.clone(),
            (None, Some(judged)) => layers(judged),
            (None, None) => Vec::new(),
        };
        let restored = if chosen == Some(set.set.as_str()) {
            " <strong>(proposed)</strong>"
        } else {
            ""
        };
        let _ = write!(
            html,
            "<tr><td class=\"name\" data-name=\"set\"><code>{}</code>{restored}</td><td class=\"when\" data-name=\"newest point\">{}</td><td \
             data-name=\"precedes the boundary\">{}</td><td class=\"when\" data-name=\"verdict\">{verdict}</td><td data-name=\"why\">",
            escape(&set.set),
            second(set.at),
            if set.eligible { "yes" } else { "no" },
        );
        why(html, &reasons);
        html.push_str("</td></tr>");
    }
    html.push_str("</table>");
    more(html, report.attack.candidates.len());
    if let Some(cost) = report
        .selection
        .as_ref()
        .and_then(|selection| selection.cost.as_ref())
    {
        let _ = write!(
            html,
            "<p>Trials cost about {} of at most {} {}, by the plan's prices for each gigabyte restored and scanned.</p>",
            cost.spent,
            cost.ceiling,
            escape(&cost.currency)
        );
    }
}

/// The first reason of every kind, which is what stands before its colon; the others are folded up.
fn why(html: &mut String, reasons: &[String]) {
    let mut kinds = BTreeSet::new();
    let (first, others): (Vec<&String>, Vec<&String>) = reasons
        .iter()
        .partition(|reason| kinds.insert(reason.split(':').next().unwrap_or_default()));
    let list = |html: &mut String, reasons: &[&String]| {
        html.push_str("<ul class=\"plain\">");
        for reason in reasons {
            let _ = write!(html, "<li>{}</li>", escape_breakable(reason));
        }
        html.push_str("</ul>");
    };
    list(html, &first);
    if !others.is_empty() {
        let _ = write!(html, "<details><summary>{} more</summary>", others.len());
        list(html, &others);
        html.push_str("</details>");
    }
}

/// What every layer of a verdict said.
fn layers(judged: &SetVerdict) -> Vec<String> {
    let said = judged.layers.iter().flat_map(|(layer, said)| {
        let (layer, verdict): (&str, &str) = (layer.into(), said.verdict.into());
        let words = format!("{} {verdict}", layer.replace('_', " "));
        said.reasons
            .iter()
            .map(move |reason| format!("{words}: {reason}"))
    });
    said.collect()
}

pub(super) fn approval(html: &mut String, report: &Report) {
    let Some(gate) = &report.gate else { return };
    html.push_str("<h2>Approval</h2>");
    for earlier in &report.earlier_decisions {
        decided(html, &earlier.gate, &earlier.votes);
    }
    decided(html, gate, &report.votes);
}

fn decided(html: &mut String, gate: &GateRecord, votes: &[Vote]) {
    let state: &str = (&gate.state).into();
    let _ = write!(
        html,
        "<dl><dt>Gate</dt><dd>{state}{}</dd><dt>Digest</dt><dd><code>{}</code></dd><dt>Opened</dt><dd>{}</dd></dl>",
        match &gate.state {
            GateState::Approved { at, by } => format!(" at {} by {}", second(*at), escape(&by.join(", "))),
            GateState::Refused { at, by } => format!(" at {} by {}", second(*at), escape(by)),
            GateState::Void { at } | GateState::Expired { at } => format!(" at {}", second(*at)),
            GateState::Open {} => format!(" until {}", second(gate.decide_by)),
        },
        escape_breakable(gate.digest.as_str()),
        second(gate.opened)
    );
    for vote in votes {
        let decision = match vote.decision {
            Choice::Approve => "approved",
            Choice::Refuse => "refused",
        };
        let _ = write!(
            html,
            "<p><strong>{}</strong> {decision} at {}: {}</p>",
            escape(&vote.person),
            second(vote.at),
            escape(&vote.rationale)
        );
    }
}

/// What operators answered while the run was stuck.
pub(super) fn operators(html: &mut String, report: &Report) {
    if report.operators.is_empty() {
        return;
    }
    html.push_str("<h2>Operators</h2>");
    for answer in &report.operators {
        let _ = write!(
            html,
            "<p><strong>{}</strong> chose {} at {}: {}</p>",
            escape(&answer.person),
            escape(&answer.choice),
            second(answer.at),
            escape(&answer.rationale)
        );
    }
}
