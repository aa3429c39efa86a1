mod database;
mod fake;

use std::collections::{BTreeMap, BTreeSet};

use blackstart_aws::faults::{every_loss, task};
use blackstart_core::artifact::Digest;
use blackstart_core::error_name::{ErrorName, StageError as _};
use blackstart_core::rotation::{AccessKey, CURRENT, SecretValue};
use blackstart_core::task::Progress;
use blackstart_core::task::rotation::{Operation, Rotated};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::port::Credentials;
use crate::{Deps, Output, RotateError, handle};

use self::fake::{Fake, SECRET, one_secret, readable};

/// A world with a credential of every kind, and what an intruder may know of each.
fn every_kind() -> Fake {
    let fake = one_secret();
    {
        let mut world = fake.world();
        let rotation = json!({
            "secrets": [{"name": SECRET, "keys": ["password"]}],
            "credentials": [
                {"kind": "access_key", "user": "mailer", "secret": "orders/mailer"},
                {"kind": "parameter", "name": "/orders/token"},
                {"kind": "hook", "name": "certificate", "function": "renew"},
            ],
        });
        world.plan["rotation"] = rotation.clone();
        world.package.secrets = serde_json::from_value(rotation["secrets"].clone()).unwrap();
        world.package.credentials = serde_json::from_value(rotation["credentials"].clone()).unwrap();
        let current = || BTreeSet::from([CURRENT.to_owned()]);
        let stolen = r#"{"host":"db.example","password":"stolen"}"#.to_owned();
        world.secrets.insert(
            SECRET.to_owned(),
            BTreeMap::from([("old".to_owned(), (stolen, current()))]),
        );
        let empty = ("{}".to_owned(), current());
        world.secrets.insert(
            "orders/mailer".to_owned(),
            BTreeMap::from([("old".to_owned(), empty)]),
        );
        world.parameter.insert(4, ("stolen".to_owned(), BTreeSet::new()));
        for id in ["STOLEN1", "STOLEN2"] {
            world.keys.push(AccessKey {
                created: Timestamp::UNIX_EPOCH,
                id: id.to_owned(),
                active: true,
            });
        }
    }
    fake
}

/// What must hold once everything is rotated, however it came about.
fn is_all_new(fake: &Fake) {
    let world = fake.world();
    let current = |name: &str| {
        let versions = &world.secrets[name];
        let labelled: Vec<_> = versions
            .values()
            .filter(|(_, labels)| !labels.is_empty())
            .collect();
        assert_eq!(labelled.len(), 1, "{name}");
        serde_json::from_str::<Value>(&labelled[0].0).unwrap()
    };
    let login = current(SECRET);
    assert_eq!(login["host"], "db.example");
    assert_ne!(login["password"], "stolen");
    let key = current("orders/mailer");
    let active: Vec<_> = world.keys.iter().filter(|key| key.active).collect();
    assert_eq!(active.len(), 1);
    assert_eq!(key["access_key_id"], active[0].id.as_str());
    assert_eq!(
        key["secret_access_key"],
        format!("secret half of {}", active[0].id)
    );
    let (_, (value, labels)) = world.parameter.last_key_value().unwrap();
    assert!(value != "stolen" && labels.len() == 1);
    assert_eq!(world.hooked.len(), 1, "the hook is asked with one token");
}

#[tokio::test(flavor = "current_thread")]
async fn every_kind_of_credential_is_new_and_its_value_is_nowhere() {
    let fake = every_kind();
    let first = rotate(&fake).await.unwrap();
    assert_eq!(first.rotated, 5);
    is_all_new(&fake);
    let made = fake.world().made;
    assert_eq!(rotate(&fake).await.unwrap(), first);
    assert_eq!(fake.world().made, made, "a repeat makes no key");
    let world = fake.world();
    let said = format!("{:?} {:?} {:?}", world.kept, world.events, world.items);
    assert!(said.contains("AKIA") && said.contains("serial:01"), "{said}");
    assert!(!said.contains("secret half") && !said.contains("0001"), "{said}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_leaves_no_old_credential_of_any_kind_in_use() {
    let total = {
        let fake = every_kind();
        rotate(&fake).await.unwrap();
        fake.calls()
    };
    for (n, lost) in every_loss(total) {
        let fake = every_kind();
        fake.lose(n, lost);
        if let Err(error) = rotate(&fake).await {
            assert_eq!(error.name(), ErrorName::Transient, "call {n}: {error}");
            rotate(&fake).await.unwrap();
        }
        is_all_new(&fake);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_misspelt_key_of_a_secret_stops_instead_of_leaving_the_stolen_value() {
    let fake = every_kind();
    fake.world().plan["rotation"]["secrets"][0]["keys"] = json!(["pasword"]);
    let keys = fake.world().plan["rotation"]["secrets"].clone();
    fake.world().package.secrets = serde_json::from_value(keys).unwrap();
    let error = rotate(&fake).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("`pasword`") && !error.to_string().contains("stolen"),
        "{error}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn an_access_key_that_somebody_took_out_of_use_is_reported() {
    let fake = every_kind();
    rotate(&fake).await.unwrap();
    for key in &mut fake.world().keys {
        key.active = false;
    }
    let error = rotate(&fake).await.unwrap_err();
    assert!(matches!(error, RotateError::KeyLost { .. }), "{error}");
}

async fn rotate(fake: &Fake) -> Result<Rotated, RotateError> {
    let (plan, digest) = (fake.world().package.plan.clone(), Digest::of(b"package"));
    let package = plan.clone();
    let rotate = Operation::Rotate {
        plan,
        package,
        digest,
    };
    match ask(fake, rotate).await? {
        Output::Rotated(rotated) => Ok(rotated),
        Output::Removed(_) => panic!("another answer"),
    }
}

async fn clean_up(fake: &Fake) -> Result<Vec<String>, RotateError> {
    let plan = fake.world().package.plan.clone();
    match ask(fake, Operation::CleanUp { plan }).await? {
        Output::Removed(removed) => Ok(removed.removed),
        Output::Rotated(_) => panic!("another answer"),
    }
}

async fn ask(fake: &Fake, input: Operation) -> Result<Output, RotateError> {
    let run = fake.world().package.run.clone();
    let deps = Deps {
        run: fake,
        account: fake,
    };
    handle(task(&run, input), &deps, Timestamp::UNIX_EPOCH).await
}

#[tokio::test(flavor = "current_thread")]
async fn a_drill_removes_its_keys_and_its_own_parameter_and_nothing_of_others() {
    let fake = every_kind();
    let run = fake.world().package.run.to_string();
    fake.world().parameter.clear();
    rotate(&fake).await.unwrap();
    assert!(
        clean_up(&fake)
            .await
            .unwrap()
            .contains(&"/orders/token".to_owned())
    );
    let keys = fake.world().keys.len();
    assert_eq!(keys, 2, "the user does not carry the tag of the run");
    fake.world().owner = Some(run);
    assert_eq!(clean_up(&fake).await.unwrap().len(), 2);
    assert!(fake.world().keys.is_empty());
    assert!(clean_up(&fake).await.unwrap().is_empty());

    let fake = every_kind();
    rotate(&fake).await.unwrap();
    clean_up(&fake).await.unwrap();
    let kept = !fake.world().parameter.is_empty();
    assert!(kept, "a parameter that was there before stays");
    fake.world().mode = "incident";
    assert_eq!(
        clean_up(&fake).await.unwrap_err().name(),
        ErrorName::PolicyRefused
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_old_value_is_readable_under_no_label_and_a_repeat_makes_nothing_new() {
    let fake = one_secret();
    let first = rotate(&fake).await.unwrap();
    assert_eq!(first.rotated, 1);
    let value = format!("{:0>40}", 1);
    assert_eq!(readable(&fake), std::slice::from_ref(&value));
    assert_eq!(rotate(&fake).await.unwrap(), first);
    assert_eq!(readable(&fake), std::slice::from_ref(&value));
    assert_eq!(fake.world().secrets[SECRET].len(), 2);
    let kept = format!("{:?}", fake.world().kept);
    assert!(kept.contains(SECRET) && !kept.contains(&value), "{kept}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_at_any_call_makes_no_second_version() {
    for (n, lost) in every_loss(10) {
        let fake = one_secret();
        fake.lose(n, lost);
        if let Err(error) = rotate(&fake).await {
            assert_eq!(error.name(), ErrorName::Transient, "call {n}: {error}");
            rotate(&fake).await.unwrap();
        }
        assert_eq!(fake.world().secrets[SECRET].len(), 2, "call {n}");
        assert_eq!(readable(&fake).len(), 1, "call {n}");
        assert_ne!(readable(&fake), ["stolen"], "call {n}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_is_rotated_without_approval_or_beyond_it() {
    let fake = one_secret();
    fake.world().approved = false;
    assert_eq!(rotate(&fake).await.unwrap_err().name(), ErrorName::PolicyRefused);
    fake.world().approved = true;
    fake.world().package.secrets.clear();
    assert_eq!(rotate(&fake).await.unwrap_err().name(), ErrorName::PolicyRefused);
    assert_eq!(readable(&fake), ["stolen"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_version_that_somebody_made_later_is_reported_and_kept() {
    let fake = one_secret();
    rotate(&fake).await.unwrap();
    (&fake)
        .put(SECRET, "theirs", &SecretValue::new("other".to_owned()))
        .await
        .unwrap();
    let error = rotate(&fake).await.unwrap_err();
    assert_eq!(error.name(), ErrorName::PreconditionChanged);
    assert!(
        error.to_string().contains("theirs") && !error.to_string().contains("other"),
        "{error}"
    );
    assert!(readable(&fake).contains(&"other".to_owned()));
}
