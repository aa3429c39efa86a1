//! `blackstart references` as a process: what it prints, writes and returns.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, also in the functions that prepare it"
)]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

const OLD: &str = "111111111111";
const NEW: &str = "222222222222";

struct Folder(tempfile::TempDir);

impl Folder {
    /// A trust policy, a configuration that names the account, and one that does not.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put(
            "in/trust.json",
            trust(&format!("arn:aws:iam::{OLD}:root")).as_bytes(),
        );
        folder.put("in/other.yaml", b"region: us-east-1\n");
        folder.put(
            "in/sub/config.yaml",
            b"queue: orders\nurl: https://sqs.us-east-1.amazonaws.com/111111111111/q\n",
        );
        folder
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_blackstart"))
            .arg("references")
            .args(arguments)
            .args(["--old", OLD])
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    fn rewrite(&self, arguments: &[&str]) -> Output {
        self.run(&[&["rewrite", "in", "--new", NEW], arguments].concat())
    }
}

fn trust(principal: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_scan_is_a_table_of_positions() {
    let folder = Folder::new();
    folder.put(
        "in/bucket.json",
        format!(
            "{{\n  \"Statement\": [{{\n    \"Sid\": \"For{OLD}\", \"Effect\": \"Allow\", \"Action\": \"s3:*\",\n    \
             \"Principal\": {{\"AWS\": [\"{OLD}\", \"464622532012\"]}}\n  }}]\n}}\n"
        )
        .as_bytes(),
    );
    let output = folder.run(&["scan", "in"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = printed(&output);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        &[
            "4:28",
            "principal",
            OLD,
            "Statement[0].Principal.AWS[0]",
            "handled",
        ][..],
        &["2:42", "url", OLD, "line", "2", "handled"],
        &["also", "names", "464622532012,", "which", "is", "Datadog"],
    ] {
        assert!(rows.iter().any(|one| one == row), "{row:?} in {text}");
    }
    assert!(text.contains("kept: a label decides nothing"), "{text}");
    assert!(
        text.ends_with(
            "4 documents, 3 name the old environment; 3 tokens, 3 handled, 0 unhandled; 0 rewritten, 0 refused\n"
        ),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "colours belong on a terminal: {text}");
}

#[test]
fn documents_are_rewritten_below_the_folder_and_inputs_stay() {
    let folder = Folder::new();
    let before = folder.text("in/trust.json");
    let output = folder.rewrite(&["--mode", "swap", "--out", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = printed(&output);
    assert!(
        text.contains(&format!("arn:aws:iam::[-{OLD}-]{{+{NEW}+}}:root")),
        "{text}"
    );
    assert!(text.contains("proven: the inverse restores every byte"), "{text}");
    assert_eq!(folder.text("in/trust.json"), before);
    assert_eq!(folder.text("out/trust.json"), before.replace(OLD, NEW));
    assert!(folder.text("out/sub/config.yaml").contains(NEW));
    // What names nothing is not copied.
    assert!(!folder.has("out/other.yaml"));
}

#[test]
fn what_cannot_be_expanded_is_refused_and_the_rest_is_written() {
    let folder = Folder::new();
    let output = folder.rewrite(&["--mode", "expand", "--out", "out"]);
    assert_eq!(output.status.code(), Some(2));
    let text = printed(&output);
    assert!(text.contains("REFUSED: cannot be expanded exactly"), "{text}");
    assert!(text.contains("1 rewritten, 1 refused"), "{text}");
    assert!(
        folder
            .text("out/trust.json")
            .contains(&format!("arn:aws:iam::{OLD}:root\",\"arn:aws:iam::{NEW}:root"))
    );
    assert!(!folder.has("out/sub/config.yaml"));
}

#[test]
fn bad_documents_are_named_one_by_one_and_the_batch_goes_on() {
    let folder = Folder::new();
    folder.put("in/cut.json", b"{\"Statement\":[{\"Effect\":\"Al");
    folder.put("in/bytes.json", b"{\"a\":\"\xff\"}");
    folder.put("in/twice.json", b"{\"Statement\":[],\n\"Statement\":[]}");
    folder.put("in/deep.json", "[".repeat(100_000).as_bytes());
    folder.put(
        "in/both.json",
        trust(OLD).replace("sts:", &format!("sts:{NEW}")).as_bytes(),
    );
    folder.put(
        "in/wild.json",
        trust("arn:aws:iam::1111????????:role/x").as_bytes(),
    );
    folder.put("in/empty.json", b"");
    let output = folder.rewrite(&["--mode", "swap", "--out", "out", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let answer = json(&output);
    let refusals: Vec<(String, String)> = answer["documents"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| {
            let name = one["file"].as_str().unwrap().trim_start_matches("in/");
            Some((name.to_owned(), one["refused"].as_str()?.to_owned()))
        })
        .collect();
    for (name, part) in [
        ("both.json", "already contains `222222222222`"),
        ("bytes.json", "byte 6 is not valid UTF-8"),
        ("cut.json", "the text ends inside a string"),
        ("deep.json", "nested deeper than 96 levels"),
        ("twice.json", "`Statement` stands twice in one object, at line 2"),
        ("wild.json", "a person must decide"),
    ] {
        let reason = refusals
            .iter()
            .find(|one| one.0 == name)
            .map(|one| one.1.as_str());
        assert!(
            reason.is_some_and(|reason| reason.contains(part)),
            "{name}: {reason:?}"
        );
    }
    assert_eq!(refusals.len(), 6, "{refusals:?}");
    assert_eq!(answer["summary"]["rewritten"], 2);
    assert_eq!(
        folder.text("out/trust.json"),
        trust(&format!("arn:aws:iam::{NEW}:root"))
    );
}

#[test]
fn an_input_is_never_overwritten_without_being_asked() {
    let folder = Folder::new();
    let before = folder.text("in/trust.json");
    for arguments in [&["--mode", "swap"][..], &["--mode", "swap", "--out", "in"]] {
        folder.rewrite(arguments);
        assert_eq!(folder.text("in/trust.json"), before);
    }
    let refused = folder.rewrite(&["--mode", "swap", "--out", "in"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("would be overwritten"),
        "{}",
        said(&refused)
    );
    let asked = folder.rewrite(&["--mode", "swap", "--in-place"]);
    assert_eq!(asked.status.code(), Some(0), "{}", said(&asked));
    assert_eq!(folder.text("in/trust.json"), before.replace(OLD, NEW));
    // Nothing is left beside the documents.
    assert_eq!(fs::read_dir(folder.0.path().join("in")).unwrap().count(), 3);
}

#[test]
fn the_map_is_yaml_or_json_and_its_problems_have_lines() {
    let folder = Folder::new();
    folder.put(
        "in/bucket.json",
        trust("*")
            .replace(
                "sts:AssumeRole\"",
                "s3:*\",\"Resource\":\"arn:aws:s3:::orders-data/*\"",
            )
            .as_bytes(),
    );
    folder.put(
        "map.yaml",
        b"- kind: bucket\n  old: orders-data\n  new: orders-rebuilt\n",
    );
    let output = folder.rewrite(&["--mode", "swap", "--out", "out", "--map", "map.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        folder
            .text("out/bucket.json")
            .contains("arn:aws:s3:::orders-rebuilt/*")
    );
    for (map, part) in [
        (
            "- kind: bukket\n  old: a\n  new: b\n",
            "line 1: unknown variant `bukket`",
        ),
        ("- kind: bucket\n  old: orders-data\n", "line 1: `new` is missing"),
        (
            "- kind: account\n  old: 333333333333\n  new: 222222222222\n",
            "which cannot be undone",
        ),
        (
            "- kind: bucket\n  old: data-one\n  new: data-one\n",
            "contains the old value",
        ),
        (
            "- kind: account\n  old: 222222222222\n  new: 444444444444\n",
            "contains the old value",
        ),
        ("{", "line"),
    ] {
        folder.put("bad.yaml", map.as_bytes());
        let output = folder.rewrite(&["--mode", "swap", "--map", "bad.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{map}");
        assert!(said(&output).contains(part), "{map}: {}", said(&output));
    }
}

#[test]
fn a_kind_of_policy_sets_its_limit() {
    let folder = Folder::new();
    let names: Vec<String> = (0..60)
        .map(|n| format!("arn:aws:iam::{OLD}:role/some-rather-long-name-{n}"))
        .collect();
    let long = trust(&names.join("\",\""))
        .replace("{\"AWS\":", "{\"AWS\":[")
        .replace("\"},\"Action", "\"]},\"Action");
    folder.put("one/trust.json", long.as_bytes());
    let arguments = ["rewrite", "one", "--new", NEW, "--mode", "expand", "--json"];
    let plain = folder.run(&arguments);
    assert_eq!(plain.status.code(), Some(0), "{}", printed(&plain));
    let limited = folder.run(&[&arguments[..], &["--kind", "role-trust"]].concat());
    assert_eq!(limited.status.code(), Some(2));
    let reason = json(&limited)["documents"][0]["refused"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("characters without whitespace, the limit is"),
        "{reason}"
    );
    let unknown = folder.run(&[&arguments[..], &["--kind", "rolle"]].concat());
    assert!(said(&unknown).contains("no kind of policy"), "{}", said(&unknown));
}

#[test]
fn nothing_to_read_is_an_error() {
    let folder = Folder::new();
    for (path, part) in [("nowhere", "cannot be read"), ("void", "no file under")] {
        fs::create_dir_all(folder.0.path().join("void")).unwrap();
        let output = folder.run(&["scan", path]);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(part), "{}", said(&output));
    }
}
