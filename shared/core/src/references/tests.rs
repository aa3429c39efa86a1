//! The pieces together: what is found, how it is rewritten, what is refused, and that the prover is not fooled.

use serde_json::{Value, json};

use super::*;
use crate::plan::{IdentifierKind, IdentifierPair};
use crate::run::AccountId;

mod bad_input;
mod canonical;
mod concrete;
mod generated;
mod prove;
mod rewrite;
mod scan;

const OLD: &str = "111111111111";
const NEW: &str = "222222222222";

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).unwrap()
}

fn accounts() -> IdentifierMap {
    IdentifierMap::of_accounts(&account(OLD), &account(NEW)).unwrap()
}

fn map(more: &[(IdentifierKind, &str, &str)]) -> IdentifierMap {
    IdentifierMap::new(
        more.iter()
            .chain(&[(IdentifierKind::Account, OLD, NEW)])
            .map(|(kind, old, new)| IdentifierPair {
                kind: *kind,
                old: (*old).to_owned(),
                new: (*new).to_owned(),
            }),
    )
    .unwrap()
}

fn policy(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn positions(text: &str, form: Form, map: &IdentifierMap) -> Vec<(Position, String)> {
    scan(text, form, map)
        .unwrap()
        .into_iter()
        .map(|token| (token.position, text.get(token.span).unwrap().to_owned()))
        .collect()
}

const POLICY: Form = Form::Policy(None);
