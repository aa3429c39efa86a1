//! Whether the new environment serves, as far as checkers and an own look can tell.

/// Fewest checkers that must have reported. A check without reports counts as healthy at Route 53, and not here.
const FEWEST_CHECKERS: usize = 3;

/// The largest share of checkers, in percent, at which Route 53 still counts an endpoint as unhealthy (developer guide,
/// *How Amazon Route 53 determines whether a health check is healthy*).
const UNHEALTHY_SHARE: usize = 18;

/// What one checker of Route 53 reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckerReport {
    /// Region of the checker.
    pub region: String,
    /// Whether it found the nonce.
    pub healthy: bool,
}

/// Whether traffic may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It serves this run's nonce to the checkers and to us.
    Serves,
    /// Ask again later.
    NotYet {
        /// What is missing, for people.
        missing: String,
    },
}

/// Whether the gate can close: enough checkers have reported, and they do not find the nonce while it is not served.
///
/// A check that finds it all the same asks the wrong endpoint, or looks for nothing; it would never close.
///
/// # Errors
/// What is missing, for people.
pub fn seen_unhealthy(reports: &[CheckerReport]) -> Result<(), String> {
    let healthy = reports.iter().filter(|report| report.healthy).count();
    if reports.len() < FEWEST_CHECKERS {
        Err(format!(
            "{} of at least {FEWEST_CHECKERS} checkers have reported",
            reports.len()
        ))
    } else if healthy * 100 > reports.len() * UNHEALTHY_SHARE {
        Err(format!(
            "{healthy} of {} checkers are content although the nonce is not served yet",
            reports.len()
        ))
    } else {
        Ok(())
    }
}

/// Traffic may move when enough checkers have reported, more than half of them found the nonce, and we did too.
///
/// Route 53 itself is content with 18 % of its checkers, and with none for a new check.
#[must_use]
pub fn health(reports: &[CheckerReport], found_by_us: bool) -> Health {
    let healthy = reports.iter().filter(|report| report.healthy).count();
    let missing = if reports.len() < FEWEST_CHECKERS {
        format!(
            "{} of at least {FEWEST_CHECKERS} checkers have reported",
            reports.len()
        )
    } else if healthy * 2 <= reports.len() {
        format!("{healthy} of {} checkers find the nonce", reports.len())
    } else if !found_by_us {
        "we do not find the nonce ourselves".to_owned()
    } else {
        return Health::Serves;
    };
    Health::NotYet { missing }
}
