use proptest::prelude::*;

use super::*;
use crate::run::WorkloadName;

fn versions(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    pairs
        .iter()
        .map(|(id, labels)| ((*id).to_owned(), labels.iter().map(|l| (*l).to_owned()).collect()))
        .collect()
}

/// What Secrets Manager does with a step.
fn apply(step: &Step, mine: &str, versions: &mut BTreeMap<String, BTreeSet<String>>) {
    match step {
        Step::Write => {
            let current = versions
                .iter()
                .find(|(_, labels)| labels.contains(CURRENT))
                .map(|(id, _)| id.clone());
            for labels in versions.values_mut() {
                labels.remove("AWSPREVIOUS");
            }
            if let Some(labels) = current.and_then(|id| versions.get_mut(&id)) {
                labels.remove(CURRENT);
                labels.insert("AWSPREVIOUS".to_owned());
            }
            versions.insert(mine.to_owned(), BTreeSet::from([CURRENT.to_owned()]));
        }
        Step::Retire { version, label } => {
            versions.get_mut(version).unwrap().remove(label);
        }
        Step::Done | Step::Overtaken { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn from_any_state_the_steps_end_with_one_labelled_version(
        labels in proptest::collection::vec(proptest::sample::subsequence(vec!["AWSPENDING", "blue", "green"], 0..=3), 0..4),
        has_current in any::<bool>(),
    ) {
        let mut state = BTreeMap::new();
        let mut given = BTreeSet::new();
        for (i, labels) in labels.iter().enumerate() {
            // A label is on one version at most.
            let mut own: BTreeSet<String> = labels.iter().filter(|l| given.insert(**l)).map(|l| (*l).to_owned()).collect();
            if i == 0 && has_current {
                own.insert(CURRENT.to_owned());
            }
            state.insert(format!("v{i}"), own);
        }
        let mut steps = 0;
        loop {
            let step = next_step("mine", &state);
            if step == Step::Done {
                break;
            }
            prop_assert!(!matches!(step, Step::Overtaken { .. }), "{step:?}");
            apply(&step, "mine", &mut state);
            steps += 1;
            prop_assert!(steps < 20, "does not end");
        }
        prop_assert_eq!(state.iter().filter(|(_, labels)| !labels.is_empty()).map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["mine"]);
    }
}

#[test]
fn a_version_that_somebody_made_current_later_is_not_replaced() {
    let state = versions(&[("mine", &["AWSPREVIOUS"]), ("theirs", &[CURRENT])]);
    assert_eq!(
        next_step("mine", &state),
        Step::Overtaken {
            by: "theirs".to_owned()
        }
    );
}

#[test]
fn a_value_is_in_no_debug_text() {
    let value = SecretValue::new("correct horse".to_owned());
    assert_eq!(format!("{value:?}"), "SecretValue(redacted)");
    assert_eq!(value.expose(), "correct horse");
}

#[test]
fn a_version_id_is_stable_and_fits_secrets_manager() {
    let run = RunId::of_execution(&WorkloadName::try_from("orders".to_owned()).unwrap(), "x");
    let version = version_of(&run, "orders/api-key");
    assert_eq!(version, version_of(&run, "orders/api-key"));
    assert_ne!(version, version_of(&run, "orders/api-key2"));
    assert!((32..=64).contains(&version.len()));
}

#[test]
fn only_the_approved_credentials_are_rotated() {
    let plan = Plan::parse(include_bytes!("../../../../tests/data/plan/orders.json")).unwrap();
    let package: DecisionPackage =
        serde_json::from_slice(include_bytes!("../../../../tests/data/plan/orders-package.json")).unwrap();
    let artifact = package.plan.clone();
    assert_eq!(
        approved_credentials(&package.run, &artifact, &plan, &package)
            .unwrap()
            .secrets
            .len(),
        1
    );

    let mut other = plan.clone();
    other.rotation.secrets[0].name = "orders/other".to_owned();
    assert!(approved_credentials(&package.run, &artifact, &other, &package).is_err());
    let mut changed = artifact.clone();
    changed.sha256 = Digest::of(b"another plan");
    assert!(approved_credentials(&package.run, &changed, &plan, &package).is_err());
    let run = RunId::try_from("orders-000000000000".to_owned()).unwrap();
    assert!(approved_credentials(&run, &artifact, &plan, &package).is_err());
}
