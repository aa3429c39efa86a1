//! What a recovery point remembers of the old account is mapped, or nothing is put before the approvers.

use std::collections::BTreeMap;

use blackstart_core::task::validation::Selected;

use super::machine::{DATA, at, change_plan, point, prepared, select, selection, set_boundary, walk, world};

const KEY: &str = "arn:aws:kms:eu-central-1:444444444444:key/0b5c2fb7-1c1e-4a5c-9b1a-0f8b0e6f2c11";

#[tokio::test(flavor = "current_thread")]
async fn a_set_whose_points_name_an_unmapped_key_is_not_proposed() {
    let world = world();
    let remembered = BTreeMap::from([
        ("EncryptionType".to_owned(), "SSE-KMS".to_owned()),
        ("KMSKey".to_owned(), KEY.to_owned()),
    ]);
    world
        .0
        .lock()
        .unwrap()
        .remembered
        .insert(point(DATA, 1).arn, remembered);
    set_boundary(&world, at(10 * 1440));
    let walked = walk(&world, &mut 0).await;
    assert!(walked.found.is_some(), "it is clean all the same");
    let Selected::NotPossible { reason } = select(&world, prepared(walked.clone())).await else {
        panic!("it was put before the approvers");
    };
    for part in ["restores.data.metadata.KMSKey", KEY, "`restore.identifiers`"] {
        assert!(reason.contains(part), "{reason}");
    }

    change_plan(&world, |plan| {
        plan["restore"] = serde_json::json!({"identifiers": {KEY: "${keys.Data}"}});
    });
    let document = selection(&world, &select(&world, prepared(walked)).await);
    assert_eq!(document.set.newest, at(1440 + 5));
}
