//! What is exported of a run, and how anyone verifies it offline.
//!
//! A bundle is a file of lines; each line is a DSSE envelope around an in-toto Statement v1. First come the
//! checkpoints, in order; the last line is the run statement: the whole chain, the digests of the checkpoints, the
//! key, and as subjects the digests of every artifact. So no line can be left out, added, changed or moved.
//! `infra/docs/evidence.md` is the description for readers.

mod statement;
mod verify;

pub use statement::{
    CHECKPOINT_PREDICATE, CheckpointPredicate, DigestSet, Facts, Key, RUN_PREDICATE, RunPredicate, STATEMENT,
    Statement, Subject, checkpoint, lines, statement,
};
pub use verify::{Approval, Attested, BundleFault, verify};

#[cfg(test)]
mod tests;
