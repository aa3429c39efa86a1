use serde_json::json;

use super::testing::Wire;
use super::*;

const GLUE: Operation = Operation {
    endpoint: Endpoint {
        id: "Glue",
        host: "glue",
        signing: "glue",
    },
    permission: "glue:GetResourcePolicies",
    effect: Effect::Read,
    protocol: Protocol::Json {
        version: "1.1",
        target: "AWSGlue.GetResourcePolicies",
    },
};

fn client(wire: &Wire) -> Signed {
    Signed {
        first_pause: Duration::ZERO,
        ..Signed::over(&wire.config(), wire.connector())
    }
}

#[tokio::test]
async fn a_request_goes_to_the_service_of_its_region_and_is_signed_for_it() {
    let wire = Wire::new(|_| (200, "{\"ok\":1}".to_owned()));
    let answer = client(&wire)
        .json(&GLUE, "asking", "/", &json!({"a": 1}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"ok": 1}));
    let asked = wire.asked();
    assert_eq!(asked[0].uri, "https://glue.eu-west-1.amazonaws.com/");
    assert_eq!(asked[0].target, "AWSGlue.GetResourcePolicies");
    assert!(
        asked[0].authorization.contains("/eu-west-1/glue/aws4_request"),
        "{}",
        asked[0].authorization
    );
    assert!(asked[0].authorization.contains("x-amz-target"));
    assert_eq!(asked[0].body, "{\"a\":1}");
}

#[tokio::test]
async fn throttling_is_tried_again_within_a_budget_and_a_refusal_is_not() {
    for (status, body, attempts) in [
        (
            400,
            json!({"__type": "com.amazon#ThrottlingException", "message": "slow"}),
            3,
        ),
        (503, json!({}), 3),
        (
            400,
            json!({"__type": "AccessDeniedException", "Message": "no"}),
            1,
        ),
    ] {
        let wire = Wire::new(move |_| (status, body.to_string()));
        let error = client(&wire)
            .json(&GLUE, "asking", "/", &json!({}))
            .await
            .unwrap_err();
        assert_eq!(wire.asked().len(), attempts, "{error}");
        assert_eq!(
            matches!(error, PortError::Transient { .. }),
            attempts == 3,
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_write_is_of_unknown_outcome_and_sent_once() {
    let write = Operation {
        effect: Effect::Write,
        ..GLUE
    };
    let wire = Wire::new(|_| (500, String::new()));
    let error = client(&wire)
        .json(&write, "writing", "/", &json!({}))
        .await
        .unwrap_err();
    assert!(matches!(error, PortError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(wire.asked().len(), 1);
}

#[test]
fn elements_are_read_in_order_and_unescaped() {
    let xml = "<r><item><id>a</id></item><item><id>b &amp; c</id></item><id/></r>";
    assert_eq!(elements(xml, "id"), ["a", "b & c"]);
    assert!(elements("<id>cut", "id").is_empty());
}
