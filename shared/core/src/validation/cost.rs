//! What the trials of a run are estimated to cost, and whether the next one still fits under the plan's ceiling.
//!
//! The ceiling is about money that is really spent, so it counts every trial that was started, also those in vain. It can
//! end the walk early; it never changes which set the walk finds, only whether it comes that far.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Candidate;
use super::verdict::applies;
use crate::plan::{Amount, CostPlan, Layer};

/// The ceiling, and what is known about what counts against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Currency of all amounts.
    pub currency: String,
    /// The plan's ceiling.
    pub ceiling: Amount,
    /// Estimates of the trials that were started.
    pub spent: Amount,
    /// Set id to what its trial would cost, or why that is not known. Sets that have a verdict need not be here.
    pub trials: BTreeMap<String, Result<Amount, String>>,
}

/// What the trials of a run are estimated to have cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostEstimate {
    /// Currency of both amounts.
    pub currency: String,
    /// The plan's ceiling.
    pub ceiling: Amount,
    /// Restores and scans that were started, by the plan's prices and the sizes that AWS Backup gives.
    pub spent: Amount,
}

/// The estimated cost of one point's trial.
///
/// # Errors
/// Why it cannot be estimated.
pub fn of_point(plan: &CostPlan, layers: &BTreeSet<Layer>, point: &Candidate) -> Result<Amount, String> {
    let Some(bytes) = point.bytes else {
        return Err(format!("AWS Backup does not say how large `{}` is", point.arn));
    };
    let name: &str = point.resource_type.into();
    let missing = || format!("the plan has no price for `{name}`");
    let prices = plan.prices.get(&point.resource_type).ok_or_else(missing)?;
    let mut per_gb = prices.restored_per_gb;
    if layers.contains(&Layer::MalwareScan) && applies(Layer::MalwareScan, point.resource_type) {
        per_gb = per_gb.plus(prices.scanned_per_gb.ok_or_else(missing)?);
    }
    Ok(per_gb.of_bytes(bytes))
}

impl Budget {
    /// As many of these sets, from the first on, as fit under the ceiling together.
    ///
    /// # Errors
    /// Why not even the first does.
    pub fn affordable(&self, sets: &[String]) -> Result<Vec<String>, String> {
        let mut after = self.spent;
        let mut fitting = Vec::new();
        for set in sets {
            let cost = match self.trials.get(set) {
                Some(Ok(cost)) => *cost,
                Some(Err(why)) if fitting.is_empty() => {
                    return Err(format!(
                        "the cost of validating set {set} cannot be estimated, and the plan has a ceiling: {why}"
                    ));
                }
                None if fitting.is_empty() => {
                    return Err(format!("the cost of validating set {set} is not known"));
                }
                Some(Err(_)) | None => break,
            };
            let next = after.plus(cost);
            if next > self.ceiling {
                if fitting.is_empty() {
                    let Self {
                        currency,
                        ceiling,
                        spent,
                        ..
                    } = self;
                    return Err(format!(
                        "validating set {set} would cost about {cost} {currency}; {spent} of the plan's {ceiling} {currency} are spent: raise `validation.cost.ceiling`"
                    ));
                }
                break;
            }
            after = next;
            fitting.push(set.clone());
        }
        Ok(fitting)
    }

    /// What was spent, for the report.
    #[must_use]
    pub fn estimate(&self) -> CostEstimate {
        CostEstimate {
            currency: self.currency.clone(),
            ceiling: self.ceiling,
            spent: self.spent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ResourceType;
    use crate::validation::testing::set;

    fn amount(text: &str) -> Amount {
        Amount::try_from(text.to_owned()).unwrap()
    }

    fn prices() -> CostPlan {
        serde_json::from_value(serde_json::json!({
            "currency": "USD", "ceiling": "10.00",
            "prices": {
                "S3": {"restored_per_gb": "0.02", "scanned_per_gb": "0.05"},
                "DynamoDB": {"restored_per_gb": "0.15"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_trial_costs_its_restore_and_its_scan_by_size() {
        let mut point = set("a", 0).points["data"].clone();
        let both = BTreeSet::from([Layer::MalwareScan, Layer::TrialRestore]);
        let restored = BTreeSet::from([Layer::TrialRestore]);
        assert!(
            of_point(&prices(), &both, &point)
                .unwrap_err()
                .contains("how large")
        );
        point.bytes = Some(100_000_000_000);
        assert_eq!(of_point(&prices(), &both, &point), Ok(amount("7.00")));
        assert_eq!(of_point(&prices(), &restored, &point), Ok(amount("2.00")));
        point.resource_type = ResourceType::DynamoDb;
        assert_eq!(of_point(&prices(), &both, &point), Ok(amount("15.00")));
    }

    #[test]
    fn only_what_fits_together_is_affordable_and_the_reason_has_the_figures() {
        let budget = Budget {
            currency: "USD".to_owned(),
            ceiling: amount("10"),
            spent: amount("4"),
            trials: BTreeMap::from([
                ("a".to_owned(), Ok(amount("3"))),
                ("b".to_owned(), Ok(amount("3"))),
                ("c".to_owned(), Ok(amount("0.01"))),
                ("d".to_owned(), Ok(amount("6.01"))),
                ("e".to_owned(), Err("nobody knows".to_owned())),
            ]),
        };
        let affordable = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
            budget.affordable(&sets)
        };
        assert_eq!(affordable(&["a", "b"]).unwrap(), ["a", "b"]);
        // What is newer is never passed over for something cheaper.
        assert_eq!(affordable(&["a", "b", "c"]).unwrap(), ["a", "b"]);
        assert_eq!(affordable(&["a", "e", "c"]).unwrap(), ["a"]);
        let told = affordable(&["d", "c"]).unwrap_err();
        assert!(told.contains("6.01 USD; 4.00 of the plan's 10.00 USD"), "{told}");
        assert!(affordable(&["e"]).unwrap_err().contains("nobody knows"));
    }
}
