//! Who acted in an object, in 48 bytes each: enough to follow an actor through all logs without reading them again.
//!
//! Text becomes a 64-bit number that is the same in every process, so that the sketches of many machines fit
//! together. It is no cryptographic hash: two texts that share a number make one actor larger, and with it the
//! boundary earlier, which is the safe side. Kinds of tools are the exception: there are few numbers for them, and a tool
//! that shares the number of the owner's is taken for it, as is one that calls itself by its name ([`super::agent`]).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::agent::{Agent, Period};
use super::facts::{ObjectFacts, Who};

/// A [`Who`] as numbers; 0 stands for empty text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// Principal.
    pub(super) principal: u64,
    /// Access key id.
    pub(super) credential: u64,
    /// Address, odd if it is one of the network.
    pub(super) address: u64,
    /// With what.
    pub(super) agent: Agent,
}

impl Caller {
    /// The numbers of this way of acting.
    #[must_use]
    pub fn of(who: &Who) -> Self {
        Self::of_text(
            who.principal.as_bytes(),
            who.credential.as_bytes(),
            place(who.address.as_bytes()),
            || who.agent,
        )
    }

    /// `address` is the number of a [`place`]. `agent` is asked for the calls of a principal over the network alone.
    #[inline]
    pub(super) fn of_text(
        principal: &[u8],
        credential: &[u8],
        address: u64,
        agent: impl FnOnce() -> Agent,
    ) -> Self {
        let mut caller = Self {
            principal: number(principal),
            credential: number(credential),
            address,
            agent: Agent::UNKNOWN,
        };
        if caller.is_remote() && caller.principal != 0 {
            caller.agent = agent();
        }
        caller
    }

    /// The same, whatever the call was made with.
    pub(super) fn with_any_agent(self) -> Self {
        Self {
            agent: Agent::UNKNOWN,
            ..self
        }
    }

    /// One tool of the principal at this address, whatever the credential.
    pub(super) fn tool(self) -> Self {
        Self {
            credential: 0,
            ..self
        }
    }

    fn write(self, put: &mut impl FnMut(u64)) {
        for number in [self.principal, self.credential, self.address, self.agent.word()] {
            put(number);
        }
    }

    /// Whether the call came over the network, as [`Who::is_remote`] says.
    #[must_use]
    pub fn is_remote(self) -> bool {
        self.address & 1 == 1
    }
}

/// One way of acting in one object, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Acting {
    pub(super) who: Caller,
    pub(super) period: Period,
}

/// A credential that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Issuing {
    pub(super) by: Caller,
    pub(super) credential: u64,
    /// What the copies of the event in two accounts share, 0 if nothing.
    pub(super) shared: u64,
}

/// Who acted in one object, and which credentials were made there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    pub(super) acting: Vec<Acting>,
    pub(super) issuing: Vec<Issuing>,
}

/// A sketch cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sketch of an object is cut off")]
pub struct CutOff;

const WORD: usize = 8;

impl Sketch {
    /// The sketch of facts that list every use.
    #[must_use]
    pub fn of(facts: &ObjectFacts) -> Self {
        let mut sketch = Self {
            acting: facts
                .uses
                .iter()
                .map(|r#use| Acting {
                    who: Caller::of(&r#use.who),
                    period: r#use.period(),
                })
                .collect(),
            issuing: issuing(facts),
        };
        sketch.acting.sort_unstable();
        sketch
    }

    /// Appends the sketch: both lengths, then the numbers, all as 8 bytes with the least significant first.
    pub fn write(&self, to: &mut Vec<u8>) {
        to.reserve(WORD * (2 + 6 * self.acting.len() + 6 * self.issuing.len()));
        let mut put = |number: u64| to.extend_from_slice(&number.to_le_bytes());
        put(self.acting.len() as u64);
        put(self.issuing.len() as u64);
        for Acting { who, period } in &self.acting {
            who.write(&mut put);
            put(period.first.cast_unsigned());
            put(period.doubtful.cast_unsigned());
        }
        for Issuing {
            by,
            credential,
            shared,
        } in &self.issuing
        {
            by.write(&mut put);
            put(*credential);
            put(*shared);
        }
    }

    /// Bytes of the two lengths with which a written sketch begins.
    pub(super) const LENGTHS: usize = 2 * WORD;

    /// Bytes that follow these lengths.
    pub(super) fn length(lengths: &[u8]) -> Result<usize, CutOff> {
        let mut words = Words(lengths);
        let mut length = || usize::try_from(words.next()?).ok();
        let (acting, issuing) = length().zip(length()).ok_or(CutOff)?;
        acting
            .checked_mul(6)
            .zip(issuing.checked_mul(6))
            .and_then(|(a, b)| a.checked_add(b)?.checked_mul(WORD))
            .ok_or(CutOff)
    }

    /// Reads one sketch from the front of `from`, and leaves what follows it.
    ///
    /// # Errors
    /// [`CutOff`] when it ends within the sketch.
    pub fn read(from: &mut &[u8]) -> Result<Self, CutOff> {
        let mut words = Words(from);
        let mut length = || usize::try_from(words.next()?).ok();
        let (acting, issuing) = length().zip(length()).ok_or(CutOff)?;
        if words.0.len() < Self::length(from)? {
            return Err(CutOff);
        }
        let mut sketch = Self {
            acting: Vec::with_capacity(acting),
            issuing: Vec::with_capacity(issuing),
        };
        for _ in 0..acting {
            sketch.acting.push(Acting {
                who: words.caller().ok_or(CutOff)?,
                period: Period {
                    first: words.next().ok_or(CutOff)?.cast_signed(),
                    doubtful: words.next().ok_or(CutOff)?.cast_signed(),
                },
            });
        }
        for _ in 0..issuing {
            sketch.issuing.push(Issuing {
                by: words.caller().ok_or(CutOff)?,
                credential: words.next().ok_or(CutOff)?,
                shared: words.next().ok_or(CutOff)?,
            });
        }
        *from = words.0;
        Ok(sketch)
    }
}

/// Numbers of 8 bytes.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    fn caller(&mut self) -> Option<Caller> {
        Some(Caller {
            principal: self.next()?,
            credential: self.next()?,
            address: self.next()?,
            agent: Agent::of_word(self.next()?)?,
        })
    }
}

/// Collects the sketch of one object.
#[derive(Debug, Default)]
pub(super) struct Sketcher {
    acting: HashMap<Caller, Period, Numbered>,
    last: Option<(Caller, i64)>,
    made: HashSet<Issuing, Numbered>,
}

impl Sketcher {
    #[inline]
    pub(super) fn add(&mut self, who: Caller, at: i64) {
        if let Some((known, first)) = self.last
            && known == who
            && first <= at
        {
            return;
        }
        let known = self.acting.entry(who).or_insert(Period::at(at));
        known.add(Period::at(at));
        self.last = Some((who, known.first));
    }

    /// Adds a call that is doubtful.
    pub(super) fn add_doubtful(&mut self, who: Caller, at: i64) {
        let period = Period {
            first: at,
            doubtful: at,
        };
        self.acting.entry(who).or_insert(period).add(period);
    }

    /// Adds a call with a key of a user's session.
    pub(super) fn add_session(&mut self, session: Caller, key: u64, at: i64) {
        self.acting
            .entry(session)
            .or_insert(Period::at(at))
            .add(Period::at(at));
        self.add_made(Issuing {
            by: session,
            credential: key,
            shared: 0,
        });
    }

    /// Adds a credential that was made.
    pub(super) fn add_made(&mut self, issuing: Issuing) {
        self.made.insert(issuing);
    }

    /// The sketch, with the credentials that these facts say were made. Empties the collection.
    pub(super) fn finish(&mut self, facts: &ObjectFacts) -> Sketch {
        self.last = None;
        let mut sketch = Sketch {
            acting: self
                .acting
                .drain()
                .map(|(who, period)| Acting { who, period })
                .collect(),
            issuing: issuing(facts),
        };
        sketch.acting.sort_unstable();
        sketch.issuing.extend(self.made.drain());
        sketch.issuing.sort_unstable();
        sketch.issuing.dedup();
        sketch
    }

    pub(super) fn clear(&mut self) {
        self.made.clear();
        self.acting.clear();
        self.last = None;
    }
}

fn issuing(facts: &ObjectFacts) -> Vec<Issuing> {
    let mut issuing: Vec<_> = facts
        .issued
        .iter()
        .map(|issued| Issuing {
            by: Caller::of(&issued.by),
            credential: number(issued.credential.as_bytes()),
            shared: number(issued.shared.as_bytes()),
        })
        .collect();
    issuing.sort_unstable();
    issuing.dedup();
    issuing
}

/// Nanoseconds since 1970; the range is that of event times that are believed.
pub(super) fn nanoseconds(at: jiff::Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at.as_second() < 0 { i64::MIN } else { i64::MAX })
}

/// The number of a text, 0 for empty text only.
#[inline]
pub(super) fn number(text: &[u8]) -> u64 {
    // Odd constants without structure; the multiplication folds its upper half back.
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xd1b5_4a32_d192_ed03;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        #[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
        let halves = (product as u64, (product >> 64) as u64);
        halves.0 ^ halves.1
    };
    if text.is_empty() {
        return 0;
    }
    let mut number = FIRST ^ text.len() as u64;
    let (words, rest) = text.as_chunks::<WORD>();
    for word in words {
        number = fold(number ^ u64::from_le_bytes(*word), SECOND);
    }
    let mut last = [0; WORD];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    number = fold(number ^ u64::from_le_bytes(last) ^ SECOND, FIRST);
    number.max(1)
}

/// The number of an address, odd if it is one of the network.
pub(super) fn place(address: &[u8]) -> u64 {
    place_of(address, number(address))
}

fn place_of(address: &[u8], number: u64) -> u64 {
    if address.is_empty() {
        return 0;
    }
    let remote = std::str::from_utf8(address).is_ok_and(|text| text.parse::<IpAddr>().is_ok());
    (number & !1).max(2) | u64::from(remote)
}

/// Addresses that are remembered.
const PLACES_KEPT: usize = 1 << 14;

/// Places of addresses, each found out once.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<u64, u64, Numbered>);

impl Places {
    /// The same as [`place`].
    #[inline]
    pub(super) fn of(&mut self, address: &[u8]) -> u64 {
        let number = number(address);
        if let Some(known) = self.0.get(&number) {
            return *known;
        }
        let place = place_of(address, number);
        if self.0.len() < PLACES_KEPT {
            self.0.insert(number, place);
        }
        place
    }
}

/// Hashes what is made of numbers from [`number`], which are spread well already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(number(bytes));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// For maps whose keys are made of numbers from [`number`].
pub(super) type Numbered = BuildHasherDefault<Spread>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller() -> impl Strategy<Value = Caller> {
        (any::<u64>(), any::<u64>(), any::<u64>(), ".{0,3}").prop_map(
            |(principal, credential, address, agent)| Caller {
                principal,
                credential,
                address,
                agent: Agent::of(&agent),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sketches_come_back_as_they_were_written_and_a_cut_is_noticed(
            acting in proptest::collection::vec((caller(), any::<i64>(), any::<i64>()), 0..20),
            issuing in proptest::collection::vec((caller(), any::<u64>(), any::<u64>()), 0..5),
            cut in 0.0..1.0_f64,
        ) {
            let sketch = Sketch {
                acting: acting
                    .into_iter()
                    .map(|(who, first, doubtful)| Acting { who, period: Period { first, doubtful } })
                    .collect(),
                issuing: issuing.into_iter().map(|(by, credential, shared)| Issuing { by, credential, shared }).collect(),
            };
            let mut bytes = Vec::new();
            sketch.write(&mut bytes);
            let whole = bytes.len();
            sketch.write(&mut bytes);
            let mut from = bytes.as_slice();
            prop_assert_eq!(&Sketch::read(&mut from).unwrap(), &sketch);
            prop_assert_eq!(&Sketch::read(&mut from).unwrap(), &sketch);
            prop_assert!(from.is_empty());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
            let cut = (whole as f64 * cut) as usize;
            prop_assert_eq!(Sketch::read(&mut &bytes[..cut]), Err(CutOff));
        }

        #[test]
        fn other_text_has_another_number(a in ".{0,30}", b in ".{0,30}") {
            prop_assert_eq!(a == b, number(a.as_bytes()) == number(b.as_bytes()));
            prop_assert_eq!(a.is_empty(), number(a.as_bytes()) == 0);
        }
    }

    #[test]
    fn the_numbers_never_change_or_sketches_of_other_machines_would_not_fit() {
        assert_eq!(number(b"AKIAIOSFODNN7EXAMPLE"), 0x3556_d514_3e13_5a2f);
        for (address, remote) in [
            ("203.0.113.7", true),
            ("2001:db8::1", true),
            ("AWS Internal", false),
            ("", false),
        ] {
            let who = Who {
                address: address.to_owned(),
                ..Who::default()
            };
            assert_eq!((Caller::of(&who).is_remote(), who.is_remote()), (remote, remote));
        }
    }
}
