use blackstart_core::timeline::BoundaryDocument;

use super::*;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name)
}

#[test]
fn a_new_user_sees_the_boundary_and_gets_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = Vec::new();
    let args = Args::of(vec![data("invictus-ir")], Some(folder.path().to_owned()));
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    assert!(run(&args, now, &mut text).unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.starts_with("Event boundary  2023-07-10T11:54:33Z\n"),
        "{text}"
    );
    let document: BoundaryDocument =
        serde_json::from_slice(&fs::read(folder.path().join("boundary.json")).unwrap()).unwrap();
    assert!(text.contains(&format!("{} records", document.coverage.records)));
    let lines = fs::read_to_string(folder.path().join("timeline.jsonl")).unwrap();
    let table = fs::read_to_string(folder.path().join("timeline.csv")).unwrap();
    assert!(lines.lines().count() > 2000);
    assert_eq!(lines.lines().count() + 1, table.lines().count());
    let shown: Vec<_> = text.lines().filter(|line| line.starts_with("> ")).collect();
    assert_eq!(shown.len(), 7, "{text}");
    assert!(shown[0].starts_with("> 2023-07-10T11:54:33Z"), "{text}");
    #[cfg(feature = "parquet")]
    assert!(
        fs::read(folder.path().join("timeline.parquet"))
            .unwrap()
            .starts_with(b"PAR1")
    );
}

#[test]
fn digest_files_prove_the_logs_of_a_copied_folder() {
    let mut args = Args::of(vec![data("cloudtrail-digests")], None);
    args.digest_keys = Some(data("cloudtrail-digests/public-keys.json"));
    let now = "2027-01-01T00:00:00Z".parse().unwrap();
    let mut text = Vec::new();
    assert!(run(&args, now, &mut text).unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Event boundary  2025-03-04T10:20:00Z\n"), "{text}");
    assert!(
        text.contains("Digest files: 2 with a right signature; 4 log files proven"),
        "{text}"
    );
    assert!(
        text.contains("seen: CloudTrail, account 111122223333 eu-central-1: 4 objects"),
        "{text}"
    );
}

#[test]
fn a_file_of_any_source_is_known_by_its_content_and_joins_the_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "flows.txt",
        "2 111122223333 eni-1 10.0.0.5 198.51.100.77 443 5000 6 10 4096 1741077000 1741077060 ACCEPT OK\n",
    );
    write(
        "shop.log",
        r#"{"at":"2025-03-04T10:00:00Z","ip":"198.51.100.77","op":"view"}"#,
    );
    write(
        "format.json",
        r#"{"name":"shop","time":"at","address":"ip","action":"op","message":"op"}"#,
    );
    let mut args = Args::of(
        vec![
            data("cloudtrail-digests/AWSLogs/111122223333/CloudTrail"),
            folder.path().to_owned(),
        ],
        Some(folder.path().join("out")),
    );
    args.workload_format = Some(folder.path().join("format.json"));
    let now = "2027-01-01T00:00:00Z".parse().unwrap();
    assert!(run(&args, now, &mut Vec::new()).unwrap());
    let document: BoundaryDocument =
        serde_json::from_slice(&fs::read(folder.path().join("out/boundary.json")).unwrap()).unwrap();
    let boundary = document.boundary.unwrap();
    assert_eq!(boundary.best.to_string(), "2025-03-04T10:20:00Z");
    assert_eq!(boundary.floor.to_string(), "2025-03-04T08:30:00Z");
    let lines = fs::read_to_string(folder.path().join("out/timeline.jsonl")).unwrap();
    for source in ["vpc_flow_logs", "workload:shop", "cloudtrail"] {
        assert!(
            lines.contains(&format!("\"source\":\"{source}\"")),
            "{source}: {lines}"
        );
    }
}

#[test]
fn settings_that_are_wrong_are_said_with_everything_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("format.json");
    fs::write(
        &file,
        r#"{"name":"","indicators":[{"id":"A","reason":"","when":[]}]}"#,
    )
    .unwrap();
    let mut args = Args::of(vec![data("invictus-ir")], None);
    args.workload_format = Some(file);
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let error = run(&args, now, &mut Vec::new()).unwrap_err().to_string();
    for part in [
        "format.name",
        "indicators[0].id",
        "indicators[0].reason",
        "indicators[0].when",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    args.workload_format = None;
    args.digest_keys = Some(data("README.md"));
    let error = run(&args, now, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("list-public-keys"), "{error}");
}

#[test]
fn a_missing_path_and_an_empty_folder_are_said() {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let missing = run(
        &Args::of(vec![PathBuf::from("no-such")], None),
        now,
        &mut Vec::new(),
    );
    assert!(missing.unwrap_err().to_string().contains("`no-such`"));
    let folder = tempfile::tempdir().unwrap();
    let empty = run(
        &Args::of(vec![folder.path().to_owned()], None),
        now,
        &mut Vec::new(),
    );
    assert!(matches!(empty, Err(TimelineError::NoLogs)));
}

#[test]
fn logs_without_indicator_give_no_boundary() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    fs::write(&file, r#"{"Records":[]}"#).unwrap();
    let mut text = Vec::new();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    assert!(!run(&Args::of(vec![file], None), now, &mut text).unwrap());
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("let a person set the boundary")
    );
}
