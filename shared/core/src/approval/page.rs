//! The page on which people decide: one HTML document without scripts and without anything from elsewhere.
//!
//! Nearly everything on it comes from logs, file names, tags and policies, so it is hostile text: [`maud`] escapes
//! what is put into the templates, and [`shown`] takes out what would be invisible or reorder what people read.

mod sections;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::DecisionPackage;
use super::gate::{GateRecord, GateState};
use super::quorum::{Rules, Tally};
use super::vote::MAXIMUM_RATIONALE;
use crate::chart;
use crate::cutover::CutoverDocument;
use crate::validation::SelectionDocument;

const STYLE: &str = include_str!("page/style.css");

/// How many rows of a long table the page shows; the package has all.
const ROWS: usize = 200;

/// Everything that the page of a decision shows.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The package that is before the approvers.
    pub package: &'a DecisionPackage,
    /// Why this recovery set, and every other that was looked at.
    pub selection: &'a SelectionDocument,
    /// The finished cutover plan, at a second gate.
    pub cutover: Option<&'a CutoverDocument>,
    /// Its gate.
    pub gate: &'a GateRecord,
    /// Who may vote, and how many must.
    pub rules: &'a Rules,
    /// The votes so far.
    pub tally: &'a Tally<'a>,
    /// Whether the event boundary moved after the package was made.
    pub moved: bool,
    /// Who is looking, by name in the roster.
    pub person: &'a str,
    /// Goes back with the vote, to show that it was cast on this page.
    pub form_key: &'a str,
    /// When it is looked at.
    pub now: Timestamp,
    /// What became of the vote that was just sent.
    pub notice: Option<Notice<'a>>,
    /// What was typed as rationale and did not count; nobody should have to write it twice.
    pub rationale: &'a str,
}

/// One sentence at the top of the page.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// The sentence.
    pub text: &'a str,
    /// Whether it says that something was not done.
    pub bad: bool,
}

/// A page with the content security policy under which it must be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The document.
    pub html: String,
    /// The value of the header `Content-Security-Policy`.
    pub policy: String,
}

/// The page of one decision.
#[must_use]
pub fn decision(view: &View<'_>) -> Page {
    let title = format!("{}: {}", view.package.workload, heading(view));
    document(
        &title,
        &html! {
            header {
                h1 { (shown(&title)) }
                p {
                    "run " code { (view.package.run) } " · " (word(view.package.mode.into()))
                    " · package " code { (view.gate.digest.short()) } " · you are " strong { (shown(view.person)) }
                }
                p { a.skip href="#vote" { "Go to the vote" } }
            }
            main {
                @if let Some(notice) = &view.notice {
                    div.note.bad[notice.bad].good[!notice.bad] role="status" { p { (shown(notice.text)) } }
                }
                (sections::summary(view))
                (sections::doubts(view))
                (sections::happened(view))
                (sections::proposed(view))
                (sections::finished(view))
                (sections::changes(view))
                (sections::votes(view))
                (sections::ballot(view))
            }
            footer {
                p { "The whole package has the digest " code { (view.gate.digest) } "." }
                form method="post" action="/sign-out" {
                    input type="hidden" name="form_key" value=(view.form_key);
                    button.plain type="submit" { "Sign out" }
                }
            }
        },
        None,
    )
}

/// A page that says one thing, with at most one way on.
#[must_use]
pub fn message(title: &str, text: &str, way_on: Option<(&str, &str)>) -> Page {
    document(title, &one_thing(title, text, way_on), None)
}

/// A page that says one thing and goes on by itself. The address is one of this gateway's own paths.
#[must_use]
pub fn forward(title: &str, text: &str, to: &str) -> Page {
    document(title, &one_thing(title, text, Some((to, "Go on"))), Some(to))
}

fn one_thing(title: &str, text: &str, way_on: Option<(&str, &str)>) -> Markup {
    html! {
        main {
            h1 { (shown(title)) }
            p { (shown(text)) }
            @if let Some((to, name)) = way_on {
                p { a href=(to) { (name) } }
            }
        }
    }
}

fn document(title: &str, body: &Markup, forward_to: Option<&str>) -> Page {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                @if let Some(to) = forward_to {
                    meta http-equiv="refresh" content={ "0;url=" (to) };
                }
                title { (shown(title)) }
                style { (PreEscaped(style())) }
            }
            body { (body) }
        }
    };
    Page {
        html: html.into_string(),
        policy: policy(),
    }
}

fn style() -> String {
    format!("{}\n{STYLE}", chart::STYLE)
}

/// Nothing may be loaded, run, framed or sent elsewhere; only this very style sheet is applied.
#[must_use]
fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(style().as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

fn heading(view: &View<'_>) -> &'static str {
    match &view.gate.state {
        GateState::Open {} if view.moved => "this package is void",
        GateState::Open {} if view.now > view.rules.decide_by => "the time to decide is over",
        GateState::Open {} if view.package.finished.is_some() => "a second decision is needed",
        GateState::Open {} => "a decision is needed",
        GateState::Approved { .. } => "approved",
        GateState::Refused { .. } => "refused",
        GateState::Expired { .. } => "nobody decided in time",
        GateState::Void { .. } => "this package is void",
    }
}

/// Why the person who is looking cannot vote; `None` if a vote would be taken.
#[must_use]
pub fn why_no_vote(view: &View<'_>) -> Option<&'static str> {
    match &view.gate.state {
        GateState::Approved { .. } => return Some("The package is approved already, which is final."),
        GateState::Refused { .. } => return Some("The package is refused already, which is final."),
        GateState::Expired { .. } => return Some("Nobody decided in time; the run has ended."),
        GateState::Void { .. } => return Some(VOID),
        GateState::Open {} => {}
    }
    if view.moved {
        Some(VOID)
    } else if view.now > view.rules.decide_by {
        Some("The time to decide is over.")
    } else if view.rules.requester.as_deref() == Some(view.person) {
        Some("You asked for this run, so others must decide on it.")
    } else if !view.rules.eligible.contains(view.person) {
        Some("The plan's roster does not let you vote on this run.")
    } else if view.tally.counted.contains_key(view.person) {
        Some("You have voted on this package, and a vote cannot be changed.")
    } else {
        None
    }
}

const VOID: &str = "Late evidence moved the event boundary, so this package can no longer be decided on. \
                    A new one is being made; look again in a minute.";

/// Text for people: what is invisible or changes the direction of writing becomes visible.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => '\u{fffd}',
            '\n' | '\t' => c,
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// An enum's snake case, for people.
fn word(name: &str) -> String {
    name.replace('_', " ")
}

fn instant(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%SZ")) } }
}

/// A span of time in the two largest units that matter.
fn span(seconds: i64) -> String {
    let minutes = seconds / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

/// A number of things: `1 document`, `2 documents`, `no document`.
fn count(number: usize, thing: &str) -> String {
    match number {
        0 => format!("no {thing}"),
        1 => format!("1 {thing}"),
        many => format!("{many} {thing}s"),
    }
}

fn characters(rules: &Rules) -> String {
    format!(
        "At least {} characters, at most {MAXIMUM_RATIONALE}. It is kept with the evidence.",
        rules.minimum_rationale.max(1)
    )
}

#[cfg(test)]
mod tests;
