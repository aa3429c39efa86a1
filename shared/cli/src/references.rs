//! `blackstart references`: finds and rewrites references to an old account in a folder of documents, offline.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use blackstart_core::plan::{IdentifierKind, IdentifierPair};
use blackstart_core::references::{
    Disposition, DocumentKind, Form, IdentifierMap, InvalidMap, Mode, Refused, Rewritten, Token, rewrite,
    scan, text_of,
};
use blackstart_core::run::AccountId;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use walkdir::WalkDir;

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
    /// More identifiers: a JSON list of `{"kind", "old", "new"}`, as in `references.identifiers` of a plan.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// What the documents are; without it, JSON with a `Statement` is a policy and anything else configuration.
    #[arg(long)]
    kind: Option<Kind>,
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
enum Kind {
    RoleTrust,
    BucketPolicy,
    QueuePolicy,
    KeyPolicy,
    /// Another policy, without a size limit.
    Policy,
    /// Any other text.
    Config,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Change {
    Swap,
    Expand,
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::try_from(text.to_owned()).map_err(|error| error.to_string())
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
    #[error("`{}` is no list of identifiers", .path.display())]
    MapFile {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
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
}

/// What was found in one file.
#[derive(Debug, Serialize)]
struct Answer {
    file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Token>,
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
    let bar = ProgressBar::new(documents.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} documents {per_sec}") {
        bar.set_style(style);
    }
    let answers: Vec<Answer> = documents
        .par_iter()
        .map(|document| {
            let answer = work(document, common, change, &map);
            bar.inc(1);
            answer
        })
        .collect();
    bar.finish_and_clear();
    for (answer, target) in answers.iter().zip(&targets) {
        let (Some(done), Some(target)) = (&answer.rewritten, target) else {
            continue;
        };
        let failed = |source| ReferencesError::Write {
            path: target.clone(),
            source,
        };
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(target, &done.after).map_err(failed)?;
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
        describe(&mut printed, &answers, &summary, io::stdout().is_terminal()).map_err(written)?;
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
            let bytes = fs::read(path).map_err(|source| ReferencesError::Read {
                path: path.clone(),
                source,
            })?;
            serde_json::from_slice(&bytes).map_err(|source| ReferencesError::MapFile {
                path: path.clone(),
                source,
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
            });
            continue;
        }
        let walk = WalkDir::new(root)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| entry.file_name() != ".git");
        for entry in walk
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
        {
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
            documents.push(Document {
                path: entry.into_path(),
                below,
            });
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
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    let mut targets = Vec::with_capacity(documents.len());
    for document in documents {
        let target = folder.join(&document.below);
        let itself = fs::canonicalize(&target).ok().is_some_and(|target| {
            documents
                .iter()
                .any(|document| fs::canonicalize(&document.path).is_ok_and(|path| path == target))
        });
        if itself || taken.insert(target.clone(), &document.path).is_some() {
            return Err(ReferencesError::Collision(target));
        }
        targets.push(Some(target));
    }
    Ok(targets)
}

fn work(document: &Document, common: &Common, change: Option<&Rewrite>, map: &IdentifierMap) -> Answer {
    let mut answer = Answer {
        file: document.path.to_string_lossy().into_owned(),
        tokens: Vec::new(),
        rewritten: None,
        refused: None,
        before: String::new(),
    };
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
    let form = match common.kind {
        None => Form::of(text),
        Some(Kind::Policy) => Form::Policy(None),
        Some(Kind::Config) => Form::Config,
        Some(Kind::RoleTrust) => DocumentKind::RoleTrust.into(),
        Some(Kind::BucketPolicy) => DocumentKind::BucketPolicy.into(),
        Some(Kind::QueuePolicy) => DocumentKind::QueuePolicy.into(),
        Some(Kind::KeyPolicy) => DocumentKind::KeyPolicy.into(),
    };
    match scan(text, form, map) {
        Ok(tokens) => answer.tokens = tokens,
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

/// What people read. Texts from documents are escaped: they may be hostile.
fn describe(out: &mut Vec<u8>, answers: &[Answer], summary: &Summary, colour: bool) -> io::Result<()> {
    for answer in answers.iter().filter(|answer| answer.says_something()) {
        writeln!(out, "{}", answer.file.escape_debug())?;
        for token in &answer.tokens {
            let fate = match token.disposition {
                Disposition::Rewrite => "rewritten".to_owned(),
                Disposition::Keep(why) => format!("kept: {why}"),
                Disposition::Unhandled(why) => format!("UNHANDLED: {why}"),
            };
            writeln!(
                out,
                "  {:>6}  {:16}  {}  {}  {fate}",
                token.span.start,
                token.position.to_string(),
                token.path.escape_debug(),
                token.old.escape_debug()
            )?;
        }
        if let Some(done) = &answer.rewritten {
            difference(out, &answer.before, &done.after, colour)?;
            writeln!(out, "  proven: {}", done.proof)?;
            for notice in &done.notices {
                writeln!(out, "  note: {notice}")?;
            }
        }
        if let Some(reason) = &answer.refused {
            writeln!(out, "  REFUSED: {}", reason.escape_debug())?;
        }
    }
    writeln!(
        out,
        "{} documents, {} name the old environment; {} tokens, {} handled, {} unhandled; {} rewritten, {} refused",
        summary.documents,
        summary.naming,
        summary.tokens,
        summary.handled,
        summary.unhandled,
        summary.rewritten,
        summary.refused
    )
}

fn difference(out: &mut Vec<u8>, before: &str, after: &str, colour: bool) -> io::Result<()> {
    let difference = TextDiff::from_lines(before, after);
    for change in difference.iter_all_changes() {
        let (sign, code) = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => ('-', "31"),
            ChangeTag::Insert => ('+', "32"),
        };
        let line = change.value().trim_end_matches('\n').escape_debug().to_string();
        let line = line.replace("\\\"", "\"");
        if colour {
            writeln!(out, "  \u{1b}[{code}m{sign} {line}\u{1b}[0m")?;
        } else {
            writeln!(out, "  {sign} {line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: References,
    }

    const OLD: &str = "111111111111";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let trust = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{OLD}:root"}},"Action":"sts:AssumeRole"}}]}}"#
        );
        fs::create_dir(folder.path().join("in")).unwrap();
        for (name, text) in [
            ("trust.json", trust.as_bytes()),
            ("other.yaml", b"region: us-east-1\n"),
            (
                "config.yaml",
                b"url: https://sqs.us-east-1.amazonaws.com/111111111111/q\n",
            ),
        ] {
            fs::write(folder.path().join("in").join(name), text).unwrap();
        }
        folder
    }

    fn asked(folder: &Path, arguments: &[&str]) -> (Result<bool, ReferencesError>, String) {
        let input = folder.join("in").to_string_lossy().into_owned();
        let mut line = vec!["references".to_owned()];
        line.extend(
            arguments
                .iter()
                .map(|one| one.replace("DIR", &folder.to_string_lossy())),
        );
        line.extend([input, "--old".to_owned(), OLD.to_owned()]);
        let line = Line::try_parse_from(line).unwrap();
        let mut out = Vec::new();
        (run(&line.command, &mut out), String::from_utf8(out).unwrap())
    }

    #[test]
    fn documents_are_rewritten_below_the_folder_and_inputs_stay() {
        let folder = folder();
        let before = fs::read(folder.path().join("in/trust.json")).unwrap();
        let (clean, text) = asked(
            folder.path(),
            &[
                "rewrite",
                "--new",
                "222222222222",
                "--mode",
                "swap",
                "--out",
                "DIR/out",
            ],
        );
        assert!(clean.unwrap(), "{text}");
        assert!(text.contains("3 documents, 2 name the old environment; 2 tokens, 2 handled, 0 unhandled; 2 rewritten, 0 refused"), "{text}");
        assert_eq!(fs::read(folder.path().join("in/trust.json")).unwrap(), before);
        let after = fs::read_to_string(folder.path().join("out/trust.json")).unwrap();
        assert!(after.contains("222222222222") && !after.contains(OLD));
        assert!(!folder.path().join("out/other.yaml").exists());
    }

    #[test]
    fn a_bad_document_is_refused_and_the_batch_goes_on() {
        let folder = folder();
        fs::write(folder.path().join("in/bad.json"), b"{\"Statement\":[").unwrap();
        fs::write(folder.path().join("in/bytes.json"), b"\xff\xfe").unwrap();
        let (clean, text) = asked(folder.path(), &["scan", "--json"]);
        assert!(!clean.unwrap());
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["summary"]["refused"], 2);
        assert_eq!(answer["summary"]["handled"], 2);
    }

    #[test]
    fn an_input_is_never_overwritten_without_being_asked() {
        let folder = folder();
        let swap = ["rewrite", "--new", "222222222222", "--mode", "swap"];
        let out = [&swap[..], &["--out", "DIR/in"]].concat();
        let (result, _) = asked(folder.path(), &out);
        assert!(matches!(result, Err(ReferencesError::Collision(_))));
        let in_place = [&swap[..], &["--in-place"]].concat();
        assert!(asked(folder.path(), &in_place).0.unwrap());
        assert!(
            !fs::read_to_string(folder.path().join("in/trust.json"))
                .unwrap()
                .contains(OLD)
        );
    }
}
