//! YARA rules over the bytes of a restored object: the starter set, and what a plan names.
//!
//! The engine is `boreal` (`infra/docs/adr/0012-yara-without-a-virtual-machine.md`). An object of up to [`WHOLE`] bytes is
//! looked at as a whole; a larger one as it streams by, in overlapping windows, so that memory does not grow with it.
//!
//! Rules are applied only to an object that holds the literals that they need
//! (`infra/docs/adr/0020-literals-before-rules.md`).
#![warn(missing_docs)]

use std::fmt;
use std::sync::{Arc, OnceLock};

use blackstart_core::validation::Verdict;
use blackstart_core::validation::content::{Finding, SignatureScan, Signatures, shown};
use boreal::compiler::CompilerParams;
use boreal::scanner::{EvaluatedRule, FragmentedScanMode, ScanError, ScanParams, ScanResult};
use boreal::{Compiler, Metadata, MetadataValue, Scanner};

mod filter;
mod needs;
mod problems;
mod stream;

use filter::Filter;

pub use problems::RuleProblem;
pub use stream::{OVERLAP, WHOLE};

/// The rules that every scan applies. Origin and licence: `rules/README.md`.
pub const STARTER: &str = include_str!("../rules/starter.yar");

/// The name under which findings and problems mention the starter set.
pub const STARTER_NAME: &str = "starter set";

/// How many matching rules of one object are told, by name; the others are counted.
const TOLD: usize = 8;

/// Compiled rules. Clones share them.
#[derive(Clone)]
pub struct Rules {
    compiled: Arc<Compiled>,
}

struct Compiled {
    /// All rules.
    all: Scanner,
    /// The files of which a rule may match without a literal, if there are such files.
    without_literals: Option<Scanner>,
    /// Without one of these literals only those may match. `None`: nothing is known of the rules.
    filter: Option<Filter>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("rules", &self.count())
            .finish_non_exhaustive()
    }
}

impl Rules {
    /// Compiles the starter set and these files, each a name and its text. Names of rules need to be unique within
    /// their file only; `include` is refused, because a plan names every file with its digest.
    ///
    /// # Errors
    /// Every rule that does not compile, with its file and line.
    pub fn compile<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<RuleProblem>> {
        /// The starter set alone, which most plans have, is compiled once for a process.
        static ALONE: OnceLock<Rules> = OnceLock::new();
        let mut files = files.into_iter().peekable();
        if files.peek().is_some() {
            return Self::compile_all(files);
        }
        match ALONE.get() {
            Some(rules) => Ok(rules.clone()),
            None => Self::compile_all(files).map(|rules| ALONE.get_or_init(|| rules).clone()),
        }
    }

    fn compile_all<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<RuleProblem>> {
        let files: Vec<(&str, &str)> = std::iter::once((STARTER_NAME, STARTER)).chain(files).collect();
        Self::of(&files)
    }

    /// Exactly these files.
    fn of(files: &[(&str, &str)]) -> Result<Self, Vec<RuleProblem>> {
        let all = compile_each(files)?;
        let mut literals = needs::Clause::new();
        let mut others = Vec::new();
        for (name, text) in files {
            match needs::of(text) {
                Some(mut clause) => literals.append(&mut clause),
                None => others.push((*name, *text)),
            }
        }
        let without_literals = match others.as_slice() {
            [] => None,
            others => Some(compile_each(others)?),
        };
        let compiled = Compiled {
            all,
            without_literals,
            filter: Filter::new(&literals),
        };
        Ok(Self {
            compiled: Arc::new(compiled),
        })
    }

    /// How many rules there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.compiled.all.rules().count()
    }

    /// Looks at bytes that are all in memory.
    #[must_use]
    pub fn scan(&self, bytes: &[u8]) -> Vec<Finding> {
        match &self.compiled.filter {
            Some(filter) if !filter.finds(bytes) => match &self.compiled.without_literals {
                Some(scanner) => whole(scanner, bytes),
                None => Vec::new(),
            },
            Some(_) | None => whole(&self.compiled.all, bytes),
        }
    }

    /// The same by applying every rule, whatever the object holds: to compare.
    #[must_use]
    pub fn scan_unfiltered(&self, bytes: &[u8]) -> Vec<Finding> {
        whole(&self.compiled.all, bytes)
    }
}

/// Everything that these rules say about bytes that are all in memory.
fn whole(scanner: &Scanner, bytes: &[u8]) -> Vec<Finding> {
    Answer(scanner).findings(&scanner.scan_mem(bytes))
}

/// Reads what the rules of a scanner say.
struct Answer<'a>(&'a Scanner);

impl Answer<'_> {
    /// What matching rules mean. A scan that broke off proves nothing about what it did not see.
    fn findings(&self, answer: &Result<ScanResult<'_>, (ScanError, ScanResult<'_>)>) -> Vec<Finding> {
        let (result, error) = match answer {
            Ok(result) => (result, None),
            Err((error, result)) => (result, Some(error)),
        };
        let mut found: Vec<Finding> = result
            .rules
            .iter()
            .take(TOLD)
            .map(|rule| self.finding(rule))
            .collect();
        let untold = result.rules.get(TOLD..).unwrap_or_default();
        if !untold.is_empty() {
            let worst = untold.iter().map(|rule| self.verdict(rule)).max();
            found.push(Finding {
                verdict: worst.unwrap_or(Verdict::Unknown),
                what: format!("{} more YARA rule(s) match", untold.len()),
            });
        }
        if let Some(error) = error {
            found.push(Finding {
                verdict: Verdict::Unknown,
                what: format!("the YARA rules did not come to an end: {error}"),
            });
        }
        found
    }

    fn finding(&self, rule: &EvaluatedRule<'_>) -> Finding {
        let description = self
            .text(rule.metadatas, "description")
            .map(|text| format!(": {}", shown(&text)))
            .unwrap_or_default();
        Finding {
            verdict: self.verdict(rule),
            what: format!(
                "YARA rule `{}` ({}) matches{description}",
                shown(rule.name),
                shown(rule.namespace)
            ),
        }
    }

    /// Tainted, unless the rule itself says that a match is a doubt.
    fn verdict(&self, rule: &EvaluatedRule<'_>) -> Verdict {
        match self.text(rule.metadatas, "verdict").as_deref() {
            Some("unknown") => Verdict::Unknown,
            Some(_) | None => Verdict::Tainted,
        }
    }

    fn text(&self, metadatas: &[Metadata], name: &str) -> Option<String> {
        let found = metadatas
            .iter()
            .find(|metadata| self.0.get_string_symbol(metadata.name) == name)?;
        match found.value {
            MetadataValue::Bytes(value) => {
                Some(String::from_utf8_lossy(self.0.get_bytes_symbol(value)).into_owned())
            }
            MetadataValue::Integer(_) | MetadataValue::Boolean(_) => None,
        }
    }
}

/// Compiles these files, each a name and its text.
fn compile_each(files: &[(&str, &str)]) -> Result<Scanner, Vec<RuleProblem>> {
    let mut compiler = compiler();
    let mut problems = Vec::new();
    for (name, text) in files {
        if let Err(first) = compiler.add_rules_str_in_namespace(text, *name) {
            problems.extend(problems::of(name, text, &first));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut scanner = compiler.finalize();
    scanner.set_scan_params(ScanParams::default().fragmented_scan_mode(FragmentedScanMode::legacy()));
    Ok(scanner)
}

/// A compiler without files of its own.
fn compiler() -> Compiler {
    let mut compiler = Compiler::new();
    compiler.set_params(CompilerParams::default().disable_includes(true));
    compiler
}

impl Signatures for Rules {
    fn begin(&self) -> Box<dyn SignatureScan> {
        Box::new(stream::Stream::new(self.clone()))
    }
}

#[cfg(test)]
mod tests;
