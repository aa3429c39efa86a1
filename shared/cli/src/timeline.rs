//! `blackstart timeline`: the event boundary of a folder of logs.

mod answer;
mod passes;
mod settings;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use blackstart_aws::digest_signature;
use blackstart_core::artifact::canonical_json;
use blackstart_core::timeline::again::Sought;
use blackstart_core::timeline::digests::{self, Checked};
use blackstart_core::timeline::facts::{Kind, Reader};
use blackstart_core::timeline::rows::Selection;
use blackstart_core::timeline::sorted::{Sorted, Written};
use blackstart_core::timeline::{BoundaryDocument, Gap, ocsf};
use jiff::Timestamp;
use walkdir::WalkDir;

use self::answer::describe;
use self::passes::{Passes, Second};
use self::settings::{digest_keys, workload_format};
use crate::indicators;

/// Finds the event boundary in logs on this machine: CloudTrail, findings of GuardDuty and Security Hub, VPC Flow
/// Logs, logs of the workload.
#[derive(Debug, clap::Args)]
pub struct Args {
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
    /// (OCSF Detection Findings) to this folder; built with the feature `parquet`, `timeline.parquet` as well.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Why there is no answer. Logs that cannot be read are no error but a gap in the answer.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
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
    /// What the first pass found cannot be kept, or not be read again.
    #[error("what was found so far cannot be kept in a temporary file: check the space in `{}`", std::env::temp_dir().display())]
    Kept(#[source] io::Error),
    /// A document has no JSON form.
    #[error("the result cannot be written as JSON")]
    NotJson(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Args {
    /// These paths with the built-in indicators, and the artifacts in this folder, if there is one.
    #[must_use]
    pub fn of(paths: Vec<PathBuf>, out: Option<PathBuf>) -> Self {
        Self {
            paths,
            finding: Vec::new(),
            digest_keys: None,
            workload_format: None,
            indicators: indicators::Args::default(),
            out,
        }
    }
}

/// Runs the command. The answer says whether a boundary was found.
///
/// # Errors
/// [`TimelineError`]; logs that cannot be read are no error.
pub fn run(args: &Args, now: Timestamp, out: &mut dyn io::Write) -> Result<bool, TimelineError> {
    let keys = args.digest_keys.as_deref().map(digest_keys).transpose()?;
    let format = args.workload_format.as_deref().map(workload_format).transpose()?;
    let (files, unreachable) = files(args)?;
    let (table, not_applied) = indicators::table(&args.indicators)?;
    let reader = Reader {
        hash_content: keys.is_some(),
        ..Reader::new(table, now)
    };
    let mut gaps = [unreachable, not_applied].concat();
    let findings = findings(args, &mut gaps);
    let late: Vec<_> = findings
        .iter()
        .map(|(name, bytes)| reader.read(name, bytes, Kind::GuardDuty))
        .collect();

    let mut passes = Passes::new(&reader, Kind::Any(format.as_ref()), &files)?;
    passes.first()?;
    let case = passes.results.case(keys.is_some()).map_err(TimelineError::Kept)?;
    gaps.extend_from_slice(passes.results.gaps());
    let checked = keys.as_ref().map_or_else(Checked::default, |keys| {
        digests::check(case.objects(), keys, &digest_signature::verify)
    });
    gaps.extend(checked.gaps);
    let traced = passes.results.trace(case.pivot(&late));
    let traced = traced.map_err(TimelineError::Kept)?;
    let Second {
        acts,
        context,
        mut rows,
    } = passes.second(&traced)?;
    let sought = Sought::of(&traced);
    let selection = Selection::sought(&reader, &sought);
    for (name, bytes) in &findings {
        let found = selection.rows(name, bytes, Kind::GuardDuty);
        rows.extend(found).map_err(TimelineError::Kept)?;
    }
    let document = case.establish(&acts, &context, &gaps, &checked.unseen, &late);
    let around = document.boundary.as_ref().map(|boundary| boundary.best);
    let written = match &args.out {
        Some(folder) => write(folder, &document, rows, now)?,
        None => rows
            .write(around, &mut io::sink(), &mut io::sink())
            .map_err(TimelineError::Kept)?,
    };
    let mut text = String::new();
    describe(&mut text, &document, &written);
    if keys.is_some() {
        let _ = writeln!(
            text,
            "Digest files: {} with a right signature; {} log files proven to lie as they were delivered",
            checked.signed, checked.proven
        );
    }
    out.write_all(text.as_bytes())
        .map_err(unwritten(Path::new("standard output")))?;
    Ok(document.boundary.is_some())
}

fn unwritten(path: &Path) -> impl Fn(io::Error) -> TimelineError {
    let path = path.to_owned();
    move |source| TimelineError::Write {
        path: path.clone(),
        source,
    }
}

/// Writes the artifacts to a folder.
fn write(
    folder: &Path,
    document: &BoundaryDocument,
    rows: Sorted<fs::File>,
    now: Timestamp,
) -> Result<Written, TimelineError> {
    fs::create_dir_all(folder).map_err(unwritten(folder))?;
    let canonical = canonical_json(document).map_err(|e| TimelineError::NotJson(Box::new(e)))?;
    let found = ocsf::findings(document, now).map_err(|e| TimelineError::NotJson(Box::new(e)))?;
    for (name, bytes) in [("boundary.json", canonical), ("findings.ocsf.jsonl", found)] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(unwritten(&path))?;
    }
    let create = |name: &str| -> Result<_, TimelineError> {
        let path = folder.join(name);
        let file = fs::File::create(&path).map_err(unwritten(&path))?;
        Ok(io::BufWriter::new(file))
    };
    let (mut lines, mut table) = (create("timeline.jsonl")?, create("timeline.csv")?);
    let around = document.boundary.as_ref().map(|boundary| boundary.best);
    let written = rows
        .write(around, &mut lines, &mut table)
        .map_err(unwritten(folder))?;
    #[cfg(feature = "parquet")]
    write_parquet(folder)?;
    Ok(written)
}

/// Writes the lines of the timeline once more, as Parquet.
#[cfg(feature = "parquet")]
fn write_parquet(folder: &Path) -> Result<(), TimelineError> {
    use std::io::BufRead as _;

    let path = folder.join("timeline.parquet");
    let lines = fs::File::open(folder.join("timeline.jsonl")).map_err(unwritten(&path))?;
    let rows = io::BufReader::new(lines)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?));
    let file = fs::File::create(&path).map_err(unwritten(&path))?;
    let written = blackstart_core::timeline::parquet::write(rows, file);
    written.map_err(io::Error::other).map_err(unwritten(&path))?;
    Ok(())
}

/// The files of findings, and what of them cannot be read.
fn findings(args: &Args, gaps: &mut Vec<Gap>) -> Vec<(String, Vec<u8>)> {
    let mut read = Vec::new();
    for path in &args.finding {
        let what = path.to_string_lossy().into_owned();
        match fs::read(path) {
            Ok(bytes) => read.push((what, bytes)),
            Err(error) => gaps.push(Gap {
                what,
                reason: error.to_string(),
            }),
        }
    }
    read
}

/// The files to read, and what under the paths cannot even be listed.
fn files(args: &Args) -> Result<(Vec<PathBuf>, Vec<Gap>), TimelineError> {
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
    if found.is_empty() && args.finding.is_empty() {
        return Err(TimelineError::NoLogs);
    }
    Ok((found.into_iter().collect(), unreachable))
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests;
