//! What validation may cost, in money. Prices are the plan's own: they differ by region and contract, and change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Layer, Problem, Resource, ResourceType};
use crate::validation::verdict::applies;

/// What trials may cost, and what they cost by the gigabyte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostPlan {
    /// In which currency all amounts here are, for people: `USD`.
    pub currency: String,
    /// The walk stops before the estimated cost of a run's trials exceeds this.
    pub ceiling: Amount,
    /// Prices by the type of the resource.
    pub prices: BTreeMap<ResourceType, Prices>,
}

/// Prices of one type of resource, for each gigabyte (10⁹ bytes: never less than what AWS counts as one).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Restoring it, with all that the throw-away copy costs: requests, and its storage for a day.
    pub restored_per_gb: Amount,
    /// Scanning its recovery point for malware. Needed where the plan asks for the scan and the scan applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_per_gb: Option<Amount>,
}

/// An amount of money, exact to a millionth of the currency's unit. As text, `12.50`, because a JSON number is not exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(u64);

/// The text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount: write it as text of digits with up to six after the point, like \"12.50\"")]
pub struct NotAnAmount(String);

/// Millionths of a unit.
const UNIT: u64 = 1_000_000;

/// Bytes of a gigabyte.
const GIGABYTE: u128 = 1_000_000_000;

const PATTERN: &str = r"^[0-9]{1,9}(\.[0-9]{1,6})?$";

impl Amount {
    /// What so many bytes cost at this price for a gigabyte, rounded up.
    #[must_use]
    pub fn of_bytes(self, bytes: u64) -> Self {
        let millionths = (u128::from(self.0) * u128::from(bytes)).div_ceil(GIGABYTE);
        Self(u64::try_from(millionths).unwrap_or(u64::MAX))
    }

    /// The sum, or the greatest amount there is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl TryFrom<String> for Amount {
    type Error = NotAnAmount;

    fn try_from(text: String) -> Result<Self, NotAnAmount> {
        let (units, fraction) = text.split_once('.').unwrap_or((&text, "0"));
        let digits = |part: &str, most| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let read = (digits(units, 9) && digits(fraction, 6)).then(|| {
            let units: u64 = units.parse().ok()?;
            let fraction: u64 = format!("{fraction:0<6}").parse().ok()?;
            units.checked_mul(UNIT)?.checked_add(fraction)
        });
        read.flatten().map(Self).ok_or(NotAnAmount(text))
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

impl fmt::Display for Amount {
    /// With two digits after the point, and more where there are more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % UNIT);
        let shown = fraction.trim_end_matches('0');
        write!(f, "{}.{shown:0<2}", self.0 / UNIT)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of money, as text: `12.50`.",
            "type": "string",
            "pattern": PATTERN,
        })
    }
}

impl CostPlan {
    /// What the schema alone cannot refuse.
    pub(super) fn problems(&self, resources: &[Resource], layers: &BTreeSet<Layer>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut problem = |at: String, what: String| found.push(Problem { at, what });
        if self.currency.trim().is_empty() {
            problem(
                "validation.cost.currency".to_owned(),
                "is empty: name the currency of the amounts".to_owned(),
            );
        }
        let types: BTreeSet<ResourceType> = resources.iter().map(|resource| resource.resource_type).collect();
        for resource_type in types {
            let name: &str = resource_type.into();
            match self.prices.get(&resource_type) {
                None => problem(
                    format!("validation.cost.prices.{name}"),
                    "is missing: without it no trial of such a resource can be kept below the ceiling"
                        .to_owned(),
                ),
                Some(prices) => {
                    let scanned =
                        layers.contains(&Layer::MalwareScan) && applies(Layer::MalwareScan, resource_type);
                    if scanned && prices.scanned_per_gb.is_none() {
                        problem(
                            format!("validation.cost.prices.{name}.scanned_per_gb"),
                            "is missing: the plan asks for the malware scan".to_owned(),
                        );
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn amounts_are_exact_and_what_is_none_is_refused() {
        assert_eq!(amount("12.5").to_string(), "12.50");
        assert_eq!(amount("0.000001").to_string(), "0.000001");
        assert_eq!(
            amount("999999999.999999").plus(amount("0.000001")).to_string(),
            "1000000000.00"
        );
        for wrong in [
            "",
            ".5",
            "5.",
            "-1",
            "1,5",
            "1.1234567",
            "1e3",
            "1234567890",
            " 1",
        ] {
            assert!(Amount::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_price_for_a_gigabyte_is_rounded_up() {
        let price = amount("0.02");
        assert_eq!(price.of_bytes(1_000_000_000), price);
        assert_eq!(price.of_bytes(50_000_000_000), amount("1"));
        assert_eq!(price.of_bytes(1), amount("0.000001"));
        assert_eq!(price.of_bytes(0), Amount::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn an_amount_is_read_as_it_is_written(millionths in 0_u64..1_000_000_000_000_000) {
            let text = Amount(millionths).to_string();
            prop_assert_eq!(Amount::try_from(text), Ok(Amount(millionths)));
        }
    }
}
