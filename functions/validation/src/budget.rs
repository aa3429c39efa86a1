//! What the trials of this run have cost by the plan's prices, and what those would cost that are not made yet.

use std::collections::BTreeMap;

use blackstart_core::ledger::Key;
use blackstart_core::plan::{Amount, CostPlan, Plan};
use blackstart_core::run::RunId;
use blackstart_core::validation::RecoverySet;
use blackstart_core::validation::cost::{Budget, of_point};
use blackstart_core::validation::reuse::{PointVerdict, basis};
use blackstart_core::validation::trial::TrialRecord;
use blackstart_core::validation::walk::Ahead;
use jiff::Timestamp;

use crate::deps::RunRecords;
use crate::error::ValidationError;

/// The budget as it stands; nothing if the plan has no ceiling. Only trials that the walk can come to are estimated: a vault
/// may hold thousands of sets.
pub(crate) async fn budget<R: RunRecords>(
    records: &R,
    run: &RunId,
    plan: &Plan,
    ahead: &Ahead<'_>,
    now: Timestamp,
) -> Result<Option<Budget>, ValidationError> {
    let Some(cost) = &plan.validation.cost else {
        return Ok(None);
    };
    let spent = records
        .trials(run)
        .await?
        .iter()
        .map(TrialRecord::spent)
        .fold(Amount::default(), Amount::plus);
    let mut trials = BTreeMap::new();
    for set in &ahead.waiting {
        trials.insert(set.id.clone(), of_set(records, plan, cost, set, now).await?);
    }
    Ok(Some(Budget {
        currency: cost.currency.clone(),
        ceiling: cost.ceiling,
        spent,
        trials,
    }))
}

/// What the trial of a set would cost. A point whose earlier verdict is reused costs nothing.
async fn of_set<R: RunRecords>(
    records: &R,
    plan: &Plan,
    cost: &CostPlan,
    set: &RecoverySet,
    now: Timestamp,
) -> Result<Result<Amount, String>, ValidationError> {
    let mut sum = Amount::default();
    for resource in &plan.resources {
        let Some(point) = set.points.get(&resource.id) else {
            continue;
        };
        let key = Key::point_verdict(&point.arn, &basis(plan, resource)?);
        let earlier = records.item::<PointVerdict>(&key).await?;
        if earlier.is_some_and(|item| item.document.is_reusable(now)) {
            continue;
        }
        match of_point(cost, &plan.validation.layers, point) {
            Ok(amount) => sum = sum.plus(amount),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(sum))
}
