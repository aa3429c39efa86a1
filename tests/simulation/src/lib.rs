//! Whole cutovers on the local AWS under faults: see `tests/`.
