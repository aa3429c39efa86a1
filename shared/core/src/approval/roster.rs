//! Who a caller is: from the identity that the gateway vouches for to one person of the plan's roster.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Plan, Problem};
use crate::run::{AccountId, Trigger};

/// The people who may vote, fixed in the plan before anything happened.
///
/// A caller is matched by the ARN that IAM gives the gateway: a user ARN, or
/// `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION`. The session of a role counts as the role, whatever its
/// session name, unless the roster names that session. Session names are chosen by the caller, so naming people by
/// session is as good as the trust policy that pins `sts:RoleSessionName`, as IAM Identity Center does.
///
/// Who signs in with OpenID Connect is `ISSUER#SUBJECT` (see [`super::sign_in`]). A person may have identities of both
/// kinds, and is one person all the same.
#[derive(Debug, Clone)]
pub struct Roster<'a> {
    plan: &'a Plan,
    people: BTreeMap<Principal<'a>, &'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Principal<'a> {
    /// The path is part of a user's ARN wherever it appears.
    User {
        account: &'a str,
        path_and_name: &'a str,
    },
    /// Role names are unique within an account whatever their path, and session ARNs drop the path.
    Role { account: &'a str, name: &'a str },
    Session {
        account: &'a str,
        role: &'a str,
        session: &'a str,
    },
    /// A subject is unique within its issuer, and only there.
    Subject { issuer: &'a str, subject: &'a str },
}

impl<'a> Principal<'a> {
    /// `None` for anything that is no single user, role or session: root, wildcards, services, other text.
    fn parse(arn: &'a str, partition: &str) -> Option<Self> {
        if arn.contains(['*', '?']) || arn.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        if let Some((issuer, subject)) = arn.split_once('#') {
            let secure = issuer.strip_prefix("https://").or_else(|| {
                // An issuer on this machine: a rehearsal, where no certificate is to be had.
                issuer
                    .strip_prefix("http://")
                    .filter(|host| host.starts_with("127.0.0.1:"))
            });
            let named = secure.is_some_and(|host| !host.is_empty()) && !subject.is_empty();
            return named.then_some(Self::Subject { issuer, subject });
        }
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next();
        let (prefix, found, service, region) = (next()?, next()?, next()?, next()?);
        let (account, resource) = (next()?, next()?);
        if prefix != "arn"
            || found != partition
            || !region.is_empty()
            || AccountId::try_from(account.to_owned()).is_err()
        {
            return None;
        }
        let (kind, rest) = resource.split_once('/')?;
        let name = rest.rsplit('/').next().filter(|name| !name.is_empty())?;
        match (service, kind) {
            ("iam", "user") => Some(Self::User {
                account,
                path_and_name: rest,
            }),
            ("iam", "role") => Some(Self::Role { account, name }),
            ("sts", "assumed-role") => {
                let (role, session) = rest.split_once('/')?;
                let complete = !role.is_empty() && !session.is_empty() && !session.contains('/');
                complete.then_some(Self::Session {
                    account,
                    role,
                    session,
                })
            }
            _ => None,
        }
    }

    /// The account that could forge it; an issuer is no part of any.
    fn account(&self) -> Option<&'a str> {
        match self {
            Self::User { account, .. } | Self::Role { account, .. } | Self::Session { account, .. } => {
                Some(account)
            }
            Self::Subject { .. } => None,
        }
    }
}

impl<'a> Roster<'a> {
    /// The roster of a plan. Identities that mean nobody in particular or lie in the old account match nobody;
    /// [`Roster::problems`] names them.
    #[must_use]
    pub fn of(plan: &'a Plan) -> Self {
        let mut people = BTreeMap::new();
        for approver in &plan.approval.approvers {
            for identity in &approver.identities {
                let principal = Principal::parse(identity, &plan.partition)
                    .filter(|principal| principal.account() != Some(plan.accounts.old.as_str()));
                if let Some(principal) = principal {
                    people.entry(principal).or_insert(approver.person.as_str());
                }
            }
        }
        Self { plan, people }
    }

    /// The person behind an identity that IAM or the issuer's signature vouches for.
    #[must_use]
    pub fn person(&self, identity: &str) -> Option<&'a str> {
        let principal = Principal::parse(identity, &self.plan.partition)?;
        let named = self.people.get(&principal).copied();
        let Principal::Session { account, role, .. } = principal else {
            return named;
        };
        // A role that is named as a whole takes precedence: nobody turns into somebody else by a session name.
        let by_role = self.people.get(&Principal::Role { account, name: role }).copied();
        by_role.or(named)
    }

    /// Whoever asked for the run, as a person of the roster. A finding has no requester.
    #[must_use]
    pub fn requester(&self, trigger: &Trigger) -> Option<&'a str> {
        match trigger {
            Trigger::Finding { .. } => None,
            Trigger::Manual { requested_by, .. } => self.person(requested_by).or_else(|| {
                let people = self.plan.approval.approvers.iter().map(|a| a.person.as_str());
                people.into_iter().find(|person| *person == requested_by)
            }),
        }
    }

    /// The people who can vote on a run of this requester.
    #[must_use]
    pub fn eligible(&self, requester: Option<&str>) -> BTreeSet<&'a str> {
        self.people
            .values()
            .copied()
            .filter(|person| Some(*person) != requester)
            .collect()
    }

    /// Everything about the roster that would let one person count twice, or somebody vote who must not.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut owners: BTreeMap<Principal<'_>, &str> = BTreeMap::new();
        for (i, approver) in self.plan.approval.approvers.iter().enumerate() {
            for identity in &approver.identities {
                let mut problem = |what: String| {
                    problems.push(Problem {
                        at: format!("plan.approval.approvers[{i}].identities"),
                        what,
                    });
                };
                let Some(principal) = Principal::parse(identity, &self.plan.partition) else {
                    problem(format!(
                        "`{identity}` is no user, role or role session of this partition, and no `https://ISSUER#SUBJECT`"
                    ));
                    continue;
                };
                if principal.account() == Some(self.plan.accounts.old.as_str()) {
                    problem(format!(
                        "`{identity}` lies in the old account, where nobody is trusted"
                    ));
                }
                match owners.insert(principal, &approver.person) {
                    Some(other) if other != approver.person => {
                        problem(format!("`{identity}` is the same principal as one of `{other}`"));
                    }
                    _ => {}
                }
            }
        }
        for principal in owners.keys() {
            if let Principal::Session {
                account,
                role,
                session,
            } = principal
                && owners.contains_key(&Principal::Role { account, name: role })
            {
                problems.push(Problem {
                    at: "plan.approval.approvers".to_owned(),
                    what: format!(
                        "role `{role}` is named as a whole and by its session `{session}`: one holder could be two people"
                    ),
                });
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::fixtures::plan;

    #[test]
    fn a_caller_is_one_person_whatever_role_session_or_path() {
        let plan = plan();
        let roster = Roster::of(&plan);
        for (arn, person) in [
            ("arn:aws:iam::111111111111:user/ada", Some("ada")),
            ("arn:aws:sts::111111111111:assumed-role/Bob/laptop", Some("bob")),
            ("arn:aws:sts::111111111111:assumed-role/Bob/ada", Some("bob")),
            ("arn:aws:sts::111111111111:assumed-role/Shared/bob", Some("bob")),
            ("arn:aws:sts::111111111111:assumed-role/Shared/eve", Some("eve")),
            ("arn:aws:sts::111111111111:assumed-role/Shared/mallory", None),
            ("arn:aws:sts::999999999999:assumed-role/Shared/eve", None),
            ("arn:aws-cn:iam::111111111111:user/ada", None),
            ("arn:aws:iam::111111111111:user/x/ada", None),
            ("arn:aws:iam::111111111111:user/ada/", None),
            ("arn:aws:iam::111111111111:root", None),
            ("arn:aws:iam::111111111111:user/*", None),
            ("arn:aws:iam::111111111111:user/ada\n", None),
            ("", None),
        ] {
            assert_eq!(roster.person(arn), person, "{arn}");
        }
    }

    #[test]
    fn a_subject_is_a_person_of_its_issuer_only_and_no_second_one() {
        let mut plan = plan();
        let subject = "https://issuer.example/a#00u1".to_owned();
        plan.approval.approvers[0].identities.insert(subject.clone());
        let roster = Roster::of(&plan);
        assert_eq!(roster.problems(), []);
        assert_eq!(roster.person(&subject), Some("ada"));
        assert_eq!(roster.eligible(Some("ada")), BTreeSet::from(["bob", "eve"]));
        for other in [
            "https://issuer.example/b#00u1",
            "https://issuer.example/a#00u2",
            "https://issuer.example/a#",
            "http://issuer.example/a#00u1",
            "00u1",
        ] {
            assert_eq!(roster.person(other), None, "{other}");
        }
        plan.approval.approvers[1].identities.insert(subject);
        assert_eq!(Roster::of(&plan).problems().len(), 1);
    }

    #[test]
    fn nobody_becomes_a_second_person_by_a_session_name() {
        let mut plan = plan();
        plan.approval.approvers[2].identities =
            BTreeSet::from(["arn:aws:sts::111111111111:assumed-role/Bob/eve".to_owned()]);
        let roster = Roster::of(&plan);
        assert_eq!(
            roster.person("arn:aws:sts::111111111111:assumed-role/Bob/eve"),
            Some("bob")
        );
        assert_eq!(roster.problems().len(), 1);
    }

    #[test]
    fn identities_that_must_not_vote_are_named() {
        for bad in [
            "arn:aws:iam::444444444444:user/eve",
            "arn:aws:iam::111111111111:root",
            "arn:aws:iam::111111111111:role/*",
            "arn:aws:iam::111111111111:role/Bob",
            "eve",
        ] {
            let mut plan = plan();
            plan.approval.approvers[2].identities = BTreeSet::from([bad.to_owned()]);
            let roster = Roster::of(&plan);
            assert_eq!(roster.problems().len(), 1, "{bad}");
            assert_ne!(roster.person(bad), Some("eve"), "{bad}");
        }
    }

    #[test]
    fn whoever_asked_is_recognised_by_identity_or_name() {
        let plan = plan();
        let roster = Roster::of(&plan);
        for (requested_by, person) in [
            ("ada", Some("ada")),
            ("arn:aws:sts::111111111111:assumed-role/Bob/console", Some("bob")),
            ("arn:aws:states:us-east-1:111111111111:execution:recovery:x", None),
        ] {
            let trigger = Trigger::Manual {
                requested_by: requested_by.to_owned(),
                boundary: None,
            };
            assert_eq!(roster.requester(&trigger), person, "{requested_by}");
        }
        assert_eq!(roster.eligible(Some("ada")), BTreeSet::from(["bob", "eve"]));
    }
}
