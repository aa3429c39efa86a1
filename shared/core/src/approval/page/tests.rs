use jiff::SignedDuration;

use super::*;
use crate::approval::fixtures::{Inputs, artifact, inputs};
use crate::approval::package::Sealed;
use crate::approval::quorum::tally;
use crate::approval::vote::{Choice, Vote};
use crate::plan::Waiver;
use crate::validation::{Considered, Verdict};

/// Breaks out of text, attributes, scripts and directions of writing.
const HOSTILE: &str =
    "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>&amp;\u{202e}gnp\u{0}";

struct Scene {
    sealed: Sealed,
    gate: GateRecord,
    rules: Rules,
    votes: Vec<Vote>,
    selection: SelectionDocument,
    cutover: Option<CutoverDocument>,
    now: Timestamp,
    moved: bool,
    person: &'static str,
    rationale: &'static str,
}

fn scene(inputs: &Inputs) -> Scene {
    let sealed = inputs.build().unwrap();
    let now: Timestamp = "2026-03-01T13:00:00Z".parse().unwrap();
    let gate = GateRecord::open(
        &sealed.package,
        artifact("package"),
        sealed.digest.clone(),
        None,
        now,
    );
    let rules = gate.rules(&inputs.plan);
    let mut selection = inputs.selection.clone();
    selection.considered = vec![
        Considered {
            set: "newer".into(),
            newest: "2026-02-22T00:00:00Z".parse().unwrap(),
            eligible: false,
            verdict: Some(Verdict::Tainted),
            reasons: vec!["first reason".into(), "second reason".into()],
        },
        Considered {
            set: "abc".into(),
            newest: "2026-02-20T00:00:00Z".parse().unwrap(),
            eligible: true,
            verdict: Some(Verdict::Clean),
            reasons: vec![],
        },
    ];
    Scene {
        selection,
        cutover: None,
        sealed,
        gate,
        rules,
        votes: Vec::new(),
        now,
        moved: false,
        person: "ada",
        rationale: "",
    }
}

impl Scene {
    fn page(&self) -> Page {
        let tally = tally(&self.votes, &self.rules, self.moved, self.now);
        decision(&View {
            package: &self.sealed.package,
            selection: &self.selection,
            cutover: self.cutover.as_ref(),
            gate: &self.gate,
            rules: &self.rules,
            tally: &tally,
            moved: self.moved,
            person: self.person,
            form_key: "k",
            now: self.now,
            notice: None,
            rationale: self.rationale,
        })
    }

    fn vote(&self, person: &str, decision: Choice, rationale: &str) -> Vote {
        Vote {
            at: self.now,
            person: person.into(),
            identity: "arn".into(),
            digest: self.gate.digest.clone(),
            decision,
            rationale: rationale.into(),
        }
    }
}

#[test]
fn the_page_shows_everything_that_is_decided_on() {
    let mut inputs = inputs();
    inputs.plan.references.waivers.push(Waiver {
        document: "arn:aws:iam::666666666666:role/one".into(),
        reason: "to be deleted".into(),
        by: "grace".into(),
    });
    let scene = scene(&inputs);
    let html = scene.page().html;
    for wanted in [
        // what happened
        "2026-02-21 00:00:00Z",
        "ListBuckets by role/ci",
        "console login without a second factor",
        "StopLogging",
        "The intruder was there already",
        "<svg",
        // what is proposed, and why not the others
        "arn:aws:backup:us-east-1:222222222222:recovery-point:1",
        "orders-data-new",
        "<li>first reason</li>",
        "<li>second reason</li>",
        "tainted, too close to the break-in",
        "trial restore: <strong>clean</strong>",
        // what will change
        "arn:aws:iam::666666666666:role/two",
        "444444444444</code> becomes <code>333333333333",
        "to be deleted",
        "orders.example.",
        "192.0.2.9",
        "isolation, egress: proven",
        // who decides
        "0 of 2 approvals",
        "May still vote: ada, bob, eve",
        "2026-03-02 12:00:00Z",
        "23 h left",
    ] {
        assert!(html.contains(wanted), "{wanted}");
    }
    assert!(html.contains(scene.gate.digest.as_str()));
    assert_eq!(html.matches("<form").count(), 2);
}

#[test]
fn hostile_text_stays_text_wherever_it_comes_from() {
    let plain = scene(&inputs()).page().html;
    let mut inputs = inputs();
    let boundary = &mut inputs.boundary;
    boundary.coverage.gaps[0].what = HOSTILE.into();
    boundary.coverage.gaps[0].reason = HOSTILE.into();
    boundary.suspects[0].what = HOSTILE.into();
    let reason = &mut boundary.boundary.as_mut().unwrap().reasons[0];
    reason.what = HOSTILE.into();
    reason.indicator = HOSTILE.into();
    reason.evidence.object = HOSTILE.into();
    inputs.selection.set.id = HOSTILE.into();
    inputs.selection.verdict.set = HOSTILE.into();
    inputs.selection.set.points.get_mut("data").unwrap().arn = HOSTILE.into();
    for said in inputs.selection.verdict.layers.values_mut() {
        said.reasons = vec![HOSTILE.into()];
    }
    inputs.plan.resources[0].restore_to = HOSTILE.into();
    inputs.plan.cutover.zone = HOSTILE.into();
    inputs.plan.cutover.names[0].name = HOSTILE.into();
    inputs.plan.cutover.names[0].new = vec![HOSTILE.into()];
    inputs.plan.references.identifiers[0].old = HOSTILE.into();
    inputs.inventory.documents[1].slot.arn = format!("arn:aws:iam::666666666666:role/two{HOSTILE}");
    inputs.rebuild.isolation[0].check = HOSTILE.into();
    inputs.rebuild.stacks[0]
        .outputs
        .insert("x".into(), HOSTILE.into());
    let mut scene = scene(&inputs);
    scene.selection.considered[0].reasons = vec![HOSTILE.into()];
    scene.selection.considered[0].set = HOSTILE.into();
    scene.votes = vec![scene.vote("bob", Choice::Approve, HOSTILE)];
    scene.rationale = "</textarea><script>alert(1)</script>";
    let html = scene.page().html;

    let tags = |html: &str, tag: &str| html.matches(tag).count();
    for tag in [
        "</title></style>",
        "<script",
        "<img",
        "<b>",
        "onerror=alert(1)>",
        "\u{202e}",
        "\u{0}",
    ] {
        assert_eq!(tags(&html, tag), 0, "{tag}");
    }
    for tag in ["<style", "</style", "<textarea", "</textarea"] {
        assert_eq!(tags(&html, tag), tags(&plain, tag), "{tag}");
    }
    assert!(tags(&html, "&lt;script&gt;alert(1)&lt;/script&gt;") > 15);
}

#[test]
fn the_policy_allows_this_style_and_nothing_else() {
    let page = scene(&inputs()).page();
    let style = page
        .html
        .split("<style>")
        .nth(1)
        .unwrap()
        .split("</style>")
        .next()
        .unwrap();
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    assert!(
        page.policy
            .starts_with(&format!("default-src 'none'; style-src 'sha256-{hash}';"))
    );
    for needed in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
        assert!(page.policy.contains(needed));
    }
    assert!(!page.policy.contains("unsafe"));
    let markup = page.html.replace(style, "");
    for outside in [
        "http://",
        "https://",
        " style=",
        " src=",
        " onclick",
        " onload",
        " onsubmit",
    ] {
        assert!(!markup.contains(outside), "{outside}");
    }
}

#[test]
fn only_who_may_vote_is_offered_a_vote() {
    let base = inputs();
    let offered = |scene: &Scene| scene.page().html.contains("<textarea");
    assert!(offered(&scene(&base)));

    let mut voted = scene(&base);
    voted.votes = vec![voted.vote("ada", Choice::Approve, "looked at every set and its checks")];
    assert!(!offered(&voted));
    assert!(voted.page().html.contains("1 of 2 approvals"));

    let mut late = scene(&base);
    late.now = late.rules.decide_by + SignedDuration::from_secs(1);
    let mut void = scene(&base);
    void.moved = true;
    let mut requester = scene(&base);
    requester.rules.eligible.remove("ada");
    requester.rules.requester = Some("ada".into());
    let mut stranger = scene(&base);
    stranger.person = "mallory";
    let at = base.build().unwrap().package.decide_by;
    let decided = [
        GateState::Approved { at, by: vec![] },
        GateState::Refused { at, by: "bob".into() },
        GateState::Expired { at },
        GateState::Void { at },
    ];
    let decided = decided.into_iter().map(|state| {
        let mut closed = scene(&base);
        closed.gate.state = state;
        closed
    });
    for (n, scene) in [late, void, requester, stranger]
        .into_iter()
        .chain(decided)
        .enumerate()
    {
        assert!(!offered(&scene), "case {n}");
    }
}

#[test]
fn a_voided_package_says_so_before_anything_else() {
    let mut scene = scene(&inputs());
    scene.moved = true;
    let html = scene.page().html;
    assert!(html.contains("<h1>orders: this package is void</h1>"));
    assert!(html.contains("a new one is made"));
}

#[test]
fn ten_thousand_documents_do_not_make_ten_thousand_rows() {
    let mut scene = scene(&inputs());
    let one = scene.sealed.package.references[0].clone();
    scene.sealed.package.references = vec![one; 10_000];
    let html = scene.page().html;
    assert!(html.contains("and 9800 more"));
    assert!(html.len() < 200_000, "{}", html.len());
}

#[test]
fn a_second_gate_shows_every_step_of_the_finished_plan() {
    let mut scene = scene(&inputs());
    let step = serde_json::json!({
        "id": "expand-1", "slot": scene.sealed.package.references[0].slot, "account": "666666666666", "phase": "expand",
        "before": format!("{{\"old\": \"{HOSTILE}\"}}"), "after": "{\"new\": 1}", "proof": "nothing more is allowed",
    });
    let document = serde_json::json!({
        "schema": "blackstart.cutover/1", "package": scene.sealed.digest, "steps": [step],
        "traffic": {"zone": "Z1", "before": [], "after": []},
    });
    scene.cutover = Some(serde_json::from_value(document).unwrap());
    let html = scene.page().html;
    for wanted in [
        "The finished cutover plan",
        "{&quot;new&quot;: 1}",
        "nothing more is allowed",
    ] {
        assert!(html.contains(wanted), "{wanted}");
    }
    assert!(!html.contains("<script"));
}

#[test]
fn what_was_typed_is_not_lost() {
    let mut scene = scene(&inputs());
    scene.rationale = "too short & so on";
    assert!(scene.page().html.contains(">too short &amp; so on</textarea>"));
}
