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

/// The process environment, for the one call in each `config.rs`.
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
    use super::Settings;

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
