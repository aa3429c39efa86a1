//! Files of the repository, by their path from its root.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

pub(crate) fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(relative)
}

pub(crate) fn text(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

pub(crate) fn json(relative: &str) -> Value {
    serde_json::from_str(&text(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// Names of the entries of a folder, sorted.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Compares a generated document with its file, or writes the file when `UPDATE=1` is set.
///
/// Returns what to tell if they differ, so that one run names every stale file.
pub(crate) fn stale(relative: &str, wanted: &str) -> Option<String> {
    let file = path(relative);
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, wanted).unwrap();
        return None;
    }
    (fs::read_to_string(&file).ok().as_deref() != Some(wanted))
        .then(|| format!("{relative} is stale: run `UPDATE=1 cargo test -p contracts`"))
}
