//! The indicators in force: the built-in ones, the plan's own, and its Sigma rules.

use blackstart_core::artifact::Digest;
use blackstart_core::plan::Plan;
use blackstart_core::run::RunId;
use blackstart_core::timeline::Gap;
use blackstart_core::timeline::indicator::Table;

use crate::Failed;
use crate::ports::Deps;

/// The indicators, and what of the plan's rules is not applied: a rule that cannot be read must not stop a recovery,
/// but whatever it would have found is not known.
pub(crate) async fn table<D: Deps>(deps: &D, run: &RunId, plan: &Plan) -> Result<(Table, Vec<Gap>), Failed> {
    let table = Table::of(&plan.timeline);
    if plan.timeline.sigma_rules.is_empty() {
        return Ok((table, Vec::new()));
    }
    with_sigma(table, deps, run, plan).await
}

async fn with_sigma<D: Deps>(
    table: Table,
    deps: &D,
    run: &RunId,
    plan: &Plan,
) -> Result<(Table, Vec<Gap>), Failed> {
    let gap = |file: &str, reason: String| Gap {
        what: format!("Sigma rules `{file}`"),
        reason,
    };
    let mut gaps = Vec::new();
    let mut texts = Vec::new();
    for file in &plan.timeline.sigma_rules {
        match deps.find(run, &file.frozen_path()).await? {
            Some(bytes) if Digest::of(&bytes) == file.sha256 => match String::from_utf8(bytes) {
                Ok(text) => texts.push((file.key.as_str(), text)),
                Err(error) => gaps.push(gap(&file.key, error.to_string())),
            },
            Some(_) => gaps.push(gap(
                &file.key,
                "do not have the digest that the plan names".to_owned(),
            )),
            None => gaps.push(gap(
                &file.key,
                "were not there when the run was opened".to_owned(),
            )),
        }
    }
    let files = texts.iter().map(|(name, text)| (*name, text.as_str()));
    match blackstart_sigma::load(files, plan.timeline.sigma_strong_from) {
        Ok(loaded) => {
            gaps.extend(loaded.passed_over.into_iter().map(|p| gap(&p.file, p.what)));
            Ok((table.with_rules(Box::new(loaded.rules)), gaps))
        }
        Err(problems) => {
            gaps.extend(problems.into_iter().map(|p| gap(&p.file, p.what)));
            Ok((table, gaps))
        }
    }
}
