//! Certificates that the rebuilt stacks asked ACM for.
//!
//! ACM makes a new key pair for every certificate that it is asked for, and never shows the private key (ACM user guide,
//! "Request a public certificate"). So nothing is rotated here: a certificate that came after the event boundary is
//! proven to be a new one. An imported one brought its key along.

use jiff::Timestamp;

use crate::plan::Plan;
use crate::rebuild::BuiltStack;

/// What ACM says of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// For example `ISSUED` or `PENDING_VALIDATION`.
    pub status: String,
    /// `AMAZON_ISSUED`, `PRIVATE` or `IMPORTED`.
    pub origin: String,
    /// When it was asked for.
    pub created: Option<Timestamp>,
    /// Serial number.
    pub serial: Option<String>,
}

/// Whether a certificate is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    New {
        /// Its serial number.
        serial: String,
    },
    /// It is not issued yet: look again later.
    Wait,
    /// It is not, for this reason.
    NotNew(String),
}

/// The ARN of a certificate: an output of a stack of this run.
///
/// # Errors
/// What is missing, or not as it must be.
pub fn arn_of(plan: &Plan, stacks: &[BuiltStack], stack: &str, output: &str) -> Result<String, String> {
    let built = stacks
        .iter()
        .find(|built| built.name == stack)
        .ok_or_else(|| format!("the stack `{}` was not built", stack.escape_debug()))?;
    let arn = built.outputs.get(output).ok_or_else(|| {
        format!(
            "the stack `{}` has no output `{}`",
            stack.escape_debug(),
            output.escape_debug()
        )
    })?;
    let here = format!(
        "arn:{}:acm:{}:{}:certificate/",
        plan.partition, plan.region, plan.accounts.rebuild
    );
    if arn.starts_with(&here) {
        Ok(arn.clone())
    } else {
        Err(format!(
            "`{}` is no certificate of the rebuild account in the plan's region",
            arn.escape_debug()
        ))
    }
}

/// Decides whether a certificate is new since the event boundary.
#[must_use]
pub fn judge(certificate: &Certificate, boundary: Timestamp) -> Verdict {
    if !matches!(certificate.origin.as_str(), "AMAZON_ISSUED" | "PRIVATE") {
        return Verdict::NotNew(format!(
            "it is `{}`: its key was made elsewhere; ask ACM for one, or name a `hook`",
            certificate.origin.escape_debug()
        ));
    }
    match (certificate.status.as_str(), &certificate.serial) {
        ("PENDING_VALIDATION", _) => return Verdict::Wait,
        ("ISSUED", Some(_)) => {}
        (status, _) => return Verdict::NotNew(format!("it is `{}`", status.escape_debug())),
    }
    match (certificate.created, &certificate.serial) {
        (Some(created), Some(serial)) if created > boundary => Verdict::New {
            serial: serial.clone(),
        },
        (Some(created), _) => Verdict::NotNew(format!(
            "it was asked for at {created}, before the event boundary"
        )),
        (None, _) => Verdict::NotNew("ACM does not say when it was asked for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::artifact::Digest;

    fn certificate() -> Certificate {
        Certificate {
            status: "ISSUED".to_owned(),
            origin: "AMAZON_ISSUED".to_owned(),
            created: Some(Timestamp::from_second(1_000).unwrap()),
            serial: Some("01:ab".to_owned()),
        }
    }

    #[test]
    fn only_an_issued_certificate_of_acm_from_after_the_boundary_is_new() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let new = Verdict::New {
            serial: "01:ab".to_owned(),
        };
        assert_eq!(judge(&certificate(), at(999)), new);
        for (change, says) in [
            (
                (|it: &mut Certificate| it.origin = "IMPORTED".to_owned()) as fn(&mut Certificate),
                "IMPORTED",
            ),
            (|it| it.origin.clear(), "its key was made elsewhere"),
            (|it| it.status = "EXPIRED".to_owned(), "EXPIRED"),
            (|it| it.status = "REVOKED".to_owned(), "REVOKED"),
            (|it| it.created = None, "does not say when"),
            (
                |it| it.created = Some(Timestamp::UNIX_EPOCH),
                "before the event boundary",
            ),
            (|it| it.serial = None, "it is `ISSUED`"),
        ] {
            let mut other = certificate();
            change(&mut other);
            match judge(&other, at(999)) {
                Verdict::NotNew(why) => assert!(why.contains(says), "{why}"),
                verdict @ (Verdict::New { .. } | Verdict::Wait) => panic!("{verdict:?}"),
            }
        }
        // At the boundary itself it may be the intruder's.
        assert!(matches!(judge(&certificate(), at(1_000)), Verdict::NotNew(_)));
        let pending = Certificate {
            status: "PENDING_VALIDATION".to_owned(),
            serial: None,
            ..certificate()
        };
        assert_eq!(judge(&pending, at(999)), Verdict::Wait);
    }

    #[test]
    fn a_certificate_is_an_output_of_a_stack_and_of_the_rebuild_account() {
        let plan = Plan::parse(include_bytes!("../../../../tests/data/plan/orders.json")).unwrap();
        let arn = "arn:aws:acm:eu-central-1:333333333333:certificate/1";
        let old = arn.replace("333333333333", "999999999999");
        let outputs = [("Certificate", arn), ("Old", old.as_str()), ("Name", "orders")];
        let stacks = [BuiltStack {
            name: "orders-app".to_owned(),
            id: "id".to_owned(),
            template: Digest::of(b""),
            outputs: outputs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        }];
        assert_eq!(arn_of(&plan, &stacks, "orders-app", "Certificate").unwrap(), arn);
        for (stack, output) in [
            ("elsewhere", "Certificate"),
            ("orders-app", "Missing"),
            ("orders-app", "Old"),
            ("orders-app", "Name"),
        ] {
            assert!(arn_of(&plan, &stacks, stack, output).is_err(), "{output}");
        }
    }
}
