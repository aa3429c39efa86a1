//! Account ids in a document that are neither old nor new, with the owner where it is publicly known.
//!
//! They are labels for people and are never touched. A third account beside the old one deserves a look: an
//! intruder may have put it there.

use std::collections::BTreeMap;

use serde::Serialize;

use super::encoding::decode;
use super::map::IdentifierMap;

/// Accounts of AWS services and of vendors, as their owners document them, in order.
///
/// Sources: for load balancers *Enable access logs for your Classic Load Balancer*, for billing *Setting up an
/// Amazon S3 bucket for Cost and Usage Reports*, for CloudTrail *CloudTrail supported regions*; for each vendor
/// its own guide to connecting an AWS account.
const KNOWN: [(&str, &str); 49] = [
    ("008923505280", "Grafana"),
    ("009996457667", "AWS, load balancer logs"),
    ("012615275169", "Tenable"),
    ("027434742980", "AWS, load balancer logs"),
    ("033677994240", "AWS, load balancer logs"),
    ("037604701340", "AWS, load balancer logs"),
    ("048591011584", "AWS, load balancer logs"),
    ("054676820928", "AWS, load balancer logs"),
    ("086441151436", "AWS, CloudTrail"),
    ("099720109477", "Canonical"),
    ("107630771604", "Segment"),
    ("114774131450", "AWS, load balancer logs"),
    ("127311923021", "AWS, load balancer logs"),
    ("156460612806", "AWS, load balancer logs"),
    ("165736516723", "Cloudability"),
    ("216624486486", "AWS, CloudTrail"),
    ("284668455005", "AWS, CloudTrail"),
    ("353360065216", "Workato"),
    ("383597477331", "AWS, load balancer logs"),
    ("386209384616", "AWS, billing reports"),
    ("388731089494", "AWS, CloudTrail"),
    ("391854517948", "Cloudflare"),
    ("414351767826", "Databricks"),
    ("434813966438", "Lacework"),
    ("454464851268", "CloudHealth"),
    ("464622532012", "Datadog"),
    ("492519147666", "AWS, CloudTrail"),
    ("507241528517", "AWS, load balancer logs"),
    ("509560245411", "Dynatrace"),
    ("568526795995", "Cisco Umbrella"),
    ("582318560864", "AWS, load balancer logs"),
    ("600734575887", "AWS, load balancer logs"),
    ("638102146993", "AWS, load balancer logs"),
    ("652711504416", "AWS, load balancer logs"),
    ("718504428378", "AWS, load balancer logs"),
    ("754728514883", "New Relic"),
    ("761931097553", "Sysdig"),
    ("783225319266", "AWS, load balancer logs"),
    ("797873946194", "AWS, load balancer logs"),
    ("819402241893", "AWS, CloudTrail"),
    ("834469178297", "Fivetran"),
    ("859597730677", "AWS, CloudTrail"),
    ("903692715234", "AWS, CloudTrail"),
    ("913128560467", "env0"),
    ("922761411349", "Spot"),
    ("926226587429", "Sumo Logic"),
    ("956993596390", "Vanta"),
    ("977081816279", "AWS, CloudTrail"),
    ("985666609251", "AWS, load balancer logs"),
];

/// An account that a document names besides the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherAccount {
    /// Its id.
    pub account: String,
    /// How often it stands there.
    pub places: usize,
    /// Whose it is, where that is publicly known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'static str>,
}

/// Whose account this is, where AWS or a vendor has published it.
#[must_use]
pub fn owner_of(account: &str) -> Option<&'static str> {
    let index = KNOWN.binary_search_by_key(&account, |(id, _)| *id).ok()?;
    KNOWN.get(index).map(|(_, owner)| *owner)
}

/// The accounts that a document names besides those of the map, in order.
///
/// Twelve digits count where an account id can stand: between quotes, colons, slashes, dots and ends.
#[must_use]
pub fn other_accounts(text: &str, map: &IdentifierMap) -> Vec<OtherAccount> {
    let decoded = decode(text);
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let bytes = decoded.text.as_bytes();
    let mut at = 0;
    while let Some(skipped) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(u8::is_ascii_digit))
    {
        let start = at + skipped;
        let rest = bytes.get(start..).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        at = start + digits;
        let before = start.checked_sub(1).and_then(|before| bytes.get(before));
        let stands = before.is_none_or(|byte| matches!(byte, b':' | b'/' | b'"' | b'\'' | b' ' | b'='))
            && bytes
                .get(at)
                .is_none_or(|byte| matches!(byte, b':' | b'/' | b'"' | b'\'' | b'.' | b'\\' | b'\n' | b'\r'));
        if digits == 12
            && stands
            && let Some(account) = decoded.text.get(start..at)
        {
            *places.entry(account).or_default() += 1;
        }
    }
    let ours = |account: &str| {
        map.pairs()
            .iter()
            .any(|pair| pair.old == account || pair.new == account)
    };
    places
        .into_iter()
        .filter(|(account, _)| !ours(account))
        .map(|(account, places)| OtherAccount {
            account: account.to_owned(),
            places,
            owner: owner_of(account),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::AccountId;

    #[test]
    fn the_table_can_be_searched() {
        assert!(KNOWN.is_sorted_by(|one, other| one.0 < other.0));
        assert!(
            KNOWN
                .iter()
                .all(|(id, _)| AccountId::try_from((*id).to_owned()).is_ok())
        );
        assert_eq!(owner_of("464622532012"), Some("Datadog"));
        assert_eq!(owner_of("111111111111"), None);
    }

    #[test]
    fn third_accounts_are_listed_with_their_owners() {
        let account = |id: &str| AccountId::try_from(id.to_owned()).unwrap();
        let map = IdentifierMap::of_accounts(&account("111111111111"), &account("222222222222")).unwrap();
        let text = r#"{"AWS":["arn:aws:iam::127311923021:root","111111111111","333333333333","333333333333"],
            "at":202401010000,"number":"1333333333333","x":"a333333333333"}"#;
        let found = other_accounts(text, &map);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.account.as_str(), one.places, one.owner))
            .collect();
        assert_eq!(
            found,
            [
                ("127311923021", 1, Some("AWS, load balancer logs")),
                ("333333333333", 2, None)
            ]
        );
    }
}
