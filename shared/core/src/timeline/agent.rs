//! With what a call was made, as far as kinds of tools can be told apart; and which of them are at home where they are
//! used.
//!
//! A key that was stolen from a machine may be used on it: then owner and thief share principal and address, and
//! only what they call with is different. A caller chooses what it says, so this may only ever acquit, on narrow
//! grounds, and never accuse.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sketch::number;

/// A kind of tool: the product in a user agent, without its version, as a number below 4,096, so that a caller who
/// says something else each time does not fill the memory. 0 is what nothing is known of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Agent(u16);

impl Agent {
    /// A finding does not say with what a call was made, and behind an AWS service it is the service's.
    pub const UNKNOWN: Self = Self(0);

    /// The number of every console, and of the browser that shows it.
    const CONSOLE: Self = Self(1);

    /// The kind of this user agent, as CloudTrail records it; a record without one has a kind of its own.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let product = user_agent.split(['/', '_']).next().unwrap_or_default();
        Self::of_product(product.as_bytes())
    }

    /// The kind of a user agent whose product is this: what stands before the version, or a run's own name.
    pub(super) fn of_product(product: &[u8]) -> Self {
        let name = product.strip_prefix(b"[").unwrap_or(product).to_ascii_lowercase();
        let is_console = name == b"mozilla"
            || name == b"aws internal"
            || name.ends_with(b".amazonaws.com")
            || name.windows(CONSOLE.len()).any(|part| part == CONSOLE);
        if is_console {
            return Self::CONSOLE;
        }
        let [low, high, ..] = number(&name).to_le_bytes();
        Self((u16::from_le_bytes([low, high]) & 0xfff).max(2))
    }

    /// As one of the words of a sketch.
    pub(super) fn word(self) -> u64 {
        self.0.into()
    }

    /// The kind that [`Agent::word`] gave.
    pub(super) fn of_word(word: u64) -> Option<Self> {
        Some(Self(u16::try_from(word).ok()?))
    }

    /// Whether nothing is known of it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::UNKNOWN
    }
}

const CONSOLE: &[u8] = b"console";

/// Nanoseconds for which a tool must have been in use before the first of an intruder's tools appeared. Nearly all
/// intruders are in an account for less before they are noticed by what they do.
const AT_HOME: i64 = 7 * 24 * 3600 * 1_000_000_000;

/// What was called with by one principal at one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Habit {
    /// The tools of strong indicators.
    hostile: BTreeSet<Agent>,
    tools: BTreeMap<Agent, Period>,
}

/// When something was first done, and when last something doubtful: what any indicator marks, if only as context, or what
/// made a credential. In nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period {
    pub(super) first: i64,
    /// [`Period::NEVER`] if nothing was.
    pub(super) doubtful: i64,
}

impl Period {
    pub(super) const NEVER: i64 = i64::MIN;

    /// What is done at this time, without doubt.
    pub(super) fn at(first: i64) -> Self {
        Self {
            first,
            doubtful: Self::NEVER,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.doubtful = self.doubtful.max(other.doubtful);
    }
}

impl Habit {
    /// A strong indicator was called with this.
    pub(super) fn accuse(&mut self, agent: Agent) {
        self.hostile.insert(agent);
    }

    pub(super) fn see(&mut self, agent: Agent, period: Period) {
        self.tools.entry(agent).or_insert(period).add(period);
    }

    /// The tools that are taken for the owner's, and when each was first seen: nothing hostile was done with them, they
    /// were in use for a week when the first of the intruder's appeared, and from that week on nothing doubtful was done
    /// with them. Any other tool is the intruder's too, and the week is the one before it.
    pub(super) fn at_home(&self) -> BTreeMap<Agent, i64> {
        let hostile = self.hostile.iter().filter_map(|agent| self.tools.get(agent));
        let Some(mut intruders) = hostile.map(|tool| tool.first).min() else {
            return BTreeMap::new();
        };
        loop {
            let near = intruders.saturating_sub(AT_HOME);
            let is_theirs = |tool: &Period| tool.first > near || tool.doubtful >= near;
            let theirs = self.tools.values().filter(|tool| is_theirs(tool));
            match theirs.map(|tool| tool.first).min() {
                Some(earlier) if earlier < intruders => intruders = earlier,
                _ => {
                    let at_home = self.tools.iter().filter(|(_, tool)| !is_theirs(tool));
                    return at_home.map(|(agent, tool)| (*agent, tool.first)).collect();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tools_are_told_apart_and_their_versions_are_not() {
        let kind = Agent::of;
        for (one, other) in [
            (
                "aws-cli/2.15.0 Python/3.11",
                "[aws-cli/1.2 Python/3.8.10 command/s3.ls]",
            ),
            ("Boto3/1.26.165 Python/3.10.6", "[Boto3/1.35]"),
            (
                "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:102.0)",
                "[S3Console/0.4, aws-internal/3]",
            ),
            ("RDS Console, aws-internal/3", "signin.amazonaws.com"),
            (
                "stratus-red-team_39f95f43-cd2f-4beb-b69e-be60b6fe1f57",
                "stratus-red-team_6a7ec681",
            ),
        ] {
            assert_eq!(kind(one), kind(other), "{one} and {other}");
        }
        let all = [
            "aws-cli/2",
            "Boto3/1",
            "aws-sdk-java/1",
            "APN/1.0",
            "Mozilla/5.0",
            "curl/8",
            "",
        ];
        let kinds: BTreeSet<_> = all.iter().map(|text| kind(text)).collect();
        assert_eq!(kinds.len(), all.len());
        assert!(!kinds.contains(&Agent::UNKNOWN));
    }

    const DAY: i64 = AT_HOME / 7;

    fn habit(hostile: &[&str], first: &[(&str, i64)]) -> Vec<Agent> {
        doubted(hostile, first, &[])
    }

    fn doubted(hostile: &[&str], first: &[(&str, i64)], doubtful: &[(&str, i64)]) -> Vec<Agent> {
        let mut habit = Habit::default();
        for agent in hostile {
            habit.accuse(Agent::of(agent));
        }
        for (agent, days) in first {
            habit.see(Agent::of(agent), Period::at(days * DAY));
            habit.see(Agent::of(agent), Period::at((days + 30) * DAY));
        }
        for (agent, days) in doubtful {
            let (first, doubtful) = (days * DAY, days * DAY);
            habit.see(Agent::of(agent), Period { first, doubtful });
        }
        habit.at_home().into_keys().collect()
    }

    #[test]
    fn what_did_something_doubtful_in_the_week_before_the_intruder_or_after_is_not_at_home() {
        let own = vec![Agent::of("aws-sdk-java")];
        let tools = [("aws-sdk-java", 0), ("aws-cli", 20)];
        assert_eq!(doubted(&["aws-cli"], &tools, &[("aws-sdk-java", 12)]), own);
        assert_eq!(doubted(&["aws-cli"], &tools, &[("aws-sdk-java", 13)]), []);
        assert_eq!(doubted(&["aws-cli"], &tools, &[("aws-sdk-java", 40)]), []);
        // A tool that is the intruder's for that reason brings the week before itself into doubt.
        let tools = [("aws-sdk-java", 0), ("boto3", 10), ("aws-cli", 20)];
        let early = ("aws-sdk-java", 5);
        assert_eq!(
            doubted(&["aws-cli"], &tools, &[early]),
            [Agent::of("aws-sdk-java"), Agent::of("boto3")]
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert_eq!(doubted(&["aws-cli"], &tools, &[early, ("boto3", 15)]), []);
    }

    #[test]
    fn only_a_tool_in_use_for_a_week_before_all_of_the_intruders_is_at_home() {
        let own = vec![Agent::of("aws-sdk-java")];
        assert_eq!(habit(&["aws-cli"], &[("aws-sdk-java", 0), ("aws-cli", 7)]), own);
        assert_eq!(habit(&["aws-cli"], &[("aws-sdk-java", 1), ("aws-cli", 7)]), []);
        // What was tried four days before belongs to the intruder, and the week counts from there.
        let with_boto = [("aws-sdk-java", 0), ("boto3", 5), ("aws-cli", 9)];
        assert_eq!(habit(&["aws-cli"], &with_boto), []);
        let with_boto = [("aws-sdk-java", 0), ("boto3", 8), ("aws-cli", 12)];
        assert_eq!(habit(&["aws-cli"], &with_boto), own);
        // A tool with which something hostile was done is nobody's but the intruder's.
        let both = [("aws-sdk-java", 0), ("aws-cli", 20)];
        assert_eq!(habit(&["aws-cli", "aws-sdk-java"], &both), []);
        assert_eq!(habit(&[], &both), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_number_of_kinds_is_bounded_whatever_is_said(text in ".{0,40}") {
            let kind = Agent::of(&text);
            prop_assert!(!kind.is_unknown() && kind.word() < 4096);
            prop_assert_eq!(Agent::of_word(kind.word()), Some(kind));
        }
    }
}
