use jiff::ToSpan as _;

use super::*;

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + minute.minutes()
}

fn candidate(minute: i64, verdict: Option<Verdict>) -> CandidateMark {
    CandidateMark {
        set: format!("set-{minute}<"),
        at: at(minute),
        verdict,
        eligible: minute < 1_000,
        chosen: verdict == Some(Verdict::Clean),
    }
}

fn timeline() -> AttackTimeline {
    AttackTimeline {
        indicators: BTreeMap::from([
            (
                "<script>".to_owned(),
                (1_000..1_100).map(|minute| (at(minute), 1)).collect(),
            ),
            (ACTS.to_owned(), BTreeMap::from([(at(1_010), 1)])),
        ]),
        boundary: Some(BoundaryMarks {
            floor: at(990),
            best: at(1_000),
            not_later_than: at(1_010),
            unbounded: false,
        }),
        candidates: vec![
            candidate(1_090, Some(Verdict::Tainted)),
            candidate(1_030, Some(Verdict::Unknown)),
            candidate(970, Some(Verdict::Clean)),
            candidate(900, None),
        ],
    }
}

#[test]
fn sources_and_names_are_inert_and_the_chart_is_said_in_words() {
    let figure = timeline().figure();
    assert!(!figure.contains("<script"));
    assert!(figure.contains("1 clean, 1 tainted, 1 unknown, 1 not judged"));
    assert!(figure.contains("&lt;script&gt;: 100 from 1970-01-01 16:40"));
    assert!(
        figure.contains("◂ 1 older"),
        "what is left of the axis is counted"
    );
    assert!(AttackTimeline::default().figure().is_empty());
}

#[test]
fn many_indicators_are_counted_not_drawn() {
    let mut many = timeline();
    many.indicators.insert(
        "cloudtrail".to_owned(),
        (0..10_000).map(|minute| (at(minute), 1)).collect(),
    );
    assert!(many.figure().len() < 60_000, "{}", many.figure().len());
}

#[test]
fn a_long_timeline_is_thinned_and_nothing_is_lost() {
    let mut lines = String::new();
    for minute in 0..10_000 {
        let source = if minute % 10 == 0 {
            "guardduty"
        } else {
            "cloudtrail"
        };
        let row =
            serde_json::json!({"datetime": at(minute), "source": source, "indicators": ["i"], "more": 1});
        lines.push_str(&format!("{row}\n"));
    }
    lines.push_str("not a row\n");
    lines.push_str(&serde_json::json!({"datetime": at(0), "source": "x", "indicators": []}).to_string());
    let seen = seen_in(lines.as_bytes());
    let totals: Vec<_> = seen
        .iter()
        .map(|(source, counts)| (source.as_str(), total(counts)))
        .collect();
    assert_eq!(totals, [("cloudtrail", 9_000), ("guardduty", 1_000), (ACTS, 1)]);
    assert!(seen["cloudtrail"].len() <= 1_001);
}

#[test]
fn the_source_of_an_indicator_is_before_its_colon() {
    for (indicator, source) in [
        ("guardduty:Impact:S3/x", "guardduty"),
        ("s3.delete-objects", "cloudtrail"),
        ("actor", ACTS),
        ("flow-logs:port-scan", "flow-logs"),
    ] {
        assert_eq!(source_of(indicator), source);
    }
}
