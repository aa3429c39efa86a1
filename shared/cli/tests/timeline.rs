//! `blackstart timeline` as a process: what it shows on a terminal and what it writes into a pipe.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a command on a terminal of its own, and prints what it wrote there.
const ON_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// A name that would set a terminal's title, clear it and turn the writing round.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}gpj.json";

fn logs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let stratus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/stratus-red-team");
    for (number, file) in fs::read_dir(stratus).unwrap().enumerate() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "json") {
            fs::copy(file, folder.path().join(format!("{number}.json"))).unwrap();
        }
    }
    fs::write(folder.path().join(HOSTILE), b"{ cut off").unwrap();
    folder
}

fn blackstart() -> &'static str {
    env!("CARGO_BIN_EXE_blackstart")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Nothing of a hostile name that a terminal would obey.
fn is_harmless(shown: &str) -> bool {
    !shown.contains("\u{1b}]") && !shown.contains("\u{1b}[2J") && !shown.contains(['\u{7}', '\u{202e}'])
}

#[test]
fn a_pipe_gets_the_answer_alone_and_a_terminal_sees_how_far_it_is() {
    let folder = logs();
    let piped = Command::new(blackstart())
        .arg("timeline")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(piped.status.success(), "{}", text(&piped.stderr));
    assert_eq!(text(&piped.stderr), "");
    let answer = text(&piped.stdout);
    assert!(!answer.contains('\u{1b}') && !answer.contains('\r'), "{answer}");
    assert!(answer.contains("owned") && is_harmless(&answer), "{answer}");

    let shown = Command::new("python3")
        .args(["-c", ON_A_TERMINAL, blackstart(), "timeline"])
        .arg(folder.path())
        .env("TERM", "xterm")
        .output()
        .unwrap();
    assert!(shown.status.success());
    let shown = text(&shown.stdout).replace("\r\n", "\n");
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert!(shown.contains(&format!("/{files} files")), "{shown:?}");
    // The bar is cleared, and what stays is the answer.
    assert!(shown.ends_with(&answer), "{shown:?}");
    assert!(is_harmless(&shown), "{shown:?}");
}
