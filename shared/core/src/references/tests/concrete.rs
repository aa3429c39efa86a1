//! A small evaluator over concrete requests, written apart from the prover's.

use serde_json::Value;

#[derive(Debug, Clone)]
pub(super) struct Request {
    caller: String,
    role: bool,
    action: &'static str,
    keys: Vec<(&'static str, String)>,
}

impl Request {
    pub(super) const fn is_role(&self) -> bool {
        self.role
    }

    pub(super) fn for_iam_rs(&self) -> iam_rs::IAMRequest {
        let name = if self.role { "role/app" } else { "root" };
        let caller = format!("arn:aws:iam::{}:{name}", self.caller);
        let context = self
            .keys
            .iter()
            .fold(iam_rs::Context::new(), |context, (key, value)| {
                context.with_string(*key, value.clone())
            });
        iam_rs::IAMRequest::new_with_context(
            iam_rs::Principal::Aws(iam_rs::PrincipalId::String(caller)),
            self.action,
            iam_rs::Arn::parse("arn:aws:s3:::data/key").unwrap(),
            context,
        )
    }
}

pub(super) fn requests() -> Vec<Request> {
    let accounts = ["111111111111", "222222222222", "333333333333", "555555555555"];
    let mut all = Vec::new();
    for caller in accounts {
        for role in [false, true] {
            for action in ["s3:GetObject", "s3:PutObject"] {
                for source in accounts.into_iter().map(Some).chain([None]) {
                    for owner in [None, Some("111111111111"), Some("222222222222")] {
                        for prefix in [None, Some("111111111111"), Some("222222222222"), Some("x")] {
                            let mut keys = vec![("aws:PrincipalAccount", caller.to_owned())];
                            keys.extend(source.map(|one| ("aws:SourceAccount", one.to_owned())));
                            keys.extend(owner.map(|one| ("aws:ResourceAccount", one.to_owned())));
                            keys.extend(prefix.map(|one| ("s3:prefix", one.to_owned())));
                            all.push(Request {
                                caller: caller.to_owned(),
                                role,
                                action,
                                keys,
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

fn covers(principal: &Value, request: &Request) -> bool {
    if principal == "*" {
        return true;
    }
    principal["AWS"].as_array().unwrap().iter().any(|one| {
        let one = one.as_str().unwrap();
        one == request.caller
            || one == format!("arn:aws:iam::{}:root", request.caller)
            || request.role && one == format!("arn:aws:iam::{}:role/app", request.caller)
    })
}

fn holds(operator: &str, key: &str, wanted: &Value, request: &Request) -> bool {
    let wanted: Vec<&str> = match wanted {
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
        one @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            vec![one.as_str().unwrap()]
        }
    };
    let value = request
        .keys
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.as_str());
    match (operator, value) {
        ("StringNotEquals" | "ForAllValues:StringNotEquals" | "StringEqualsIfExists", None) => true,
        (_, None) => false,
        ("StringNotEquals" | "ForAllValues:StringNotEquals", Some(value)) => !wanted.contains(&value),
        (_, Some(value)) => wanted.contains(&value),
    }
}

pub(super) fn allows(policy: &Value, request: &Request) -> bool {
    let mut allowed = false;
    for statement in policy["Statement"].as_array().unwrap() {
        let who = match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (Some(principal), _) => covers(principal, request),
            (_, Some(excepted)) => !covers(excepted, request),
            _ => true,
        };
        let action = statement["Action"] == "s3:*" || statement["Action"] == request.action;
        let conditions = statement["Condition"]
            .as_object()
            .unwrap()
            .iter()
            .all(|(operator, keys)| {
                keys.as_object()
                    .unwrap()
                    .iter()
                    .all(|(key, wanted)| holds(operator, key, wanted, request))
            });
        if who && action && conditions {
            if statement["Effect"] == "Deny" {
                return false;
            }
            allowed = true;
        }
    }
    allowed
}
