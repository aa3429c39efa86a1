//! `blackstart timeline`: the event boundary of a folder of logs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use blackstart_core::artifact::canonical_json;
use blackstart_core::timeline::boundary::{Established, establish};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader, printable_up_to};
use blackstart_core::timeline::rows::{Row, Selection, csv, json_lines, ordered};
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

/// Finds the event boundary in CloudTrail logs and GuardDuty findings on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Log files, or folders of them: `.json`, `.json.gz`, `.jsonl`, `.jsonl.gz`. Files under a folder named
    /// `GuardDuty` are findings, all others CloudTrail.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A file of GuardDuty findings: from the API, from EventBridge, or exported. Their actors are looked for in the
    /// logs; they can make the boundary earlier, never later.
    #[arg(long, value_name = "FILE")]
    finding: Vec<PathBuf>,
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
    #[error("there is no log file under the given paths; they end in .json, .json.gz, .jsonl or .jsonl.gz")]
    NoLogs,
    /// The indicators cannot be applied.
    #[error(transparent)]
    Indicators(#[from] indicators::IndicatorsError),
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

struct LogFile {
    path: PathBuf,
    kind: Kind,
    /// Whether it is said beside the logs.
    late: bool,
}

/// Runs the command. The answer says whether a boundary was found.
pub(crate) fn run(args: &Args, now: Timestamp, out: &mut dyn io::Write) -> Result<bool, TimelineError> {
    let (files, unreachable) = files(args)?;
    let (table, not_applied) = indicators::table(&args.indicators)?;
    let reader = Reader { table, now };
    let bar = ProgressBar::new(files.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} files {per_sec}") {
        bar.set_style(style);
    }
    let read: Vec<Result<ObjectFacts, Gap>> = files
        .par_iter()
        .map(|file| {
            let name = file.path.to_string_lossy();
            bar.inc(1);
            fs::read(&file.path)
                .map(|bytes| reader.read(&name, &bytes, file.kind))
                .map_err(|error| Gap {
                    what: name.into_owned(),
                    reason: error.to_string(),
                })
        })
        .collect();
    bar.finish_and_clear();
    let (mut facts, mut late, mut gaps) = (Vec::new(), Vec::new(), [unreachable, not_applied].concat());
    for (file, read) in files.iter().zip(read) {
        match read {
            Ok(read) if file.late => late.push(read),
            Ok(read) => facts.push(read),
            Err(gap) => gaps.push(gap),
        }
    }
    let Established {
        document,
        actors,
        objects,
    } = establish(&facts, &gaps, &late);
    let selection = Selection::of(&reader, &actors);
    let rows: Vec<Row> = files
        .par_iter()
        .filter(|file| objects.contains(file.path.to_string_lossy().as_ref()))
        .flat_map_iter(|file| {
            let bytes = fs::read(&file.path).unwrap_or_default();
            selection.rows(&file.path.to_string_lossy(), &bytes, file.kind)
        })
        .collect();
    let rows = ordered(rows);
    let mut text = String::new();
    describe(&mut text, &document, &rows);
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

/// The files to read, and what under the paths cannot even be listed.
fn files(args: &Args) -> Result<(Vec<LogFile>, Vec<Gap>), TimelineError> {
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
            let is_log = [".json", ".json.gz", ".jsonl", ".jsonl.gz"]
                .iter()
                .any(|ending| name.ends_with(ending));
            if entry.file_type().is_file() && (is_log || named) {
                found.insert(entry.into_path());
            }
        }
    }
    let logs = found.into_iter().map(|path| LogFile {
        kind: if path.components().any(|part| part.as_os_str() == "GuardDuty") {
            Kind::GuardDuty
        } else {
            Kind::CloudTrail
        },
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
