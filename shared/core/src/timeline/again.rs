//! The second pass in batches: what every batch is searched for, and what it leaves.
//!
//! The batches are those of the first pass. What is searched for is a document, and what a batch leaves names its
//! digest: whoever merges takes only what was searched for the same, and reads anything else again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, Write};

use serde::{Deserialize, Serialize};

use super::actor::Act;
use super::facts::{ObjectFacts, Who};
use super::pivot::Traced;
use super::results::NotTaken;
use super::rows::{Again, Row};
use super::segments::frames;
use super::sketch::Caller;
use super::sorted::Sorted;
use super::{Gap, Unseen};
use crate::artifact::Digest;

/// The schema of [`Sought`].
const SOUGHT: &str = "blackstart.sought/1";

/// The schema of the first line of what a batch leaves.
const SCHEMA: &str = "blackstart.again/1";

/// What the second pass looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sought {
    schema: String,
    /// Every way in which an actor acted.
    pub(super) members: BTreeSet<Caller>,
    /// When the tools of the owners of stolen credentials were first used, in nanoseconds since 1970.
    pub(super) owners: Vec<(Caller, i64)>,
    /// Object and index of further records: of suspects, and strong ones that name nobody.
    pub(super) records: BTreeSet<(String, u64)>,
}

impl Sought {
    /// The acts of those whom the pivot found, and the first strong indicator of each suspect.
    #[must_use]
    pub fn of(traced: &Traced) -> Self {
        let of_nobody = traced.strong.iter().flatten();
        let of_nobody = of_nobody.filter(|act| act.who == Who::default());
        let place = |act: &Act| (act.evidence.object.clone(), act.evidence.record);
        Self {
            schema: SOUGHT.to_owned(),
            members: traced.members().collect(),
            owners: traced.owners.iter().map(|(tool, at)| (*tool, *at)).collect(),
            records: traced.suspects().iter().chain(of_nobody).map(place).collect(),
        }
    }

    /// The document.
    ///
    /// # Errors
    /// Never for one made here; the serializer's error otherwise.
    pub fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`NotTaken::Malformed`] when it is not one.
    pub fn read(bytes: &[u8]) -> Result<Self, NotTaken> {
        let read: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if read.schema == SOUGHT {
            Ok(read)
        } else {
            Err(NotTaken::Malformed("it has another schema".to_owned()))
        }
    }
}

/// Objects that hold acts of an actor and are not any more what the first pass read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Those of which nothing is known.
    pub(super) gaps: Vec<Gap>,
    /// Those whose events the first pass has seen. The floor reaches back before them.
    pub(super) unseen: Vec<Unseen>,
}

impl Lost {
    /// Takes note of an object.
    pub fn note(&mut self, object: &ObjectFacts, why: String) {
        match object.first {
            Some(from) => self.unseen.push(Unseen {
                from,
                to: object.last,
                what: object.object.clone(),
                why,
            }),
            None => self.gaps.push(Gap {
                what: object.object.clone(),
                reason: why,
            }),
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.gaps.extend_from_slice(&other.gaps);
        self.unseen.extend_from_slice(&other.unseen);
    }
}

/// The first line of what a batch leaves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: String,
    /// Digest of the [`Sought`].
    sought: Digest,
    /// Numbers of the objects in the batch, as [`super::results::BatchResult::objects`] lists them.
    objects: Vec<u32>,
    acts: Vec<Act>,
    lost: Lost,
}

/// What reading a batch again brings, while it is gathered.
#[derive(Debug)]
pub struct Gathered<F> {
    acts: BTreeMap<Who, Act>,
    lost: Lost,
    rows: Sorted<F>,
}

impl<F: Read + Write + Seek> Gathered<F> {
    /// Nothing yet; rows are to be kept on this empty medium.
    pub fn new(medium: F) -> Self {
        Self {
            acts: BTreeMap::new(),
            lost: Lost::default(),
            rows: Sorted::new(medium),
        }
    }

    /// Takes what one object says.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn add(&mut self, again: Again) -> io::Result<()> {
        for act in again.acts {
            match self.acts.get_mut(&act.who) {
                Some(known) if *known <= act => {}
                Some(known) => *known = act,
                None => {
                    self.acts.insert(act.who.clone(), act);
                }
            }
        }
        self.rows.extend(again.rows)
    }

    /// Takes note of an object that is not any more what the first pass read.
    pub fn lost(&mut self, object: &ObjectFacts, why: String) {
        self.lost.note(object, why);
    }

    /// What the batch leaves: one line, then the rows.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn finish(self, sought: Digest, objects: Vec<u32>) -> io::Result<Vec<u8>> {
        let head = Head {
            schema: SCHEMA.to_owned(),
            sought,
            objects,
            acts: self.acts.into_values().collect(),
            lost: self.lost,
        };
        let mut left = serde_json::to_vec(&head)?;
        left.push(b'\n');
        self.rows.run(&mut left)?;
        Ok(left)
    }
}

/// What a batch left.
#[derive(Debug)]
pub struct BatchAgain {
    pub(super) acts: Vec<Act>,
    pub(super) lost: Lost,
    /// Rows, one after the other in their order.
    pub(super) rows: Vec<u8>,
}

impl BatchAgain {
    /// Reads what a batch left, if these objects were searched for this.
    ///
    /// # Errors
    /// [`NotTaken::Malformed`] when it is something else.
    pub fn read(mut bytes: Vec<u8>, sought: &Digest, objects: &[u32]) -> Result<Self, NotTaken> {
        let missing = || NotTaken::Malformed("it has no first line".to_owned());
        let line = bytes.iter().position(|b| *b == b'\n').ok_or_else(missing)?;
        let rows = bytes.split_off(line + 1);
        let head: Head = serde_json::from_slice(&bytes).map_err(malformed)?;
        if head.schema != SCHEMA || head.sought != *sought || head.objects != objects {
            return Err(NotTaken::Malformed(
                "it was searched for something else".to_owned(),
            ));
        }
        for framed in frames(&rows) {
            let (_, row) = framed.ok_or_else(|| NotTaken::Malformed("it is cut off".to_owned()))?;
            serde_json::from_slice::<Row>(row).map_err(malformed)?;
        }
        if !frames(&rows).flatten().map(|(key, _)| key).is_sorted() {
            return Err(NotTaken::Malformed("it is not sorted".to_owned()));
        }
        Ok(Self {
            acts: head.acts,
            lost: head.lost,
            rows,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "maps errors")]
fn malformed(error: serde_json::Error) -> NotTaken {
    NotTaken::Malformed(error.to_string())
}
