//! The page as people meet it, in a real browser.

use std::path::PathBuf;
use std::time::Duration;

use blackstart_local::browser::{Browser, DESKTOP, ENTER, PHONE, TAB};
use serde_json::json;

use super::site::{decision_path, site};

/// Waits until a script says so.
async fn until(browser: &Browser, what: &str) {
    for _ in 0..200 {
        if browser
            .script(&format!("return document.readyState === 'complete' && ({what})"))
            .await
            .unwrap()
            == json!(true)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}, at {}", browser.address().await.unwrap());
}

async fn focus_on(browser: &Browser, what: &str) {
    for _ in 0..120 {
        browser.keys(&TAB.to_string()).await.unwrap();
        if browser
            .script(&format!("return document.activeElement.matches('{what}')"))
            .await
            .unwrap()
            == json!(true)
        {
            return;
        }
    }
    panic!("the keyboard never reaches `{what}`");
}

fn pictures() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.parent().unwrap().with_file_name("gate-pictures");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_reads_and_votes_with_the_keyboard_alone() {
    let site = site().await;
    let browser = Browser::start().await.unwrap_or_else(|error| panic!("{error}"));
    let origin = site.front.origin();
    browser.resize(DESKTOP).await.unwrap();
    browser
        .open(&format!("{origin}{}", decision_path()))
        .await
        .unwrap();
    focus_on(&browser, "a[href^=\"/sign-in\"]").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, "document.title === 'Who are you?'").await;
    focus_on(&browser, "#bob").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, &format!("location.pathname === '{}'", decision_path())).await;
    assert_eq!(browser.title().await.unwrap(), "orders: a decision is needed");

    // Text from logs is text: it made no elements, ran nothing and did not even try to.
    let made = "return document.scripts.length + document.images.length \
                + [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length";
    assert_eq!(browser.script(made).await.unwrap(), json!(0));
    let shown = "return document.body.innerText.includes(\"<script>document.title='owned'</script>\")";
    browser
        .script("document.querySelectorAll('details').forEach(d => d.open = true)")
        .await
        .unwrap();
    assert_eq!(browser.script(shown).await.unwrap(), json!(true));
    let complaints = browser.complaints().await.unwrap();
    assert!(
        complaints
            .iter()
            .all(|line| !line.contains("Content Security Policy")),
        "{complaints:?}"
    );
    // The style sheet is applied, so its hash is the one in the policy.
    assert_eq!(
        browser
            .script("return getComputedStyle(document.querySelector('button')).fontWeight")
            .await
            .unwrap(),
        json!("600")
    );
    // And the policy holds: what is planted from outside is not run.
    browser
        .script("const s = document.createElement('script'); s.textContent = \"document.title='owned'\"; document.body.append(s)")
        .await
        .unwrap();
    assert_eq!(browser.title().await.unwrap(), "orders: a decision is needed");
    assert!(
        browser
            .complaints()
            .await
            .unwrap()
            .iter()
            .any(|line| line.contains("Content Security Policy"))
    );

    for (size, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        browser.resize(size).await.unwrap();
        for dark in [false, true] {
            browser.prefer_dark(dark).await.unwrap();
            let width = browser
                .script("return document.documentElement.scrollWidth")
                .await
                .unwrap();
            let picture = pictures().join(format!("{name}{}.png", if dark { "-dark" } else { "" }));
            browser.picture(&picture).await.unwrap();
            assert!(
                width.as_u64().unwrap() <= u64::from(size.width),
                "{name}: {width} is wider than the screen"
            );
        }
    }

    browser
        .open(&format!("{origin}{}", decision_path()))
        .await
        .unwrap();
    focus_on(&browser, "textarea").await;
    browser
        .keys("Compared the manifests with the orders of that day.")
        .await
        .unwrap();
    focus_on(&browser, "button[value=approve]").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, "document.body.innerText.includes('1 of 2 approvals')").await;
    assert_eq!(site.unchanged(), (1, 0));

    let path = decision_path();
    let page = browser.script("return document.body.innerText").await.unwrap();
    let page = page.as_str().unwrap();
    assert!(
        page.contains("You have voted on this package") && page.contains("Compared the manifests"),
        "{path}: {page}"
    );
    focus_on(&browser, "form[action=\"/sign-out\"] button").await;
    browser.keys(&ENTER.to_string()).await.unwrap();
    until(&browser, "document.title === 'Signed out'").await;
    browser.open(&format!("{origin}{path}")).await.unwrap();
    until(&browser, "document.body.innerText.includes('Sign in first')").await;
    browser.stop().await.unwrap();
}
