//! `blackstart timeline`: the event boundary of a folder of logs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use blackstart_aws::digest_signature;
use blackstart_core::artifact::canonical_json;
use blackstart_core::plan::{DigestKey, WorkloadFormat};
use blackstart_core::timeline::boundary::Established;
use blackstart_core::timeline::case::{Acts, Case};
use blackstart_core::timeline::digests::{self, Checked};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader, printable_up_to};
use blackstart_core::timeline::rows::{Row, Selection, csv, json_lines, ordered};
use blackstart_core::timeline::sketch::Sketch;
use blackstart_core::timeline::sweep::{Sweep, Swept};
use blackstart_core::timeline::{BoundaryDocument, Gap, ocsf};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::indicators;

/// Rows printed before and from the boundary on.
const ROWS_BEFORE: usize = 3;
const ROWS_FROM: usize = 7;

/// Gaps, actors and suspects that are printed; the document has all.
const PRINTED: usize = 8;

/// Finds the event boundary in logs on this machine: CloudTrail, findings of GuardDuty and Security Hub, VPC Flow
/// Logs, logs of the workload.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Log files, or folders of them (`.json`, `.jsonl`, `.log`, `.txt`, each also with `.gz`). What a file holds is
    /// recognised by its content.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A file of GuardDuty findings: from the API, from EventBridge, or exported. Their actors are looked for in the
    /// logs; they can make the boundary earlier, never later.
    #[arg(long, value_name = "FILE")]
    finding: Vec<PathBuf>,
    /// The public keys of the trail's digest files, as `aws cloudtrail list-public-keys` prints them: log files are
    /// then compared with the digest files among the paths.
    #[arg(long, value_name = "FILE")]
    digest_keys: Option<PathBuf>,
    /// What the fields of the workload's own log mean: a JSON file with the `format` of a plan's `workload` source.
    #[arg(long, value_name = "FILE")]
    workload_format: Option<PathBuf>,
    #[command(flatten)]
    indicators: indicators::Args,
    /// Writes `boundary.json`, `timeline.jsonl` (which Timesketch imports), `timeline.csv` and `findings.ocsf.jsonl`
    /// (OCSF Detection Findings) to this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Why there is no answer. Logs that cannot be read are no error but a gap in the answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TimelineError {
    /// A path that was named does not exist.
    #[error("`{}` cannot be read: check the path", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No file to read under the paths.
    #[error(
        "there is no log file under the given paths; they end in .json, .jsonl, .log or .txt, also with .gz"
    )]
    NoLogs,
    /// The indicators cannot be applied.
    #[error(transparent)]
    Indicators(#[from] indicators::IndicatorsError),
    /// A file that says how to read the logs is not what it should be.
    #[error("`{}` is not {expected}: {}", .path.display(), .why.join("; "))]
    Setting {
        /// The path.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// Everything that is wrong with it.
        why: Vec<String>,
    },
    /// The results cannot be written.
    #[error("`{}` cannot be written", .path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document has no JSON form.
    #[error("the result cannot be written as JSON")]
    NotJson(#[source] Box<dyn std::error::Error + Send + Sync>),
}

struct LogFile<'f> {
    path: PathBuf,
    kind: Kind<'f>,
    /// Whether it is said beside the logs.
    late: bool,
}

/// Runs the command. The answer says whether a boundary was found.
pub(crate) fn run(args: &Args, now: Timestamp, out: &mut dyn io::Write) -> Result<bool, TimelineError> {
    let keys = args.digest_keys.as_deref().map(digest_keys).transpose()?;
    let format = args.workload_format.as_deref().map(workload_format).transpose()?;
    let (files, unreachable) = files(args, format.as_ref())?;
    let (table, not_applied) = indicators::table(&args.indicators)?;
    let reader = Reader {
        hash_content: keys.is_some(),
        ..Reader::new(table, now)
    };
    let bar = ProgressBar::new(files.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} files {per_sec}") {
        bar.set_style(style);
    }
    let read: Vec<Result<Swept, Gap>> = files
        .par_iter()
        .map_init(
            || Sweep::new(&reader),
            |sweep, file| {
                let name = file.path.to_string_lossy();
                bar.inc(1);
                match fs::read(&file.path) {
                    Ok(bytes) if file.late => Ok(Swept {
                        facts: reader.read(&name, &bytes, file.kind),
                        sketch: Sketch::default(),
                    }),
                    Ok(bytes) => Ok(sweep.read(&name, &bytes, file.kind)),
                    Err(error) => Err(Gap {
                        what: name.into_owned(),
                        reason: error.to_string(),
                    }),
                }
            },
        )
        .collect();
    bar.finish_and_clear();
    let (mut case, mut sketches) = (Case::default(), Vec::new());
    let (mut late, mut gaps) = (Vec::new(), [unreachable, not_applied].concat());
    for (number, (file, read)) in (0_u64..).zip(files.iter().zip(read)) {
        match read {
            Ok(read) if file.late => late.push(read.facts),
            Ok(read) => {
                case.add(read.facts);
                sketches.push((number, read.sketch));
            }
            Err(gap) => gaps.push(gap),
        }
    }
    let checked = keys.as_ref().map_or_else(Checked::default, |keys| {
        digests::check(case.objects(), keys, &digest_signature::verify)
    });
    gaps.extend(checked.gaps);
    let mut pivot = case.pivot(&late);
    while {
        for (number, sketch) in &sketches {
            pivot.see(*number, sketch);
        }
        pivot.turn()
    } {}
    let mut acts = Acts::of(pivot.finish());
    let traced = acts.traced();
    // A file that is gone since the first pass has no acts here; its strong indicators are kept.
    let read_again = |file: &LogFile<'_>| fs::read(&file.path).unwrap_or_default();
    let again: Vec<ObjectFacts> = files
        .par_iter()
        .enumerate()
        .filter(|(number, file)| traced.wants(*number as u64, &file.path.to_string_lossy()))
        .map(|(_, file)| reader.read(&file.path.to_string_lossy(), &read_again(file), file.kind))
        .collect();
    for facts in &again {
        acts.add(facts);
    }
    let Established {
        document,
        actors,
        objects,
    } = case.establish(acts, &gaps, &checked.unseen, &late);
    let selection = Selection::of(&reader, &actors);
    let rows: Vec<Row> = files
        .par_iter()
        .filter(|file| objects.contains(file.path.to_string_lossy().as_ref()))
        .flat_map_iter(|file| selection.rows(&file.path.to_string_lossy(), &read_again(file), file.kind))
        .collect();
    let rows = ordered(rows);
    let mut text = String::new();
    describe(&mut text, &document, &rows);
    if keys.is_some() {
        let _ = writeln!(
            text,
            "Digest files: {} with a right signature; {} log files proven to lie as they were delivered",
            checked.signed, checked.proven
        );
    }
    let to = |path: &Path| {
        let path = path.to_owned();
        move |source| TimelineError::Write { path, source }
    };
    out.write_all(text.as_bytes())
        .map_err(to(Path::new("standard output")))?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(to(folder))?;
        let established = &document;
        let document = canonical_json(established).map_err(|e| TimelineError::NotJson(Box::new(e)))?;
        let lines = json_lines(&rows).map_err(|e| TimelineError::NotJson(Box::new(e)))?;
        let found = ocsf::findings(established, now).map_err(|e| TimelineError::NotJson(Box::new(e)))?;
        for (name, bytes) in [
            ("boundary.json", document),
            ("findings.ocsf.jsonl", found),
            ("timeline.jsonl", lines),
            ("timeline.csv", csv(&rows).into_bytes()),
        ] {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(to(&path))?;
        }
    }
    Ok(document.boundary.is_some())
}

/// The answer of `ListPublicKeys`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKeys {
    public_key_list: Vec<PublicKey>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKey {
    value: String,
    fingerprint: String,
}

fn digest_keys(path: &Path) -> Result<Vec<DigestKey>, TimelineError> {
    let keys: PublicKeys = setting(path, "the output of `aws cloudtrail list-public-keys`")?;
    let key = |key: PublicKey| DigestKey {
        fingerprint: key.fingerprint,
        value: key.value,
    };
    Ok(keys.public_key_list.into_iter().map(key).collect())
}

fn workload_format(path: &Path) -> Result<WorkloadFormat, TimelineError> {
    const EXPECTED: &str = "the format of a workload's log";
    let format: WorkloadFormat = setting(path, EXPECTED)?;
    let problems = format.problems("format");
    if problems.is_empty() {
        Ok(format)
    } else {
        Err(TimelineError::Setting {
            path: path.to_owned(),
            expected: EXPECTED,
            why: problems.iter().map(ToString::to_string).collect(),
        })
    }
}

fn setting<T: serde::de::DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, TimelineError> {
    let bytes = fs::read(path).map_err(|source| TimelineError::Path {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| TimelineError::Setting {
        path: path.to_owned(),
        expected,
        why: vec![error.to_string()],
    })
}

/// The files to read, and what under the paths cannot even be listed.
fn files<'f>(
    args: &Args,
    format: Option<&'f WorkloadFormat>,
) -> Result<(Vec<LogFile<'f>>, Vec<Gap>), TimelineError> {
    const ENDINGS: &[&str] = &[".json", ".jsonl", ".log", ".txt", ".parquet"];
    let settings = [&args.digest_keys, &args.workload_format];
    let is_setting = |path: &Path| {
        settings
            .iter()
            .any(|s| s.as_ref().is_some_and(|s| same_file(s, path)))
    };

    let mut found = BTreeSet::new();
    let mut unreachable = Vec::new();
    for path in args.paths.iter().chain(&args.finding) {
        fs::metadata(path).map_err(|source| TimelineError::Path {
            path: path.clone(),
            source,
        })?;
    }
    for path in &args.paths {
        let named = path.is_file();
        for entry in WalkDir::new(path).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    unreachable.push(Gap {
                        what: error.path().unwrap_or(path).to_string_lossy().into_owned(),
                        reason: error.to_string(),
                    });
                    continue;
                }
            };
            let name = entry.file_name().to_string_lossy();
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            let is_log = ENDINGS.iter().any(|ending| name.ends_with(ending));
            if entry.file_type().is_file() && (is_log || named) && !is_setting(entry.path()) {
                found.insert(entry.into_path());
            }
        }
    }
    let logs = found.into_iter().map(|path| LogFile {
        kind: Kind::Any(format),
        path,
        late: false,
    });
    let findings = args.finding.iter().map(|path| LogFile {
        path: path.clone(),
        kind: Kind::GuardDuty,
        late: true,
    });
    let files: Vec<_> = logs.chain(findings).collect();
    if files.is_empty() {
        return Err(TimelineError::NoLogs);
    }
    Ok((files, unreachable))
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// What people read. Writing to a string does not fail.
fn describe(text: &mut String, document: &BoundaryDocument, rows: &[Row]) {
    let coverage = &document.coverage;
    if let Some(boundary) = &document.boundary {
        let _ = writeln!(text, "Event boundary  {}", boundary.best);
        if boundary.unbounded {
            let _ = writeln!(
                text,
                "                unbounded: the actor is there when the logs begin, and may have been there before"
            );
        }
        let _ = writeln!(
            text,
            "  not later than  {}  (earliest strong indicator)",
            boundary.not_later_than
        );
        let _ = writeln!(
            text,
            "  floor           {}  (first use of the actor's credentials)",
            boundary.floor
        );
    } else {
        let _ = writeln!(
            text,
            "No strong indicator was found. That is no proof of innocence: see the coverage, and let a person set the boundary."
        );
    }
    for actor in document.actors.iter().take(PRINTED) {
        let strength = if actor.confirmed {
            "confirmed"
        } else {
            "one kind of act only"
        };
        let _ = writeln!(
            text,
            "\nActor ({strength}): {}\n  from {}\n  {} credentials; indicators {}",
            list(&actor.principals),
            list(&actor.addresses),
            actor.credentials.len(),
            list(&actor.indicators)
        );
    }
    if let Some(boundary) = &document.boundary {
        let at = rows.partition_point(|row| row.datetime < boundary.best);
        let shown = rows.iter().skip(at.saturating_sub(ROWS_BEFORE));
        let shown = shown.take(ROWS_FROM + at.min(ROWS_BEFORE));
        let _ = writeln!(text, "\nAround the boundary ({} rows in all)", rows.len());
        for row in shown {
            let mark = if row.datetime < boundary.best { ' ' } else { '>' };
            let _ = writeln!(
                text,
                "{mark} {}  {}",
                row.datetime,
                printable_up_to(&row.message, 150)
            );
        }
    }
    if !document.suspects.is_empty() {
        let _ = writeln!(
            text,
            "\n{} strong indicators of others, which showed no more than that:",
            document.suspects.len()
        );
        for suspect in document.suspects.iter().take(PRINTED) {
            let _ = writeln!(text, "  {}  {}", suspect.at, printable_up_to(&suspect.what, 150));
        }
    }
    let period = match (coverage.first, coverage.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "no period".to_owned(),
    };
    let _ = writeln!(
        text,
        "\nCoverage: {} objects, {} records, {period}; {} gaps",
        coverage.objects,
        coverage.records,
        coverage.gaps.len()
    );
    for seen in coverage.seen.iter().take(PRINTED) {
        let place = if seen.account.is_empty() {
            "accounts and regions not named".to_owned()
        } else {
            format!("account {} {}", seen.account, seen.region)
        };
        let _ = writeln!(
            text,
            "  seen: {}, {}: {} objects, {} hours",
            seen.source,
            printable_up_to(&place, 80),
            seen.objects,
            seen.hours
        );
    }
    for gap in coverage.gaps.iter().take(PRINTED) {
        let _ = writeln!(
            text,
            "  {}: {}",
            printable_up_to(&gap.what, 120),
            printable_up_to(&gap.reason, 200)
        );
    }
}

fn list(items: &BTreeSet<String>) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = items.iter().take(SHOWN).map(String::as_str).collect();
    match items.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(paths: Vec<PathBuf>, out: Option<PathBuf>) -> Args {
        Args {
            paths,
            finding: Vec::new(),
            digest_keys: None,
            workload_format: None,
            indicators: indicators::Args::default(),
            out,
        }
    }

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/data")
            .join(name)
    }

    #[test]
    fn a_new_user_sees_the_boundary_and_gets_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut text = Vec::new();
        let args = args(vec![data("invictus-ir")], Some(folder.path().to_owned()));
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
    }

    #[test]
    fn digest_files_prove_the_logs_of_a_copied_folder() {
        let mut args = args(vec![data("cloudtrail-digests")], None);
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
        let mut args = args(
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
        let mut args = args(vec![data("invictus-ir")], None);
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
        let missing = run(&args(vec![PathBuf::from("no-such")], None), now, &mut Vec::new());
        assert!(missing.unwrap_err().to_string().contains("`no-such`"));
        let folder = tempfile::tempdir().unwrap();
        let empty = run(&args(vec![folder.path().to_owned()], None), now, &mut Vec::new());
        assert!(matches!(empty, Err(TimelineError::NoLogs)));
    }

    #[test]
    fn logs_without_indicator_give_no_boundary() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        fs::write(&file, r#"{"Records":[]}"#).unwrap();
        let mut text = Vec::new();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        assert!(!run(&args(vec![file], None), now, &mut text).unwrap());
        assert!(
            String::from_utf8(text)
                .unwrap()
                .contains("let a person set the boundary")
        );
    }
}
