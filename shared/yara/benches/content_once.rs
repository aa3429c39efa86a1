//! One look at the files below a folder, in a process of its own, for `tests/bench/content_peers.py`:
//! `content_once blocks|digest|yara|all|findings FOLDER`, or `-` instead of the folder for standard input.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark without its data is no benchmark"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use blackstart_core::validation::Verdict;
use blackstart_core::validation::content::{BlockCounter, Finding, ObjectScanner, Signatures};
use blackstart_yara::Rules;
use rayon::prelude::*;

const PIECE: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Blocks,
    Digest,
    Yara,
    All,
    Findings,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

fn look(mode: Mode, name: &str, from: &mut dyn Read, rules: &Rules) -> (u64, Vec<Finding>) {
    let mut blocks = BlockCounter::default();
    let mut scan = rules.begin();
    let mut scanner = ObjectScanner::new(name);
    if matches!(mode, Mode::All | Mode::Findings) {
        scanner = scanner.with_signatures(rules.begin());
    }
    let mut bytes = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).unwrap_or(0);
        if length == 0 {
            break;
        }
        let piece = piece.get(..length).unwrap();
        bytes += length as u64;
        match mode {
            Mode::Blocks => blocks.update(piece),
            Mode::Yara => scan.update(piece),
            Mode::Digest | Mode::All | Mode::Findings => scanner.update(piece),
        }
    }
    let findings = match mode {
        Mode::Blocks => {
            std::hint::black_box(blocks.finish());
            Vec::new()
        }
        Mode::Yara => scan.finish(),
        Mode::Digest | Mode::All | Mode::Findings => scanner.finish().findings,
    };
    (bytes, findings)
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| text != "--bench")
        .collect();
    let mode = match arguments.first().map(String::as_str) {
        Some("blocks") => Mode::Blocks,
        Some("digest") => Mode::Digest,
        Some("yara") => Mode::Yara,
        Some("all") => Mode::All,
        Some("findings") => Mode::Findings,
        _ => return,
    };
    let folder = arguments.get(1).unwrap();
    let rules = Rules::compile([]).unwrap();
    let looked: Vec<(String, u64, Vec<Finding>)> = if folder == "-" {
        let (bytes, found) = look(mode, "standard-input", &mut std::io::stdin().lock(), &rules);
        vec![("-".to_owned(), bytes, found)]
    } else {
        let mut paths = Vec::new();
        files(Path::new(folder), &mut paths);
        paths.sort();
        paths
            .into_par_iter()
            .filter_map(|path| {
                let name = path.display().to_string();
                let mut file = std::fs::File::open(&path).ok()?;
                let (bytes, found) = look(mode, &name, &mut file, &rules);
                Some((name, bytes, found))
            })
            .collect()
    };
    let bytes: u64 = looked.iter().map(|(_, bytes, _)| bytes).sum();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, _, found) in &looked {
        let worst = found.iter().map(|finding| finding.verdict).max();
        *counts.entry(worst.unwrap_or(Verdict::Clean).into()).or_default() += 1;
        for finding in found.iter().filter(|finding| finding.verdict != Verdict::Clean) {
            if mode == Mode::Findings {
                let verdict: &str = finding.verdict.into();
                println!("{verdict}\t{name}\t{}", finding.what);
            }
        }
    }
    println!("{} files, {bytes} bytes: {counts:?}", looked.len());
}
