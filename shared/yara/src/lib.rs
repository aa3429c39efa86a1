//! YARA rules over the bytes of a restored object: the starter set, and what a plan names.
//!
//! The engine is `boreal` (`infra/docs/adr/0012-yara-without-a-virtual-machine.md`). An object of up to [`WHOLE`] bytes is
//! looked at as a whole; a larger one as it streams by, in overlapping windows, so that memory does not grow with it.
#![warn(missing_docs)]

use std::fmt;
use std::sync::OnceLock;

use blackstart_core::validation::Verdict;
use blackstart_core::validation::content::{Finding, SignatureScan, Signatures, shown};
use boreal::compiler::CompilerParams;
use boreal::scanner::{EvaluatedRule, FragmentedScanMode, ScanError, ScanParams, ScanResult};
use boreal::{Compiler, Metadata, MetadataValue, Scanner};

mod problems;
mod stream;

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
    scanner: Scanner,
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
        let mut compiler = compiler();
        let mut problems = Vec::new();
        for (name, text) in std::iter::once((STARTER_NAME, STARTER)).chain(files) {
            match compiler.add_rules_str_in_namespace(text, name) {
                Ok(_) => {}
                Err(first) => problems.extend(problems::of(name, text, &first)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut scanner = compiler.finalize();
        scanner.set_scan_params(ScanParams::default().fragmented_scan_mode(FragmentedScanMode::legacy()));
        Ok(Self { scanner })
    }

    /// How many rules there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.scanner.rules().count()
    }

    /// Looks at bytes that are all in memory.
    #[must_use]
    pub fn scan(&self, bytes: &[u8]) -> Vec<Finding> {
        self.answer(&self.scanner.scan_mem(bytes))
    }

    /// What matching rules mean. A scan that broke off proves nothing about what it did not see.
    fn answer(&self, answer: &Result<ScanResult<'_>, (ScanError, ScanResult<'_>)>) -> Vec<Finding> {
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
            .find(|metadata| self.scanner.get_string_symbol(metadata.name) == name)?;
        match found.value {
            MetadataValue::Bytes(value) => {
                Some(String::from_utf8_lossy(self.scanner.get_bytes_symbol(value)).into_owned())
            }
            MetadataValue::Integer(_) | MetadataValue::Boolean(_) => None,
        }
    }
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
