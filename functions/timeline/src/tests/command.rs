//! The function against the command of the same name.

use std::path::Path;

use super::fake::{World, collect_and_scan, fake, merge, read_again};
use crate::*;

/// The files below a folder as objects of a bucket, and their keys.
fn bucket_of(folder: &Path) -> World {
    let mut world = World::default();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let key = format!("AWSLogs/{}", path.strip_prefix(folder).unwrap().to_string_lossy());
            world
                .buckets
                .insert(("logs".to_owned(), key), Ok(std::fs::read(path).unwrap()));
        }
    }
    world
}

/// Boundary document and timeline of the command over a folder, named as the function names its objects.
fn by_command(folder: &Path) -> (String, String) {
    let out = tempfile::tempdir().unwrap();
    let args = blackstart_cli::timeline::Args::of(vec![folder.to_owned()], Some(out.path().to_owned()));
    let now = "2030-01-01T00:00:00Z".parse().unwrap();
    assert!(blackstart_cli::timeline::run(&args, now, &mut Vec::new()).unwrap());
    let read = |name: &str| {
        let text = std::fs::read_to_string(out.path().join(name)).unwrap();
        text.replace(&format!("{}/", folder.to_string_lossy()), "s3://logs/AWSLogs/")
    };
    (read("boundary.json"), read("timeline.jsonl"))
}

fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn the_function_says_what_the_command_says() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let folder = tempfile::tempdir().unwrap();
    let mut folders = vec![data.join("invictus-ir/CloudTrail")];
    for seed in ["3", "8"] {
        let corpus = folder.path().join(seed);
        let made = std::process::Command::new("python3")
            .arg(data.join("generate_cloudtrail.py"))
            .args(["--mb", "3", "--records-per-file", "100", "--seed", seed, "--out"])
            .arg(&corpus)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::remove_file(corpus.join("ground_truth.json")).unwrap();
        folders.push(corpus);
    }
    for folder in folders {
        let fake = fake(bucket_of(&folder));
        let batches = collect_and_scan(&fake, None).await;
        read_again(&fake, batches, &[]).await;
        assert!(matches!(merge(&fake, batches).await, Merged::Boundary { .. }));
        let world = fake.0.borrow();
        let text = |path: &str| String::from_utf8(world.artifacts[path].clone()).unwrap();
        let (document, timeline) = by_command(&folder);
        assert_eq!(text("timeline/boundary.json"), document, "{}", folder.display());
        assert_eq!(
            lines(&text("timeline/timeline.jsonl")),
            lines(&timeline),
            "{}",
            folder.display()
        );
    }
}
