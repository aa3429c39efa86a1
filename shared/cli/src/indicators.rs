//! The indicators that `blackstart timeline` applies: the built-in ones, a plan's, and Sigma rules.

use std::fs;
use std::path::{Path, PathBuf};

use blackstart_core::plan::{Plan, Severity, TimelinePlan};
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::indicator::Table;

/// Which indicators count.
#[derive(Debug, Default, clap::Args)]
#[group(id = "indicators")]
pub(crate) struct Args {
    /// An indicator that does not count, by its id.
    #[arg(long, value_name = "ID")]
    pub(crate) disable: Vec<String>,
    /// A recovery plan: its indicators are applied.
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Sigma rules for CloudTrail: a file, or a folder of `.yml` files.
    #[arg(long, value_name = "DIR")]
    pub(crate) rules: Vec<PathBuf>,
    /// The level from which a Sigma rule is strong; below it is context. `high` if neither this nor the plan says.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) strong_from: Option<Severity>,
}

/// Why the indicators cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum IndicatorsError {
    /// A file cannot be read.
    #[error("`{}` cannot be read: check the path", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The plan, or what was said beside it, is not usable. Every problem.
    #[error("the indicators cannot be applied: {}", .0.join("; "))]
    Plan(Vec<String>),
    /// Rules cannot be applied. Every problem of every file.
    #[error("the rules cannot be applied:\n  {}", .0.join("\n  "))]
    Rules(Vec<String>),
}

fn level(text: &str) -> Result<Severity, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "is none of informational, low, medium, high, critical".to_owned())
}

/// The indicators in force, and rules that are not applied although nothing is wrong with them.
pub(crate) fn table(args: &Args) -> Result<(Table, Vec<Gap>), IndicatorsError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| IndicatorsError::Path {
            path: path.to_owned(),
            source,
        })
    };
    let mut plan = match &args.plan {
        None => TimelinePlan::default(),
        Some(path) => {
            let plan = Plan::parse(&read(path)?);
            plan.map_err(|error| IndicatorsError::Plan(error.0.iter().map(ToString::to_string).collect()))?
                .timeline
        }
    };
    plan.disabled_indicators.extend(args.disable.iter().cloned());
    let problems = plan.indicator_problems();
    if !problems.is_empty() {
        return Err(IndicatorsError::Plan(
            problems.iter().map(ToString::to_string).collect(),
        ));
    }
    let table = Table::of(&plan);
    if args.rules.is_empty() {
        return Ok((table, Vec::new()));
    }
    let mut texts = Vec::new();
    for path in rule_files(&args.rules)? {
        texts.push((path.to_string_lossy().into_owned(), read(&path)?));
    }
    with_rules(table, texts, args.strong_from.unwrap_or(plan.sigma_strong_from))
}

/// The `.yml` and `.yaml` files under the paths, and files that were named themselves, in a stable order.
fn rule_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, IndicatorsError> {
    let mut found = std::collections::BTreeSet::new();
    for path in paths {
        for entry in walkdir::WalkDir::new(path) {
            let entry = entry.map_err(|error| IndicatorsError::Path {
                path: path.clone(),
                source: error.into(),
            })?;
            let name = entry.file_name().to_string_lossy();
            let is_rule = name.ends_with(".yml") || name.ends_with(".yaml") || entry.depth() == 0;
            if entry.file_type().is_file() && is_rule {
                found.insert(entry.into_path());
            }
        }
    }
    if found.is_empty() {
        let nothing = "there is no `.yml` file under the given paths".to_owned();
        return Err(IndicatorsError::Rules(vec![nothing]));
    }
    Ok(found.into_iter().collect())
}

fn with_rules(
    table: Table,
    texts: Vec<(String, Vec<u8>)>,
    strong_from: Severity,
) -> Result<(Table, Vec<Gap>), IndicatorsError> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for (name, bytes) in texts {
        match String::from_utf8(bytes) {
            Ok(text) => files.push((name, text)),
            Err(error) => problems.push(format!("`{name}`: {error}")),
        }
    }
    let named = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    match blackstart_sigma::load(named, strong_from) {
        Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        Ok(loaded) if problems.is_empty() => {
            let passed_over = loaded.passed_over.into_iter().map(|rule| Gap {
                what: format!("Sigma rules `{}`", rule.file),
                reason: rule.what,
            });
            let gaps = passed_over.collect();
            return Ok((table.with_rules(Box::new(loaded.rules)), gaps));
        }
        Ok(_) => {}
    }
    Err(IndicatorsError::Rules(problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_indicator_is_named_with_the_one_that_is_meant() {
        let args = Args {
            disable: vec!["s3.mass-deletes".to_owned()],
            ..Args::default()
        };
        let told = table(&args).unwrap_err().to_string();
        assert!(told.contains("is `s3.mass-delete` meant?"), "{told}");
        let args = Args {
            disable: vec!["s3.mass-delete".to_owned()],
            ..Args::default()
        };
        assert!(table(&args).unwrap().1.is_empty());
    }

    #[test]
    fn rules_that_are_not_there_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let of = |path: &Path| Args {
            rules: vec![path.to_owned()],
            ..Args::default()
        };
        let told = table(&of(folder.path())).unwrap_err().to_string();
        assert!(told.contains("no `.yml` file"), "{told}");
        let told = table(&of(Path::new("no-such"))).unwrap_err().to_string();
        assert!(told.contains("`no-such`"), "{told}");
    }

    #[test]
    fn every_broken_rule_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yml"), "title: [").unwrap();
        fs::write(folder.path().join("b.yml"), b"\xff").unwrap();
        let args = Args {
            rules: vec![folder.path().to_owned()],
            ..Args::default()
        };
        let told = table(&args).unwrap_err().to_string();
        assert!(told.contains("a.yml") && told.contains("b.yml"), "{told}");
    }

    #[test]
    fn levels_are_those_of_sigma() {
        assert_eq!(level("critical"), Ok(Severity::Critical));
        assert!(level("High").is_err());
    }
}
