//! `blackstart timeline`: the event boundary of a folder of logs.

mod answer;
mod settings;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use blackstart_aws::digest_signature;
use blackstart_core::artifact::canonical_json;
use blackstart_core::plan::WorkloadFormat;
use blackstart_core::timeline::boundary::Established;
use blackstart_core::timeline::case::{Acts, Case};
use blackstart_core::timeline::digests::{self, Checked};
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::rows::{Row, Selection, csv, json_lines, ordered};
use blackstart_core::timeline::sketch::Sketch;
use blackstart_core::timeline::sweep::{Sweep, Swept};
use blackstart_core::timeline::{Gap, ocsf};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rayon::prelude::*;
use walkdir::WalkDir;

use self::answer::describe;
use self::settings::{digest_keys, workload_format};
use crate::indicators;

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

#[cfg(test)]
mod tests;
