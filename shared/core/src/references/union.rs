//! The statements of two policies taken together, for a checker of access that is not ours.

use serde_json::{Map, Value};

use super::encoding::decode;

/// A policy that allows what either of two policies allows: the statements of both, without their ids.
///
/// `None` when either is no policy, or denies anything: a `Deny` of one would bind the other too.
#[must_use]
pub fn union_of(one: &str, other: &str) -> Option<String> {
    let (mut policy, mut statements) = parts(one)?;
    statements.extend(parts(other)?.1);
    policy.insert("Statement".to_owned(), statements.into());
    Some(Value::Object(policy).to_string())
}

/// The members of a policy, and its statements.
fn parts(text: &str) -> Option<(Map<String, Value>, Vec<Value>)> {
    let mut policy: Map<String, Value> = serde_json::from_str(&decode(text).text).ok()?;
    policy.remove("Id");
    let statements = policy.remove("Statement")?;
    let statements = match statements.as_array() {
        Some(several) => several.clone(),
        None => vec![statements],
    };
    let mut plain = Vec::new();
    for statement in statements {
        let Value::Object(mut members) = statement else {
            return None;
        };
        members.remove("Sid");
        if members.get("Effect").and_then(Value::as_str) != Some("Allow") {
            return None;
        }
        plain.push(Value::Object(members));
    }
    Some((policy, plain))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_of_both_stand_side_by_side_and_a_denial_has_no_union() {
        let policy = |effect: &str, action: &str| {
            json!({"Version": "2012-10-17", "Id": "x", "Statement": {"Sid": "s", "Effect": effect, "Action": action}})
                .to_string()
        };
        let union = union_of(&policy("Allow", "a"), &policy("Allow", "b")).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&union).unwrap(),
            json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "a"}, {"Effect": "Allow", "Action": "b"}]})
        );
        assert_eq!(union_of(&policy("Allow", "a"), &policy("Deny", "b")), None);
        assert_eq!(union_of("[]", &policy("Allow", "b")), None);
    }
}
