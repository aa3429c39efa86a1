use proptest::prelude::*;

use super::super::DocumentKind;
use super::*;
use crate::run::AccountId;

const SIBLING: &str = "333333333333";

fn account(id: &str) -> AccountId {
    AccountId::try_from(id.to_owned()).unwrap()
}

fn slot(arn: &str) -> Slot {
    Slot {
        account: account(SIBLING),
        region: String::new(),
        kind: DocumentKind::RoleTrust,
        arn: arn.to_owned(),
    }
}

fn trust(principal: &str) -> Option<String> {
    Some(format!(
        r#"{{"Statement":[{{"Sid":"About111111111111","Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
    ))
}

fn document(arn: &str, text: Option<String>) -> Observed {
    Observed::Document {
        slot: slot(arn),
        text,
    }
}

fn map() -> IdentifierMap {
    IdentifierMap::of_accounts(&account("111111111111"), &account("222222222222")).unwrap()
}

fn waiver(document: &str) -> Waiver {
    Waiver {
        document: document.to_owned(),
        reason: "a partner's name".to_owned(),
        by: "grace".to_owned(),
    }
}

fn resource(kind: &str, name: &str) -> Resource {
    Resource {
        account: account(SIBLING),
        region: "us-east-1".to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn configuration(kind: &str, name: &str, part: &str, source: Source, text: &str) -> Observed {
    Observed::Configuration(Configuration {
        resource: resource(kind, name),
        part: part.to_owned(),
        form: Form::Config,
        text: text.to_owned(),
        source,
    })
}

fn covered(services: &[(&str, &str)]) -> Vec<Coverage> {
    services
        .iter()
        .map(|(region, service)| Coverage {
            account: account(SIBLING),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            documents: 1,
        })
        .collect()
}

#[test]
fn only_documents_that_name_the_old_account_are_kept_and_every_token_is_counted() {
    let inventory = inventory_of(
        [
            document("role/plain", trust("arn:aws:iam::111111111111:role/app")),
            document("role/other", trust("444444444444")),
            document("role/none", None),
            document(
                "role/unclear",
                trust("arn:aws:iam::111111111111:role/x-111111111111"),
            ),
            document("role/broken", Some("{".to_owned())),
        ],
        Vec::new(),
        Vec::new(),
        &map(),
    );
    assert_eq!(inventory.documents_read, 5);
    let arns: Vec<&str> = inventory
        .documents
        .iter()
        .map(|one| one.slot.arn.as_str())
        .collect();
    assert_eq!(arns, ["role/plain", "role/unclear"]);
    let gaps: Vec<String> = inventory.failures.iter().map(ReadFailure::name).collect();
    assert_eq!(gaps, ["333333333333/global/iam-roles"]);
    let sums = |waivers: &[Waiver]| merge([inventory.clone()], waivers).measure;
    let all = Counted {
        documents: 5,
        tokens: 3,
        handled: 2,
        waived: 0,
        unhandled: 1,
    };
    assert_eq!(sums(&[]), all);
    for name in ["role/unclear", "role/unclear#role_trust"] {
        assert_eq!(
            sums(&[waiver(name)]),
            Counted {
                waived: 1,
                unhandled: 0,
                ..all
            },
            "{name}"
        );
    }
    assert_eq!(sums(&[waiver("role/unclear#key_policy")]), all);
}

#[test]
fn a_document_whose_swap_is_refused_is_unhandled_before_the_approval() {
    let text =
        trust("111111111111").map(|text| text.replace("Action", "Resource\":\"222222222222\",\"Action"));
    let inventory = inventory_of([document("role/both", text)], Vec::new(), Vec::new(), &map());
    let document = inventory.documents.first().unwrap();
    assert_eq!((document.tokens, document.handled), (1, 0));
    assert!(document.unhandled.first().unwrap().contains("already contains"));
}

#[test]
fn what_no_writer_changes_is_an_item_that_only_its_own_name_waives() {
    let text = r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111111111111:role/x"}]}"#;
    let identity = configuration("AWS::IAM::Role", "role/a", "policy/deploy", Source::Reader, text);
    let inventory = inventory_of(
        [document("role/a", trust("111111111111")), identity],
        Vec::new(),
        Vec::new(),
        &map(),
    );
    assert_eq!(
        inventory.unhandled.first().unwrap().name(),
        "role/a#policy/deploy"
    );
    let sums = |waivers: &[Waiver]| {
        let measure = merge([inventory.clone()], waivers).measure;
        (measure.tokens, measure.handled, measure.waived, measure.unhandled)
    };
    assert_eq!(sums(&[]), (2, 1, 0, 1));
    // The waiver of the trust policy does not reach the identity policy.
    assert_eq!(sums(&[waiver("role/a")]), (2, 1, 0, 1));
    assert_eq!(sums(&[waiver("role/a#policy/deploy")]), (2, 1, 1, 0));
}

#[test]
fn of_a_config_snapshot_only_what_no_reader_read_counts() {
    let item = r#"{"configuration":{"name":"b"},"supplementaryConfiguration":{
        "BucketPolicy":{"policyText":"{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"111111111111\"}}]}"},
        "BucketReplicationConfiguration":{"rules":[{"destination":{"account":"111111111111"}}]}}}"#;
    let of = |coverage| {
        let config = configuration(
            "AWS::S3::Bucket",
            "arn:aws:s3:::b",
            "",
            Source::ConfigSnapshot,
            item,
        );
        inventory_of([config], coverage, Vec::new(), &map()).unhandled
    };
    let read = of(covered(&[("", "s3-buckets")]));
    let places: Vec<&str> = read
        .iter()
        .flat_map(|item| &item.seen)
        .map(|seen| seen.at.as_str())
        .collect();
    assert_eq!(
        places,
        ["supplementaryConfiguration.BucketReplicationConfiguration.rules[0].destination.account"]
    );
    // Where the reader was refused, Config is all there is.
    assert_eq!(of(Vec::new()).first().unwrap().tokens(), 2);
}

#[test]
fn a_finding_counts_only_where_nobody_read_the_resource() {
    let finding = |name: &str| {
        configuration(
            "AWS::Lambda::Function",
            name,
            "",
            Source::AccessAnalyzer,
            r#"{"principal":{"AWS":"111111111111"}}"#,
        )
    };
    let function = "arn:aws:lambda:us-east-1:333333333333:function:f";
    let inventory = inventory_of(
        [
            document(&format!("{function}:live"), trust("111111111111")),
            finding(function),
            finding("arn:aws:s3:::b"),
            configuration(
                "AWS::S3::Bucket",
                "arn:aws:s3:::b",
                "acl",
                Source::Reader,
                r#"{"id":"111111111111"}"#,
            ),
            finding("arn:aws:rds:us-east-1:333333333333:snapshot:s"),
        ],
        Vec::new(),
        Vec::new(),
        &map(),
    );
    let names: Vec<String> = inventory.unhandled.iter().map(UnhandledItem::name).collect();
    assert_eq!(
        names,
        [
            "arn:aws:rds:us-east-1:333333333333:snapshot:s",
            "arn:aws:s3:::b#acl"
        ]
    );
    assert_eq!(inventory.measure.unhandled, 2);
}

fn any_item() -> impl Strategy<Value = Observed> {
    let source = prop_oneof![
        Just(Source::Reader),
        Just(Source::ConfigSnapshot),
        Just(Source::AccessAnalyzer)
    ];
    let name = prop_oneof![Just("role/a"), Just("role/b"), Just("c")];
    let part = prop_oneof![Just(""), Just("acl")];
    let text = prop_oneof![
        Just(r#"{"x":"111111111111"}"#),
        Just(r#"{"x":["111111111111","111111111111"],"y":"111111111111"}"#),
        Just("{}")
    ];
    (name, part, source, text)
        .prop_map(|(name, part, source, text)| configuration("AWS::X::Y", name, part, source, text))
}

fn any_inventory() -> impl Strategy<Value = InventoryDocument> {
    let documents = proptest::collection::vec(prop_oneof![Just("role/a"), Just("role/b")], 0..2);
    (proptest::collection::vec(any_item(), 0..6), documents).prop_map(|(items, documents)| {
        let documents = documents
            .into_iter()
            .map(|arn| document(arn, trust("111111111111")));
        let mut inventory = inventory_of(items.into_iter().chain(documents), Vec::new(), Vec::new(), &map());
        inventory.documents_read = 0;
        inventory
    })
}

proptest! {
    #[test]
    fn neither_order_nor_repetition_nor_grouping_changes_a_merge(
        inventories in proptest::collection::vec(any_inventory(), 0..5), turn in 0_usize..5
    ) {
        let merged = merge(inventories.clone(), &[]);
        let mut other = inventories.clone();
        other.reverse();
        if !other.is_empty() {
            let middle = turn % other.len();
            other.rotate_left(middle);
        }
        prop_assert_eq!(&merge(other.clone(), &[]), &merged);
        let twice = other.iter().cloned().chain(inventories.clone());
        prop_assert_eq!(&merge(twice, &[]), &merged);
        let grouped = inventories.chunks(2).map(|chunk| merge(chunk.to_vec(), &[]));
        prop_assert_eq!(&merge(grouped, &[]), &merged);
    }

    #[test]
    fn every_token_is_handled_waived_or_unhandled(inventories in proptest::collection::vec(any_inventory(), 0..5)) {
        for waivers in [vec![], vec![waiver("role/a"), waiver("c#acl")]] {
            let measure = merge(inventories.clone(), &waivers).measure;
            prop_assert_eq!(measure.handled + measure.waived + measure.unhandled, measure.tokens);
        }
    }
}
