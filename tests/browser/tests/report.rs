//! The report in Chromium: hostile text is inert, everything fits a phone, light and dark are readable.
#![expect(clippy::unwrap_used, reason = "the functions below are parts of tests")]

use std::path::PathBuf;

use blackstart_core::report::{Report, page};
use blackstart_local::browser::{Browser, BrowserError, DESKTOP, PHONE};
use browser::{LARGEST, Size, hostile};
use serde_json::Value;
use tempfile::TempDir;

const SMALL: Size = Size {
    indicators: 50,
    references: 5,
};

/// The page as a file.
fn saved(report: &Report) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, page(report)).unwrap();
    (folder, file)
}

async fn number(browser: &Browser, script: &str) -> Result<f64, BrowserError> {
    Ok(browser.script(script).await?.as_f64().unwrap_or(f64::NAN))
}

#[tokio::test]
async fn hostile_text_does_nothing() {
    let browser = Browser::start().await.unwrap();
    let (_folder, file) = saved(&hostile(SMALL).unwrap());
    browser.open(&format!("file://{}", file.display())).await.unwrap();
    assert_eq!(
        browser.script("return window.hostile ?? null").await.unwrap(),
        Value::Null
    );
    let asked = number(&browser, "return performance.getEntriesByType('resource').length").await;
    assert_eq!(asked.unwrap(), 0.0, "the page asked for something");
    for forbidden in ["script", "a", "img", "iframe", "[onerror]", "[onload]", "[style]"] {
        let script = format!("return document.querySelectorAll('{forbidden}').length");
        assert_eq!(number(&browser, &script).await.unwrap(), 0.0, "{forbidden}");
    }
    // What the policy had to forbid would have got past the escaping.
    assert_eq!(browser.complaints().await.unwrap(), Vec::<String>::new());
    browser.stop().await.unwrap();
}

#[tokio::test]
async fn the_page_fits_a_phone_and_is_readable_in_light_and_dark() {
    let browser = Browser::start().await.unwrap();
    let (_folder, file) = saved(&hostile(SMALL).unwrap());
    browser.open(&format!("file://{}", file.display())).await.unwrap();
    for size in [PHONE, DESKTOP] {
        browser.resize(size).await.unwrap();
        let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(
            number(&browser, over).await.unwrap(),
            0.0,
            "{size:?} scrolls sideways"
        );
    }
    for dark in [false, true] {
        browser.prefer_dark(dark).await.unwrap();
        let colour = async |property: &str| {
            let script = format!("return getComputedStyle(document.body).{property}");
            luminance(browser.script(&script).await.unwrap().as_str().unwrap())
        };
        let (ink, paper) = (colour("color").await, colour("backgroundColor").await);
        assert_eq!(dark, paper < 0.2, "dark paper in dark mode only");
        let contrast = (ink.max(paper) + 0.05) / (ink.min(paper) + 0.05);
        assert!(contrast > 7.0, "contrast {contrast}");
    }
    let unnamed = "return [...document.querySelectorAll('svg[role=img]')].filter(svg => !svg.ariaLabel && \
                   !svg.querySelector(':scope > title')).length";
    assert_eq!(
        number(&browser, unnamed).await.unwrap(),
        0.0,
        "a chart without words"
    );
    assert!(
        number(
            &browser,
            "return document.querySelectorAll('svg[role=img]').length"
        )
        .await
        .unwrap()
            > 10.0
    );
    browser.stop().await.unwrap();
}

#[tokio::test]
async fn the_largest_report_is_paged() {
    let browser = Browser::start().await.unwrap();
    let report = hostile(LARGEST).unwrap();
    let (_folder, file) = saved(&report);
    let bytes = std::fs::metadata(&file).unwrap().len();
    assert!(bytes < 12_000_000, "{bytes} bytes");
    browser.open(&format!("file://{}", file.display())).await.unwrap();
    let changes = "return document.querySelectorAll('details.change').length";
    assert_eq!(number(&browser, changes).await.unwrap(), 5_000.0);
    let shown = "return [...document.querySelectorAll('details.change')].filter(change => change.checkVisibility()).length";
    assert_eq!(
        number(&browser, shown).await.unwrap(),
        0.0,
        "all pages are closed at first"
    );
    let marks = "return document.querySelectorAll('figure rect').length";
    assert!(
        number(&browser, marks).await.unwrap() < 500.0,
        "indicators are counted, not drawn"
    );
    browser.stop().await.unwrap();
}

/// Relative luminance of `rgb(r, g, b)` (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let channels = colour
        .trim_start_matches("rgb(")
        .trim_end_matches(')')
        .split(',')
        .map(|channel| channel.trim().parse::<f64>().unwrap() / 255.0)
        .map(|c| {
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        });
    channels
        .zip([0.2126, 0.7152, 0.0722])
        .map(|(channel, weight)| channel * weight)
        .sum()
}
