//! Places on an axis of time, its ticks, and durations in words.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Steps between ticks, in seconds: those in which people count time.
const STEPS: [i64; 28] = [
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    10_800,
    21_600,
    43_200,
    86_400,
    172_800,
    604_800,
    1_209_600,
    2_592_000,
    5_184_000,
    7_776_000,
    15_552_000,
    31_536_000,
    63_072_000,
    315_360_000,
];
/// Most ticks on an axis: more do not fit beside each other on a phone.
const TICKS: i64 = 4;
const DAY: i64 = 86_400;

/// An axis of time from one instant to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    from: Timestamp,
    to: Timestamp,
}

/// A tick with its label. Times are UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Place in percent of the width.
    pub x: f64,
    /// Time of day; empty where the step is a day or more.
    pub time: String,
    /// The day, where it differs from that of the tick before.
    pub day: String,
}

impl Axis {
    /// An axis that shows at least a second.
    #[must_use]
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        let least = from
            .checked_add(jiff::SignedDuration::from_secs(1))
            .unwrap_or(from);
        Self {
            from,
            to: to.max(least),
        }
    }

    /// The axis that shows all these instants with a margin; `None` if there are none.
    #[must_use]
    pub fn around(instants: impl IntoIterator<Item = Timestamp>) -> Option<Self> {
        let (from, to) = instants.into_iter().fold(None, |range, at| match range {
            None => Some((at, at)),
            Some((from, to)) => Some((at.min(from), at.max(to))),
        })?;
        let margin = jiff::SignedDuration::from_secs((to.duration_since(from).as_secs() / 25).max(1));
        Some(Self::new(
            from.checked_sub(margin).unwrap_or(from),
            to.checked_add(margin).unwrap_or(to),
        ))
    }

    /// Where the axis begins.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64()
    }

    /// The place of an instant in percent of the width. What lies outside is put at the edge.
    #[must_use]
    pub fn x(&self, at: Timestamp) -> f64 {
        (at.duration_since(self.from).as_secs_f64() / self.seconds() * 100.0).clamp(0.0, 100.0)
    }

    /// At most five ticks, at round times of day in UTC.
    #[must_use]
    pub fn ticks(&self) -> Vec<Tick> {
        let (from, to) = (self.from.as_second(), self.to.as_second());
        let step = step(to.saturating_sub(from));
        let first = from.div_euclid(step).saturating_add(1).saturating_mul(step);
        let mut before: Option<jiff::civil::Date> = None;
        let mut ticks = Vec::new();
        let mut second = first;
        while second <= to && ticks.len() <= 5 {
            let Ok(at) = Timestamp::from_second(second) else {
                break;
            };
            let zoned = at.to_zoned(TimeZone::UTC);
            let date = zoned.date();
            // The year fits beside every day on no phone.
            let day = match before {
                Some(before) if before == date => String::new(),
                Some(before) if before.year() == date.year() => zoned.strftime("%-d %b").to_string(),
                _ => zoned.strftime("%-d %b %Y").to_string(),
            };
            let time = match step {
                step if step >= DAY => String::new(),
                step if step >= 60 => zoned.strftime("%H:%M").to_string(),
                _ => zoned.strftime("%H:%M:%S").to_string(),
            };
            ticks.push(Tick {
                x: self.x(at),
                time,
                day,
            });
            before = Some(date);
            second = second.saturating_add(step);
        }
        ticks
    }

    /// Ticks that count from the beginning of the axis: place in percent, and the duration in words.
    #[must_use]
    pub fn elapsed_ticks(&self) -> Vec<(f64, String)> {
        let seconds = self.to.duration_since(self.from).as_secs();
        let step = step(seconds);
        (0..=TICKS)
            .map(|n| n.saturating_mul(step))
            .take_while(|elapsed| *elapsed <= seconds)
            .filter_map(|elapsed| {
                let at = self
                    .from
                    .checked_add(jiff::SignedDuration::from_secs(elapsed))
                    .ok()?;
                let text = if elapsed == 0 {
                    "0".to_owned()
                } else {
                    duration(at.duration_since(self.from).as_secs_f64())
                };
                Some((self.x(at), text))
            })
            .collect()
    }
}

/// The shortest step that needs at most [`TICKS`] ticks for this many seconds.
fn step(seconds: i64) -> i64 {
    let longest = STEPS.last().copied().unwrap_or(DAY);
    STEPS
        .iter()
        .copied()
        .find(|step| seconds / step <= TICKS)
        .unwrap_or(longest)
}

/// A duration in words: `0.35 s`, `12.3 s`, `4 min 5 s`, `2 h 10 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "−" } else { "" };
    let exact = seconds.abs();
    // Rounded before the unit is chosen, or 59.96 s would be 60.0 s.
    if exact < 9.995 {
        return format!("{sign}{}", trimmed(&format!("{exact:.2}")));
    }
    if exact < 59.95 {
        return format!("{sign}{}", trimmed(&format!("{exact:.1}")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and no run takes that long"
    )]
    let whole = exact.round() as i64;
    let (large, large_name, small, small_name) = match whole {
        0..3_600 => (whole / 60, "min", whole % 60, "s"),
        3_600..DAY => (whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => (whole / DAY, "d", whole % DAY / 3_600, "h"),
    };
    if small == 0 {
        format!("{sign}{large} {large_name}")
    } else {
        format!("{sign}{large} {large_name} {small} {small_name}")
    }
}

fn trimmed(digits: &str) -> String {
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{short} s")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn durations_read_as_people_say_them() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.346, "0.35 s"),
            (9.999, "10 s"),
            (12.34, "12.3 s"),
            (59.96, "1 min"),
            (245.0, "4 min 5 s"),
            (3_600.0, "1 h"),
            (7_810.0, "2 h 10 min"),
            (273_600.0, "3 d 4 h"),
            (-90.0, "−1 min 30 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn ticks_stand_at_round_times_and_name_each_day_once() {
        let axis = Axis::new(at("2026-01-01T22:50:00Z"), at("2026-01-02T01:10:00Z"));
        let labels: Vec<_> = axis
            .ticks()
            .into_iter()
            .map(|tick| format!("{} {}", tick.day, tick.time))
            .collect();
        assert_eq!(
            labels,
            ["1 Jan 2026 23:00", " 23:30", "2 Jan 00:00", " 00:30", " 01:00"]
        );
        let axis = Axis::new(at("2026-01-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        assert!(axis.ticks().iter().all(|tick| tick.time.is_empty()));
    }

    proptest! {
        #[test]
        fn an_axis_has_a_handful_of_ticks_within_it(from in 0_i64..4_000_000_000, length in 0_i64..2_000_000_000) {
            let axis = Axis::new(Timestamp::from_second(from).unwrap(), Timestamp::from_second(from + length).unwrap());
            let ticks = axis.ticks();
            prop_assert!(ticks.len() <= 6);
            prop_assert!(length < 4 || !ticks.is_empty());
            prop_assert!(ticks.iter().all(|tick| (0.0..=100.0).contains(&tick.x)));
            prop_assert!(ticks.windows(2).all(|pair| pair[0].x < pair[1].x));
            let elapsed = axis.elapsed_ticks();
            prop_assert!(!elapsed.is_empty() && elapsed.len() <= 5);
        }
    }
}
