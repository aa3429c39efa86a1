//! `blackstart content`: the content scan of stage 2 over files of this machine.
//!
//! To see what it says about one's own data before it has to say it about a backup, and to try rules.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use blackstart_core::validation::Verdict;
use blackstart_core::validation::content::{Collection, ObjectFacts, ObjectScanner, Signatures as _, shown};
use blackstart_yara::{RuleProblem, Rules};
use clap::Args;
use rayon::prelude::*;

/// How many bytes are read at once.
const PIECE: usize = 256 << 10;

/// How many files are scanned before their findings are written, so that memory does not grow with their number.
const BATCH: usize = 4096;

/// Looks at files as stage 2 looks at a restored bucket: encrypted, renamed, ransom notes, YARA rules. Exits with 0 if
/// all of them are clean, and with 1 if not.
#[derive(Debug, Args)]
pub(crate) struct Content {
    /// Files and folders; `-` is standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Further files of YARA rules.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// No YARA rules at all, not even the starter set.
    #[arg(long, conflicts_with = "rules")]
    without_rules: bool,
    /// Name that standard input is judged by.
    #[arg(long, default_value = "standard-input")]
    name: String,
    /// Write the summary only.
    #[arg(long)]
    quiet: bool,
}

/// The files cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// A file of rules cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Rules do not compile.
    #[error("the rules do not compile:\n{}", lines(.0))]
    Rules(Vec<RuleProblem>),
    /// The answer cannot be shown.
    #[error("the answer cannot be written")]
    Output(#[source] std::io::Error),
}

fn lines(problems: &[RuleProblem]) -> String {
    problems
        .iter()
        .map(|problem| shown(&problem.to_string()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A file that was looked at, or the reason why not.
type Looked = Result<ObjectFacts, (String, String)>;

#[derive(Debug, Default)]
struct Sum {
    files: u64,
    bytes: u64,
    unknown: u64,
    tainted: u64,
    unreadable: u64,
}

impl Content {
    /// Looks at everything. `false`: not everything is clean.
    ///
    /// # Errors
    /// [`ContentError`].
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool, ContentError> {
        let rules = match self.without_rules {
            true => None,
            false => Some(load(&self.rules)?),
        };
        let mut collection = Collection::new("files");
        let mut sum = Sum::default();
        let mut waiting = Vec::new();
        for path in &self.paths {
            if path == Path::new("-") {
                let scanned = scan(
                    &self.name,
                    std::io::stdin().lock(),
                    rules.as_ref(),
                    &mut vec![0; PIECE],
                );
                self.tell(vec![scanned], &mut collection, &mut sum, out)?;
                continue;
            }
            for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
                match entry {
                    Ok(entry) if entry.file_type().is_file() => waiting.push(entry.into_path()),
                    Ok(_) => {}
                    Err(error) => {
                        let unreadable = Err((path.display().to_string(), error.to_string()));
                        self.tell(vec![unreadable], &mut collection, &mut sum, out)?;
                    }
                }
                if waiting.len() == BATCH {
                    let looked = look(std::mem::take(&mut waiting), rules.as_ref());
                    self.tell(looked, &mut collection, &mut sum, out)?;
                }
            }
        }
        self.tell(look(waiting, rules.as_ref()), &mut collection, &mut sum, out)?;
        let (_, said) = collection.finish();
        let verdict: &str = said.verdict.into();
        let renamed = said
            .reasons
            .iter()
            .filter(|reason| reason.contains(" were renamed to "));
        for reason in renamed {
            writeln!(out, "{reason}").map_err(ContentError::Output)?;
        }
        writeln!(
            out,
            "{verdict}: {} files, {} bytes; {} tainted, {} unknown, {} unreadable",
            sum.files, sum.bytes, sum.tainted, sum.unknown, sum.unreadable
        )
        .map_err(ContentError::Output)?;
        Ok(said.verdict == Verdict::Clean)
    }

    fn tell(
        &self,
        looked: Vec<Looked>,
        collection: &mut Collection,
        sum: &mut Sum,
        out: &mut impl Write,
    ) -> Result<(), ContentError> {
        for one in looked {
            let facts = match one {
                Ok(facts) => facts,
                Err((path, why)) => {
                    sum.unreadable = sum.unreadable.saturating_add(1);
                    writeln!(out, "unreadable {}: {}", shown(&path), shown(&why))
                        .map_err(ContentError::Output)?;
                    collection.unreadable(&path, &why);
                    continue;
                }
            };
            sum.files = sum.files.saturating_add(1);
            sum.bytes = sum.bytes.saturating_add(facts.entry.bytes);
            let worst = facts.findings.iter().map(|finding| finding.verdict).max();
            sum.tainted = sum
                .tainted
                .saturating_add(u64::from(worst == Some(Verdict::Tainted)));
            sum.unknown = sum
                .unknown
                .saturating_add(u64::from(worst == Some(Verdict::Unknown)));
            for finding in facts
                .findings
                .iter()
                .filter(|finding| finding.verdict != Verdict::Clean && !self.quiet)
            {
                let verdict: &str = finding.verdict.into();
                writeln!(out, "{verdict} {}: {}", shown(&facts.key), finding.what)
                    .map_err(ContentError::Output)?;
            }
            collection.object(facts);
        }
        Ok(())
    }
}

fn load(files: &[PathBuf]) -> Result<Rules, ContentError> {
    let mut texts = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|source| ContentError::Unreadable {
            path: path.clone(),
            source,
        })?;
        texts.push((path.display().to_string(), text));
    }
    Rules::compile(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        .map_err(ContentError::Rules)
}

fn look(paths: Vec<PathBuf>, rules: Option<&Rules>) -> Vec<Looked> {
    paths
        .into_par_iter()
        .map_init(
            || vec![0; PIECE],
            |piece, path| {
                let name = path.display().to_string();
                match std::fs::File::open(&path) {
                    Ok(file) => scan(&name, file, rules, piece),
                    Err(error) => Err((name, error.to_string())),
                }
            },
        )
        .collect()
}

/// Reads through `piece`, which one thread uses for all of its files.
fn scan(name: &str, mut from: impl Read, rules: Option<&Rules>, piece: &mut [u8]) -> Looked {
    let mut scanner = ObjectScanner::new(name);
    if let Some(rules) = rules {
        scanner = scanner.with_signatures(rules.begin());
    }
    loop {
        match from.read(piece) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(length) => scanner.update(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err((name.to_owned(), error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(paths: &[&Path], rules: &[&Path]) -> (Result<bool, ContentError>, String) {
        let content = Content {
            paths: paths.iter().map(|path| path.to_path_buf()).collect(),
            rules: rules.iter().map(|path| path.to_path_buf()).collect(),
            without_rules: false,
            name: String::new(),
            quiet: false,
        };
        let mut out = Vec::new();
        let answer = content.run(&mut out);
        (answer, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_folder_is_clean_until_a_rule_matches() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let data = folder.path().join("data");
        std::fs::write(data.join("a.csv"), "id;total\n1;2\n").unwrap();
        let (answer, out) = run(&[&data], &[]);
        assert!(answer.unwrap(), "{out}");
        assert_eq!(
            out,
            "clean: 1 files, 13 bytes; 0 tainted, 0 unknown, 0 unreadable\n"
        );

        let rules = folder.path().join("own.yar");
        std::fs::write(&rules, "rule total { strings: $a = \"total\" condition: $a }").unwrap();
        let (answer, out) = run(&[&data], &[&rules]);
        assert!(!answer.unwrap());
        assert!(out.contains("tainted "), "{out}");
        assert!(out.contains("YARA rule `total`"), "{out}");
        assert!(out.ends_with("1 tainted, 0 unknown, 0 unreadable\n"), "{out}");
    }

    #[test]
    fn what_is_not_there_is_unreadable_and_never_clean() {
        let (answer, out) = run(&[Path::new("/nowhere/at/all")], &[]);
        assert!(!answer.unwrap());
        assert!(out.starts_with("unreadable /nowhere/at/all"), "{out}");
    }

    #[test]
    fn rules_that_do_not_compile_are_told_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("own.yar");
        std::fs::write(&rules, "rule a { condition: $x }\nrule b { condition: y }\n").unwrap();
        let error = run(&[folder.path()], &[&rules]).0.unwrap_err().to_string();
        assert!(
            error.contains("own.yar:1: ") && error.contains("own.yar:2: "),
            "{error}"
        );
    }
}
