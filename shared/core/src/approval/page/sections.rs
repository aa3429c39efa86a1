//! The parts of the page, in the order in which they are read.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, PreEscaped, html};

use super::{ROWS, View, characters, count, instant, shown, span, why_no_vote, word};
use crate::approval::PlannedReference;
use crate::approval::quorum::Outcome;
use crate::approval::vote::{Choice, MAXIMUM_RATIONALE};
use crate::chart::{self, AttackTimeline};
use crate::plan::Shift;
use crate::rebuild::CheckStatus;
use crate::timeline::Reason;
use crate::validation::Considered;

pub(super) fn summary(view: &View<'_>) -> Markup {
    let package = view.package;
    let accounts: BTreeSet<_> = package.references.iter().map(|r| &r.slot.account).collect();
    let lost = package.boundary.duration_since(package.set.oldest).as_secs();
    html! {
        section aria-labelledby="short" {
            h2 id="short" { "In short" }
            dl {
                dt { "Break-in" }
                dd { "first seen at " (instant(package.boundary)) }
                dt { "Proposed" }
                dd {
                    "data as of " (instant(package.set.oldest))
                    @if package.set.newest != package.set.oldest { " to " (instant(package.set.newest)) }
                    "; the last " (span(lost)) " before the break-in are given up"
                }
                dt { "Will change" }
                dd {
                    (count(package.references.len(), "document"))
                    @if !accounts.is_empty() { " in " (count(accounts.len(), "account")) }
                    ", " (count(package.names.len(), "DNS name")) ", " (count(package.secrets.len(), "secret")) ", "
                    (count(package.restores.len(), "restore")) " beside " (count(package.stacks.len(), "rebuilt stack"))
                }
                dt { "Votes" }
                dd { (standing(view)) }
                @if let Some(gate) = package.outer_gate.as_ref().filter(|_| package.finished.is_none()) {
                    dt { "After you" }
                    dd {
                        "the approval team " code { (shown(gate.team.rsplit('/').next().unwrap_or(&gate.team))) }
                        " is asked to open the vault; it is told the digest of this package"
                    }
                }
                dt { "Decide until" }
                dd {
                    (instant(view.rules.decide_by))
                    @let left = view.rules.decide_by.duration_since(view.now).as_secs();
                    @if left > 0 { " (" (span(left)) " left)" }
                    "; effects must begin by " (instant(package.execute_by))
                }
            }
        }
    }
}

fn standing(view: &View<'_>) -> String {
    match &view.tally.outcome {
        Outcome::Pending { approvals, needed } => format!("{approvals} of {needed} approvals"),
        Outcome::Approved { .. } => format!("the quorum of {} is complete", view.rules.quorum),
        Outcome::Refused { by, .. } => format!("refused by {}", shown(by)),
        Outcome::Expired => "not enough in time".to_owned(),
        Outcome::Void => "void: the event boundary moved".to_owned(),
    }
}

/// What an honest approver would want to be told before anything else.
pub(super) fn doubts(view: &View<'_>) -> Markup {
    let package = view.package;
    let evidence = &package.boundary_evidence;
    let mut doubts: Vec<String> = Vec::new();
    if view.moved {
        doubts.push(
            "Late evidence moved the event boundary: this package is void, and a new one is made.".to_owned(),
        );
    }
    if evidence
        .boundary
        .as_ref()
        .is_some_and(|boundary| boundary.unbounded)
    {
        doubts.push(
            "The intruder was there already when the logs begin: the break-in may be earlier.".to_owned(),
        );
    }
    if !evidence.suspects.is_empty() {
        doubts.push(format!(
            "{} did not set the boundary, because another actor showed more.",
            count(evidence.suspects.len(), "strong indicator")
        ));
    }
    if !evidence.coverage.gaps.is_empty() {
        doubts.push(format!(
            "{} of the logs could not be seen.",
            count(evidence.coverage.gaps.len(), "part")
        ));
    }
    if !package.waivers.is_empty() {
        doubts.push(format!(
            "{} to the old account: knowingly left alone.",
            count(package.waivers.len(), "reference")
        ));
    }
    if package.expand {
        doubts.push(
            "Until the end of the cutover both accounts are trusted: the old one must be contained by other means."
                .to_owned(),
        );
    }
    html! {
        @if !doubts.is_empty() {
            div.note.bad {
                strong { "Read this first" }
                ul { @for doubt in &doubts { li { (doubt) } } }
            }
        }
    }
}

pub(super) fn happened(view: &View<'_>) -> Markup {
    let evidence = &view.package.boundary_evidence;
    let coverage = &evidence.coverage;
    html! {
        section aria-labelledby="happened" {
            h2 id="happened" { "What happened" }
            (PreEscaped(chart::PATTERNS))
            (PreEscaped(AttackTimeline::of(Some(evidence), Some(view.selection)).figure()))
            @if let Some(boundary) = &evidence.boundary {
                p {
                    "The earliest act of the intruder is of " strong { (instant(boundary.best)) }
                    ", the first act that is hostile beyond doubt of " (instant(boundary.not_later_than))
                    "; the credential was first seen at " (instant(boundary.floor)) "."
                }
                (reasons("Records that set the boundary", &boundary.reasons))
            }
            @if !evidence.suspects.is_empty() {
                (reasons("Suspects that did not set it", &evidence.suspects))
            }
            p {
                (coverage.records) " records in " (coverage.objects) " objects were read"
                @if let (Some(first), Some(last)) = (coverage.first, coverage.last) {
                    ", from " (instant(first)) " to " (instant(last))
                }
                "."
            }
            @if !coverage.gaps.is_empty() {
                details open {
                    summary { "What could not be seen (" (coverage.gaps.len()) ")" }
                    ul {
                        @for gap in coverage.gaps.iter().take(ROWS) { li { (shown(&gap.what)) ": " (shown(&gap.reason)) } }
                    }
                    (more(coverage.gaps.len()))
                }
            }
        }
    }
}

fn reasons(name: &str, reasons: &[Reason]) -> Markup {
    html! {
        details {
            summary { (name) " (" (reasons.len()) ")" }
            table.rows {
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Record" } } }
                tbody {
                    @for reason in reasons.iter().take(ROWS) {
                        tr {
                            td data-name="When" { (instant(reason.at)) }
                            td data-name="What" { (shown(&reason.what)) " (" (shown(&reason.indicator)) ")" }
                            td data-name="Record" {
                                code { (shown(&reason.evidence.object)) } " record " (reason.evidence.record)
                            }
                        }
                    }
                }
            }
            (more(reasons.len()))
        }
    }
}

pub(super) fn proposed(view: &View<'_>) -> Markup {
    let package = view.package;
    html! {
        section aria-labelledby="proposed" {
            h2 id="proposed" { "What is proposed" }
            p { "Recovery set " code { (shown(&package.set.id)) } ", the newest that is proven clean." }
            table.rows {
                thead {
                    tr {
                        th scope="col" { "Resource" } th scope="col" { "As of" }
                        th scope="col" { "Recovery point" } th scope="col" { "Becomes" }
                    }
                }
                tbody {
                    @for restore in &package.restores {
                        tr {
                            th scope="row" { (shown(&restore.resource)) }
                            td data-name="As of" {
                                @if let Some(point) = package.set.points.get(&restore.resource) { (instant(point.latest)) }
                            }
                            td data-name="Recovery point" { code { (shown(&restore.recovery_point)) } }
                            td data-name="Becomes" { code { (shown(&restore.restore_to)) } }
                        }
                    }
                }
            }
            h3 { "What each check said of it" }
            ul {
                @for (layer, said) in &package.verdict.layers {
                    li {
                        (word((*layer).into())) ": " strong { (word(said.verdict.into())) }
                        @if !said.reasons.is_empty() {
                            ul { @for reason in said.reasons.iter().take(ROWS) { li { (shown(reason)) } } }
                        }
                    }
                }
            }
            h3 { "Every set that was looked at" }
            table.rows {
                thead {
                    tr { th scope="col" { "Newest point" } th scope="col" { "Verdict" } th scope="col" { "Why" } }
                }
                tbody { @for set in view.selection.considered.iter().take(ROWS) { (considered(set, &package.set.id)) } }
            }
            (more(view.selection.considered.len()))
        }
    }
}

fn considered(set: &Considered, chosen: &str) -> Markup {
    let verdict: &str = set.verdict.map_or("not judged", Into::into);
    html! {
        tr {
            th scope="row" { (instant(set.newest)) " " code { (shown(&set.set)) } }
            td data-name="Verdict" {
                (word(verdict))
                @if !set.eligible { ", too close to the break-in" }
                @if set.set == chosen { strong { ", proposed" } }
            }
            td data-name="Why" {
                @if set.reasons.is_empty() { "–" } @else {
                    ul { @for reason in set.reasons.iter().take(ROWS) { li { (shown(reason)) } } }
                }
            }
        }
    }
}

/// At a second gate: every step as it will be done.
pub(super) fn finished(view: &View<'_>) -> Markup {
    let Some(cutover) = view.cutover else {
        return html! {};
    };
    html! {
        section aria-labelledby="finished" {
            h2 id="finished" { "The finished cutover plan" }
            p {
                "What was approved before is restored. What follows: " (count(cutover.steps.len(), "change"))
                " to documents of other accounts, each proven to allow nothing beyond the approved rule."
            }
            @for step in cutover.steps.iter().take(ROWS) {
                details {
                    summary { (step.slot.kind) " of " code { (shown(&step.slot.arn)) } }
                    p { "Now:" }
                    pre { del { (shown(&step.before)) } }
                    p { "Then:" }
                    pre { ins { (shown(&step.after)) } }
                    p { (shown(&step.proof)) }
                }
            }
            (more(cutover.steps.len()))
        }
    }
}

pub(super) fn changes(view: &View<'_>) -> Markup {
    let package = view.package;
    let mut by_account: BTreeMap<_, Vec<&PlannedReference>> = BTreeMap::new();
    for reference in &package.references {
        by_account
            .entry(reference.slot.account.as_str())
            .or_default()
            .push(reference);
    }
    html! {
        section aria-labelledby="changes" {
            h2 id="changes" { "What will change" }
            h3 { "Documents that name the old account (" (package.references.len()) ")" }
            @for (account, references) in &by_account {
                details {
                    summary { "Account " (account) " (" (references.len()) ")" }
                    ul {
                        @for reference in references.iter().take(ROWS) {
                            li {
                                code { (shown(&reference.slot.arn)) } ", " (reference.slot.kind)
                                ", now " code { (reference.before.short()) }
                            }
                        }
                    }
                    (more(references.len()))
                }
            }
            p {
                @if package.expand {
                    "First the new account is let in beside the old one, at the end the old one is shut out."
                } @else {
                    "The old account is replaced by the new one in one step."
                }
                " The rule:"
            }
            ul {
                @for pair in package.identifiers.iter().take(ROWS) {
                    li { code { (shown(&pair.old)) } " becomes " code { (shown(&pair.new)) } }
                }
            }
            (more(package.identifiers.len()))
            @if !package.waivers.is_empty() {
                h3 { "References that stay" }
                ul {
                    @for waiver in &package.waivers { li { code { (shown(&waiver.document)) } ": " (shown(&waiver.reason)) " (" (shown(&waiver.by)) ")" } }
                }
            }
            h3 { "DNS names in zone " code { (shown(&package.zone)) } }
            ul {
                @for name in &package.names {
                    li {
                        code { (shown(&name.name)) " " (shown(&name.record_type)) } " will be "
                        code { (shown(&name.new.join(" "))) } ", and " code { (shown(&name.holding.join(" "))) }
                        " while that is not healthy"
                    }
                }
            }
            @if let Shift::Weighted { shares, hold_seconds } = &package.shift {
                p {
                    "Traffic moves in shares of "
                    (shares.iter().map(|share| format!("{share} %")).collect::<Vec<_>>().join(", "))
                    ", each looked at for " (hold_seconds) " seconds; the rest is answered by the holding page, and a share "
                    "that is not healthy goes back."
                }
            }
            h3 { "Credentials that get new values" }
            @if package.secrets.is_empty() && package.credentials.is_empty() { p { "None." } }
            ul {
                @for secret in &package.secrets { li { code { (shown(&secret.name)) } } }
                @for credential in &package.credentials { li { code { (shown(credential.name())) } } }
            }
            h3 { "Infrastructure that was rebuilt" }
            ul {
                @for stack in &package.stacks {
                    li { (shown(&stack.name)) ", template " code { (stack.template.short()) } }
                }
                @for check in &package.isolation {
                    li {
                        "isolation, " (shown(&check.check)) ": "
                        @match check.status {
                            CheckStatus::Pass => { "proven" }
                            CheckStatus::Fail => { strong { "fails" } }
                            CheckStatus::Unknown => { strong { "unknown" } }
                        }
                        @if check.status != CheckStatus::Pass { ": " (shown(&check.evidence)) }
                    }
                }
                @for waiver in &package.check_waivers {
                    li {
                        "waived, " (shown(<&str>::from(waiver.check))) ": " code { (shown(&waiver.subject)) } ": "
                        (shown(&waiver.reason)) " (" (shown(&waiver.by)) ")"
                    }
                }
            }
        }
    }
}

pub(super) fn votes(view: &View<'_>) -> Markup {
    html! {
        section aria-labelledby="votes" {
            h2 id="votes" { "Who has voted" }
            @if view.tally.counted.is_empty() { p { "Nobody yet." } }
            @for vote in view.tally.counted.values() {
                div.note.good[vote.decision == Choice::Approve].bad[vote.decision == Choice::Refuse] {
                    p {
                        strong { (shown(&vote.person)) }
                        @match vote.decision { Choice::Approve => { " approved" } Choice::Refuse => { " refused" } }
                        " at " (instant(vote.at))
                    }
                    p { (shown(&vote.rationale)) }
                }
            }
            @let waiting: Vec<String> = view
                .rules
                .eligible
                .iter()
                .filter(|person| !view.tally.counted.contains_key(person.as_str()))
                .map(|person| shown(person))
                .collect();
            p { "May still vote: " (waiting.join(", ")) "." }
            @if let Some(requester) = &view.rules.requester {
                p { (shown(requester)) " asked for this run and has no vote." }
            }
        }
    }
}

pub(super) fn ballot(view: &View<'_>) -> Markup {
    html! {
        section aria-labelledby="vote" {
            h2 id="vote" tabindex="-1" { "Your vote" }
            @if let Some(why) = why_no_vote(view) {
                p { (why) }
            } @else {
                form method="post" action={ "/runs/" (view.package.run) "/votes" } {
                    input type="hidden" name="digest" value=(view.gate.digest);
                    input type="hidden" name="form_key" value=(view.form_key);
                    label for="rationale" { "Why? In your own words" }
                    p.hint id="rationale-hint" { (characters(view.rules)) }
                    textarea id="rationale" name="rationale" required aria-describedby="rationale-hint"
                        minlength=(view.rules.minimum_rationale.max(1)) maxlength=(MAXIMUM_RATIONALE) {
                        (view.rationale)
                    }
                    p.hint {
                        "A vote cannot be changed. Approving counts for exactly this package; one refusal ends the run."
                    }
                    div.choices {
                        button type="submit" name="decision" value="approve" { "Approve" }
                        button.refuse type="submit" name="decision" value="refuse" { "Refuse" }
                    }
                }
            }
        }
    }
}

fn more(length: usize) -> Markup {
    html! {
        @if length > ROWS { p { "and " (length - ROWS) " more, which are in the package" } }
    }
}
