//! The seam to whatever engine looks for known bytes: this crate carries none.

use std::fmt;

use super::Finding;

/// Compiled rules.
pub trait Signatures: fmt::Debug + Send + Sync {
    /// Begins one object.
    fn begin(&self) -> Box<dyn SignatureScan>;
}

/// The rules over the bytes of one object, as they stream by.
pub trait SignatureScan: fmt::Debug + Send {
    /// Takes the next bytes.
    fn update(&mut self, bytes: &[u8]);
    /// Ends the object. Rules that did not come to an end are a finding, too.
    fn finish(self: Box<Self>) -> Vec<Finding>;
}
