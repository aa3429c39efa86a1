//! Identifiers of the old account within one value, which may be a list or an object as JSON text.

use std::collections::{BTreeMap, BTreeSet};

use crate::run::AccountId;

/// A value with the plan's identifiers in it.
pub(super) struct Replaced {
    /// The value.
    pub(super) text: String,
    /// What is left of the old account.
    pub(super) unmapped: BTreeSet<String>,
}

/// With what the ids of networks, machines, stores and directories begin (EC2, RDS, EFS, `FSx` and Directory Service API
/// references); after it and a hyphen stand 8 to 40 hexadecimal digits.
const PREFIXES: [&str; 36] = [
    "acl", "ami", "cr", "d", "dopt", "eigw", "eipalloc", "eni", "fpd", "fs", "fsap", "fsmt", "fsvol", "h",
    "host", "i", "igw", "key", "lgw", "lt", "mrk", "nat", "op", "pcx", "pg", "pl", "rtb", "sg", "sgr",
    "snap", "subnet", "svm", "tgw", "vol", "vpc", "vpce",
];

/// Puts the new identifiers in the place of the old ones, and finds what is still of the old account.
pub(super) fn replace(
    value: &str,
    identifiers: &BTreeMap<String, String>,
    old: &AccountId,
    own: &AccountId,
) -> Replaced {
    let mut by_length: Vec<(&String, &String)> =
        identifiers.iter().filter(|(from, _)| !from.is_empty()).collect();
    by_length.sort_by_key(|(from, _)| (std::cmp::Reverse(from.len()), *from));

    let mut text = String::with_capacity(value.len());
    // What no identifier of the plan replaced.
    let mut untouched = String::new();
    let mut rest = value;
    while let Some(next) = rest.chars().next() {
        let found = by_length.iter().find_map(|(from, to)| {
            let after = rest.strip_prefix(from.as_str())?;
            let whole = !text.chars().next_back().is_some_and(is_inner)
                && !after.chars().next().is_some_and(is_inner);
            whole.then_some((to, after))
        });
        if let Some((to, after)) = found {
            text.push_str(to);
            // Two halves must not read as one word.
            untouched.push(' ');
            rest = after;
        } else {
            text.push(next);
            untouched.push(next);
            rest = rest.strip_prefix(next).unwrap_or_default();
        }
    }

    let mut unmapped: BTreeSet<String> = words(&untouched)
        .filter(|word| is_resource_id(word) || word.contains(old.as_str()))
        .map(str::to_owned)
        .collect();
    unmapped.extend(aliases(&untouched));
    for arn in arns(&text) {
        let account = arn.split(':').nth(4).unwrap_or_default();
        if !(account.is_empty() || account == own.as_str() || account == "aws") {
            // The whole of it says more than the ids in it.
            unmapped.retain(|id| !arn.contains(id.as_str()));
            unmapped.insert(arn.to_owned());
        }
    }
    Replaced { text, unmapped }
}

/// Whether an identifier may go on with this character.
fn is_inner(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_inner(c)).filter(|word| !word.is_empty())
}

fn arns(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"'[]{},;".contains(c))
        .filter(|word| word.starts_with("arn:"))
}

/// Aliases of keys that are not AWS's own.
fn aliases(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || "\"'[]{},;:".contains(c))
        .filter(|word| word.starts_with("alias/") && !word.starts_with("alias/aws/"))
        .map(str::to_owned)
}

fn is_resource_id(word: &str) -> bool {
    let hex = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let prefixed = word
        .split_once('-')
        .is_some_and(|(prefix, id)| PREFIXES.contains(&prefix) && hex(id, 8..=40));
    // Keys of KMS.
    let groups: Vec<&str> = word.split('-').collect();
    let uuid = match groups.as_slice() {
        [a, b, c, d, e] => {
            hex(a, 8..=8) && hex(b, 4..=4) && hex(c, 4..=4) && hex(d, 4..=4) && hex(e, 12..=12)
        }
        _ => false,
    };
    prefixed || uuid
}
