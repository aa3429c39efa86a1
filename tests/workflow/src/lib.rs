//! Whole recoveries on the local AWS: see `tests/`.
