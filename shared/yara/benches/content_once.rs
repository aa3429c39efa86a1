//! One look at the files below a folder, in a process of its own, for `tests/bench/content_peers.py`:
//! `content_once blocks|digest|yara|all|findings|compare FOLDER`, or `-` instead of the folder for standard input.
//! `memory` needs no folder: the layers over bytes in memory, megabytes per second on one core, best of many short rounds.
//! `compare` fails at the first file of which the rules say something else when they are applied unconditionally.
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark without its data is no benchmark"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use blackstart_core::validation::Verdict;
use blackstart_core::validation::content::{BlockCounter, Finding, ObjectScanner, Signatures};
use blackstart_yara::{Rules, WHOLE};
use rayon::prelude::*;

const PIECE: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Blocks,
    Digest,
    Yara,
    All,
    Findings,
    Compare,
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

fn look(mode: Mode, name: &str, from: &mut dyn Read, rules: &Rules, piece: &mut [u8]) -> (u64, Vec<Finding>) {
    let mut bytes = 0;
    let mut each = |take: &mut dyn FnMut(&[u8])| {
        loop {
            let length = from.read(piece).unwrap_or(0);
            if length == 0 {
                return;
            }
            bytes += length as u64;
            take(piece.get(..length).unwrap());
        }
    };
    let findings = match mode {
        Mode::Blocks => {
            let mut blocks = BlockCounter::default();
            each(&mut |piece| blocks.update(piece));
            std::hint::black_box(blocks.finish());
            Vec::new()
        }
        Mode::Yara => {
            let mut scan = rules.begin();
            each(&mut |piece| scan.update(piece));
            scan.finish()
        }
        Mode::Digest | Mode::All | Mode::Findings => {
            let mut scanner = ObjectScanner::new(name);
            if mode != Mode::Digest {
                scanner = scanner.with_signatures(rules.begin());
            }
            each(&mut |piece| scanner.update(piece));
            scanner.finish().findings
        }
        Mode::Compare => {
            let mut whole = Vec::new();
            each(&mut |piece| whole.extend_from_slice(piece));
            let mut scan = rules.begin();
            scan.update(&whole);
            let streamed = scan.finish();
            let unfiltered = rules.scan_unfiltered(&whole);
            if whole.len() <= WHOLE {
                assert_eq!(streamed, unfiltered, "{name}");
            }
            unfiltered
        }
    };
    (bytes, findings)
}

/// Bytes of which a quarter are noise and the rest text.
fn mixed(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0_u64..)
        .flat_map(|i| {
            if i % 1024 < 256 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes().to_vec()
            } else {
                format!("{i};Ada Lovelace;{}.50;shipped\n", i * 7 % 1000).into_bytes()
            }
        })
        .take(length)
        .collect()
}

/// What one layer does with an object.
type Layer<'a> = &'a dyn Fn(&[u8]);

/// The layers over objects of 8 kB and of 1 MB, which lie in the caches.
fn memory(rules: &Rules) {
    let bytes = mixed(1 << 20);
    let layers: [(&str, Layer<'_>); 4] = [
        ("blocks", &|object| {
            let mut blocks = BlockCounter::default();
            blocks.update(object);
            std::hint::black_box(blocks.finish());
        }),
        ("blocks, formats, notes, digest", &|object| {
            let mut scanner = ObjectScanner::new("orders/2026.csv");
            scanner.update(object);
            std::hint::black_box(scanner.finish());
        }),
        ("YARA rules", &|object| {
            let mut scan = rules.begin();
            scan.update(object);
            std::hint::black_box(scan.finish());
        }),
        ("all", &|object| {
            let mut scanner = ObjectScanner::new("orders/2026.csv").with_signatures(rules.begin());
            scanner.update(object);
            std::hint::black_box(scanner.finish());
        }),
    ];
    for (name, layer) in layers {
        print!("{name:34}");
        for length in [8_000, 1_000_000] {
            let objects: Vec<&[u8]> = bytes.chunks_exact(length).collect();
            let best = (0..400)
                .map(|_| {
                    let began = std::time::Instant::now();
                    objects.iter().for_each(|object| layer(object));
                    began.elapsed()
                })
                .min()
                .unwrap();
            let looked = (objects.len() * length) as f64;
            print!("{:8.0} ({length} bytes each)", looked / 1e6 / best.as_secs_f64());
        }
        println!();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| text != "--bench")
        .collect();
    if arguments.first().map(String::as_str) == Some("memory") {
        return memory(&Rules::compile([]).unwrap());
    }
    let mode = match arguments.first().map(String::as_str) {
        Some("blocks") => Mode::Blocks,
        Some("digest") => Mode::Digest,
        Some("yara") => Mode::Yara,
        Some("all") => Mode::All,
        Some("findings") => Mode::Findings,
        Some("compare") => Mode::Compare,
        _ => return,
    };
    let folder = arguments.get(1).unwrap();
    let rules = Rules::compile([]).unwrap();
    let looked: Vec<(String, u64, Vec<Finding>)> = if folder == "-" {
        let (bytes, found) = look(
            mode,
            "standard-input",
            &mut std::io::stdin().lock(),
            &rules,
            &mut vec![0; PIECE],
        );
        vec![("-".to_owned(), bytes, found)]
    } else {
        let mut paths = Vec::new();
        files(Path::new(folder), &mut paths);
        paths
            .into_par_iter()
            .map_init(
                || vec![0; PIECE],
                |piece, path| {
                    let name = path.display().to_string();
                    let mut file = std::fs::File::open(&path).ok()?;
                    let (bytes, found) = look(mode, &name, &mut file, &rules, piece);
                    Some((name, bytes, found))
                },
            )
            .flatten()
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
