//! `blackstart references`: finds and rewrites references to an old account in a folder of documents, offline.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use blackstart_core::plan::{IdentifierKind, IdentifierPair};
use blackstart_core::references::{
    Disposition, DocumentKind, Form, IdentifierMap, InvalidMap, Mode, OtherAccount, Refused, Rewritten,
    Token, other_accounts, rewrite, scan, text_of,
};
use blackstart_core::run::AccountId;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;
use walkdir::WalkDir;

mod map_file;
mod print;

/// How long the work takes before it shows how far it is.
const QUIET: Duration = Duration::from_secs(1);

/// Finds and rewrites references to an old account, offline.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum References {
    /// Lists every place that names the old account or something in it.
    Scan(Scan),
    /// Rewrites documents and proves every result; refuses what it cannot prove.
    Rewrite(Rewrite),
}

/// What both commands are given.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Documents, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The old account.
    #[arg(long, value_name = "ID", value_parser = account)]
    old: AccountId,
    /// More identifiers: a list of `kind`, `old` and `new` in YAML or JSON, as in `references` of a plan.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// What the documents are: `policy`, `config`, or the kind of a policy, which sets its size limit. Without it,
    /// JSON with a `Statement` is a policy and anything else configuration.
    #[arg(long, value_name = "KIND", value_parser = form)]
    kind: Option<Form>,
    /// Prints one JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rewrite {
    #[command(flatten)]
    common: Common,
    /// The new account.
    #[arg(long, value_name = "ID", value_parser = account)]
    new: AccountId,
    /// Whether the new account takes the old one's place, or is let in beside it.
    #[arg(long)]
    mode: Change,
    /// Writes the rewritten documents below this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "in_place")]
    out: Option<PathBuf>,
    /// Overwrites the documents themselves.
    #[arg(long)]
    in_place: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Change {
    Swap,
    Expand,
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::try_from(text.to_owned()).map_err(|error| error.to_string())
}

/// A form by its name; kinds of policies are named as in an inventory, with hyphens.
fn form(text: &str) -> Result<Form, String> {
    match text {
        "policy" => Ok(Form::Policy(None)),
        "config" => Ok(Form::Config),
        other => serde_json::from_value::<DocumentKind>(other.replace('-', "_").into())
            .map(Form::from)
            .map_err(|error| format!("neither `policy` nor `config`, and no kind of policy: {error}")),
    }
}

/// Why the command does not begin, or cannot end. What is wrong with one document is in the answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReferencesError {
    /// A path cannot be read.
    #[error("`{}` cannot be read", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A path cannot be written.
    #[error("`{}` cannot be written", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The map file is no list of pairs.
    #[error("`{}` is no list of identifiers: {}", .path.display(), .problems.join("; "))]
    MapFile { path: PathBuf, problems: Vec<String> },
    /// The identifiers contradict each other.
    #[error(transparent)]
    Map(#[from] InvalidMap),
    /// No document.
    #[error("there is no file under the given paths")]
    NoDocuments,
    /// Two inputs would be written to one file, or an input to itself.
    #[error("`{}` would be overwritten: choose another `--out`, or rewrite one folder at a time", .0.display())]
    Collision(PathBuf),
    /// The answer has no JSON form.
    #[error("the answer cannot be written as JSON")]
    NotJson(#[source] serde_json::Error),
}

/// A file, and its path below the folder that was named.
struct Document {
    path: PathBuf,
    below: PathBuf,
    /// Why a folder could not be listed.
    unlisted: Option<String>,
}

/// What was found in one file.
#[derive(Debug, Serialize)]
struct Answer {
    file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Token>,
    /// Line and column of every token, from 1; columns count bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<(usize, usize)>,
    /// Accounts besides the old and the new one, where the document names the old one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<OtherAccount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewritten: Option<Rewritten>,
    /// Why the document is not read or not rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip)]
    before: String,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    documents: usize,
    naming: usize,
    tokens: usize,
    handled: usize,
    unhandled: usize,
    rewritten: usize,
    refused: usize,
}

/// Runs the command. The answer says whether nothing is unhandled or refused.
pub(crate) fn run(command: &References, out: &mut dyn Write) -> Result<bool, ReferencesError> {
    let (common, change) = match command {
        References::Scan(scan) => (&scan.common, None),
        References::Rewrite(rewrite) => (&rewrite.common, Some(rewrite)),
    };
    let map = identifiers(common, change.map(|change| &change.new))?;
    let documents = documents(&common.paths)?;
    let targets = match change {
        Some(change) => targets(change, &documents)?,
        None => Vec::new(),
    };
    let answers = all_answers(&documents, common, change, &map);
    for (answer, target) in answers.iter().zip(&targets) {
        let (Some(done), Some(target)) = (&answer.rewritten, target) else {
            continue;
        };
        write_whole(target, &done.after).map_err(|source| ReferencesError::Write {
            path: target.clone(),
            source,
        })?;
    }
    let summary = summary(&answers);
    let clean = summary.unhandled == 0 && summary.refused == 0;
    let mut printed = Vec::new();
    let written = |source| ReferencesError::Write {
        path: PathBuf::from("standard output"),
        source,
    };
    if common.json {
        let whole = serde_json::json!({"documents": answers.iter().filter(|one| one.says_something()).collect::<Vec<_>>(), "summary": summary});
        serde_json::to_writer_pretty(&mut printed, &whole).map_err(ReferencesError::NotJson)?;
        printed.push(b'\n');
    } else {
        print::describe(&mut printed, &answers, &summary, io::stdout().is_terminal()).map_err(written)?;
    }
    out.write_all(&printed).map_err(written)?;
    Ok(clean)
}

impl Answer {
    fn says_something(&self) -> bool {
        !self.tokens.is_empty() || self.refused.is_some()
    }
}

fn identifiers(common: &Common, new: Option<&AccountId>) -> Result<IdentifierMap, ReferencesError> {
    let mut pairs: Vec<IdentifierPair> = match &common.map {
        None => Vec::new(),
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|source| ReferencesError::Read {
                path: path.clone(),
                source,
            })?;
            map_file::pairs(&text).map_err(|problems| ReferencesError::MapFile {
                path: path.clone(),
                problems,
            })?
        }
    };
    let known = pairs.iter().any(|pair| pair.old == common.old.as_str());
    if new.is_some() || !known {
        // A scan does not need to know the successor; account ids never begin with twelve zeros.
        let new = new.map_or("000000000000", AccountId::as_str);
        pairs.push(IdentifierPair {
            kind: IdentifierKind::Account,
            old: common.old.as_str().to_owned(),
            new: new.to_owned(),
        });
    }
    Ok(IdentifierMap::new(pairs)?)
}

fn documents(paths: &[PathBuf]) -> Result<Vec<Document>, ReferencesError> {
    let mut documents = Vec::new();
    for root in paths {
        let facts = fs::metadata(root).map_err(|source| ReferencesError::Read {
            path: root.clone(),
            source,
        })?;
        if facts.is_file() {
            documents.push(Document {
                path: root.clone(),
                below: root.file_name().map(PathBuf::from).unwrap_or_default(),
                unlisted: None,
            });
            continue;
        }
        let walk = WalkDir::new(root)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| entry.file_name() != ".git");
        for entry in walk {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    let below = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
                    documents.push(Document {
                        path: entry.into_path(),
                        below,
                        unlisted: None,
                    });
                }
                Ok(_) => {}
                Err(error) => documents.push(Document {
                    path: error.path().unwrap_or(root).to_owned(),
                    below: PathBuf::new(),
                    unlisted: Some(error.to_string()),
                }),
            }
        }
    }
    if documents.is_empty() {
        return Err(ReferencesError::NoDocuments);
    }
    Ok(documents)
}

/// Where each document is written; all `None` for a dry run. Refuses before anything is written.
fn targets(change: &Rewrite, documents: &[Document]) -> Result<Vec<Option<PathBuf>>, ReferencesError> {
    if change.in_place {
        return Ok(documents
            .iter()
            .map(|document| Some(document.path.clone()))
            .collect());
    }
    let Some(folder) = &change.out else {
        return Ok(documents.iter().map(|_| None).collect());
    };
    let inputs: BTreeSet<PathBuf> = documents
        .iter()
        .filter_map(|document| fs::canonicalize(&document.path).ok())
        .collect();
    let mut taken: BTreeSet<PathBuf> = BTreeSet::new();
    let mut targets = Vec::with_capacity(documents.len());
    for document in documents {
        let target = folder.join(&document.below);
        let itself = fs::canonicalize(&target).is_ok_and(|target| inputs.contains(&target));
        if document.unlisted.is_none() && (itself || !taken.insert(target.clone())) {
            return Err(ReferencesError::Collision(target));
        }
        targets.push(Some(target));
    }
    Ok(targets)
}

/// Writes a file whole or not at all: a crash leaves the old one.
fn write_whole(target: &Path, text: &str) -> io::Result<()> {
    // A link stays one.
    let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".blackstart");
    let beside = target.with_file_name(name);
    fs::write(&beside, text)?;
    if let Ok(facts) = fs::metadata(&target) {
        fs::set_permissions(&beside, facts.permissions())?;
    }
    fs::rename(&beside, &target)
}

/// Works on every document, on all cores, and shows how far it is when that takes long.
fn all_answers(
    documents: &[Document],
    common: &Common,
    change: Option<&Rewrite>,
    map: &IdentifierMap,
) -> Vec<Answer> {
    let bar = ProgressBar::with_draw_target(Some(documents.len() as u64), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} documents {per_sec}") {
        bar.set_style(style);
    }
    let (begun, shown) = (Instant::now(), AtomicBool::new(false));
    let answers = documents
        .par_iter()
        .map(|document| {
            let answer = work(document, common, change, map);
            bar.inc(1);
            if begun.elapsed() > QUIET && !shown.swap(true, Ordering::Relaxed) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            answer
        })
        .collect();
    bar.finish_and_clear();
    answers
}

fn work(document: &Document, common: &Common, change: Option<&Rewrite>, map: &IdentifierMap) -> Answer {
    let mut answer = Answer {
        file: document.path.to_string_lossy().into_owned(),
        tokens: Vec::new(),
        places: Vec::new(),
        others: Vec::new(),
        rewritten: None,
        refused: document.unlisted.clone(),
        before: String::new(),
    };
    if answer.refused.is_some() {
        return answer;
    }
    let bytes = match fs::read(&document.path) {
        Ok(bytes) => bytes,
        Err(error) => {
            answer.refused = Some(error.to_string());
            return answer;
        }
    };
    let text = match text_of(&bytes) {
        Ok(text) => text,
        Err(problem) => {
            answer.refused = Some(problem.to_string());
            return answer;
        }
    };
    let form = common.kind.unwrap_or_else(|| Form::of(text));
    match scan(text, form, map) {
        Ok(tokens) => {
            answer.places = places(text, &tokens);
            if !tokens.is_empty() {
                answer.others = other_accounts(text, map);
            }
            answer.tokens = tokens;
        }
        Err(problem) => {
            answer.refused = Some(problem.to_string());
            return answer;
        }
    }
    if let Some(change) = change {
        let mode = match change.mode {
            Change::Swap => Mode::Swap,
            Change::Expand => Mode::Expand,
        };
        match rewrite(text, form, map, mode) {
            Ok(done) => {
                text.clone_into(&mut answer.before);
                answer.rewritten = Some(done);
            }
            Err(Refused::NothingToRewrite) => {}
            Err(refused) => answer.refused = Some(refused.to_string()),
        }
    }
    answer
}

/// Line and column of every token, which are in order.
fn places(text: &str, tokens: &[Token]) -> Vec<(usize, usize)> {
    let (mut line, mut begin, mut from) = (1, 0, 0);
    tokens
        .iter()
        .map(|token| {
            let passed = text.get(from..token.span.start).unwrap_or_default();
            if let Some(last) = passed.rfind('\n') {
                line += passed.matches('\n').count();
                begin = from + last + 1;
            }
            from = token.span.start.max(from);
            (line, token.span.start + 1 - begin)
        })
        .collect()
}

fn summary(answers: &[Answer]) -> Summary {
    let mut summary = Summary {
        documents: answers.len(),
        ..Summary::default()
    };
    for answer in answers {
        let count = |wanted: fn(&Disposition) -> bool| {
            answer
                .tokens
                .iter()
                .filter(|token| wanted(&token.disposition))
                .count()
        };
        let handled = count(|one| *one == Disposition::Rewrite);
        let unhandled = count(|one| matches!(one, Disposition::Unhandled(_)));
        summary.naming += usize::from(handled + unhandled > 0);
        summary.tokens += handled + unhandled;
        summary.handled += handled;
        summary.unhandled += unhandled;
        summary.rewritten += usize::from(answer.rewritten.is_some());
        summary.refused += usize::from(answer.refused.is_some());
    }
    summary
}
