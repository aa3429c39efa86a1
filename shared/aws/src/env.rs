//! The environment, read once and through a closure, with every problem reported.

/// Reads settings and collects what is wrong with them.
pub struct Settings<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// The environment of a function is incomplete or malformed. Names every problem.
#[derive(Debug, thiserror::Error)]
#[error("the environment is not usable: {}", .0.join("; "))]
pub struct InvalidEnvironment(pub Vec<String>);

impl<'a> Settings<'a> {
    /// Reads from `get`, which returns the value of a variable if it is set.
    pub fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            get,
            problems: Vec::new(),
        }
    }

    /// A variable that must be set and not empty.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problems.push(format!("`{name}` is not set"));
            String::new()
        })
    }

    /// A variable that may be missing; an empty one counts as missing.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.get)(name).filter(|value| !value.is_empty())
    }

    /// Records a problem that the caller found.
    pub fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    /// The value, if nothing was wrong.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with all problems.
    pub fn finish<T>(self, value: T) -> Result<T, InvalidEnvironment> {
        if self.problems.is_empty() {
            Ok(value)
        } else {
            Err(InvalidEnvironment(self.problems))
        }
    }
}

/// Where a stage that works in other accounts keeps its documents, and what those accounts demand.
#[derive(Clone, PartialEq, Eq)]
pub struct StageSettings {
    /// `ARTIFACT_BUCKET`: name of the bucket for artifacts.
    pub artifact_bucket: String,
    /// `LEDGER_TABLE`: name of the ledger's table.
    pub ledger_table: String,
    /// `EXTERNAL_ID`: what the roles of other accounts demand of whoever assumes them.
    pub external_id: String,
}

impl std::fmt::Debug for StageSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageSettings")
            .field("artifact_bucket", &self.artifact_bucket)
            .field("ledger_table", &self.ledger_table)
            .finish_non_exhaustive()
    }
}

impl StageSettings {
    /// Reads the settings through `get`.
    ///
    /// # Errors
    /// [`InvalidEnvironment`] with every problem.
    pub fn parse(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, InvalidEnvironment> {
        let mut settings = Settings::new(get);
        let stage = Self {
            artifact_bucket: settings.required("ARTIFACT_BUCKET"),
            ledger_table: settings.required("LEDGER_TABLE"),
            external_id: settings.required("EXTERNAL_ID"),
        };
        settings.finish(stage)
    }
}

/// The process environment, for the one call in each `main.rs`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the process environment"
)]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::{Settings, StageSettings};

    #[test]
    fn a_stage_names_every_variable_it_lacks_and_shows_no_external_id() {
        let error = StageSettings::parse(&|_| None).unwrap_err().to_string();
        for name in ["LEDGER_TABLE", "ARTIFACT_BUCKET", "EXTERNAL_ID"] {
            assert!(error.contains(name), "{error}");
        }
        let shown = format!(
            "{:?}",
            StageSettings::parse(&|name| Some(format!("<{name}>"))).unwrap()
        );
        assert!(
            shown.contains("<LEDGER_TABLE>") && !shown.contains("<EXTERNAL_ID>"),
            "{shown}"
        );
    }

    #[test]
    fn every_problem_is_reported() {
        let get = |name: &str| (name == "EMPTY").then(String::new);
        let mut settings = Settings::new(&get);
        settings.required("EMPTY");
        settings.required("ABSENT");
        let error = settings.finish(()).unwrap_err();
        assert_eq!(error.0, ["`EMPTY` is not set", "`ABSENT` is not set"]);
    }
}
