//! How fast the content scan reads, layer by layer, on one core: many small files and one large one.
//!
//! Without settings on files that are made here. With `BLACKSTART_FILES=FOLDER` on every file below a folder.
#![expect(clippy::unwrap_used, reason = "a benchmark without its data is no benchmark")]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use blackstart_core::validation::content::{BlockCounter, ObjectScanner, Signatures};
use blackstart_yara::Rules;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// How the bytes of an object arrive.
const PIECE: usize = 64 << 10;

/// Reproducible noise: splitmix64.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|i| {
            let mut z = seed.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        })
        .take(length)
        .collect()
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    (seed..)
        .flat_map(|i| {
            format!(
                "{i};Ada Lovelace;{}.50;shipped;2026-01-{:02}\n",
                i * 7 % 1000,
                1 + i % 28
            )
            .into_bytes()
        })
        .take(length)
        .collect()
}

fn made(count: u64, length: usize) -> Vec<(String, Vec<u8>)> {
    (0..count)
        .map(|i| match i % 4 {
            0 => {
                let head = b"\x89PNG\r\n\x1a\n".to_vec();
                (
                    format!("{i}.png"),
                    [head, noise(i, length), b"IEND\xaeB`\x82".to_vec()].concat(),
                )
            }
            _ => (format!("{i}.csv"), text(i, length)),
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else if entry.file_type().unwrap().is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
}

fn content(criterion: &mut Criterion) {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is no part of the program")]
    let given = std::env::var("BLACKSTART_FILES").ok();
    let corpora = match given {
        Some(folder) => {
            let mut found = Vec::new();
            files(Path::new(&folder), &mut found);
            let read = |path: PathBuf| (path.display().to_string(), std::fs::read(&path).unwrap());
            vec![("given files", found.into_iter().map(read).collect())]
        }
        None => vec![
            ("small files", made(2000, 10_000)),
            ("large text", vec![("large.csv".to_owned(), text(1, 64 << 20))]),
            ("large noise", vec![("large.bin".to_owned(), noise(1, 64 << 20))]),
        ],
    };
    let rules = Rules::compile([]).unwrap();
    for (name, objects) in corpora {
        let bytes: u64 = objects.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).throughput(Throughput::Bytes(bytes));
        group.bench_function("blocks", |b| {
            b.iter(|| {
                for (_, bytes) in &objects {
                    let mut counter = BlockCounter::default();
                    bytes.chunks(PIECE).for_each(|piece| counter.update(piece));
                    black_box(counter.finish());
                }
            });
        });
        group.bench_function("blocks, formats, notes and digest", |b| {
            b.iter(|| {
                for (key, bytes) in &objects {
                    let mut scanner = ObjectScanner::new(key);
                    bytes.chunks(PIECE).for_each(|piece| scanner.update(piece));
                    black_box(scanner.finish());
                }
            });
        });
        group.bench_function("YARA", |b| {
            b.iter(|| {
                for (_, bytes) in &objects {
                    let mut scan = rules.begin();
                    bytes.chunks(PIECE).for_each(|piece| scan.update(piece));
                    black_box(scan.finish());
                }
            });
        });
        group.bench_function("all", |b| {
            b.iter(|| {
                for (key, bytes) in &objects {
                    let mut scanner = ObjectScanner::new(key).with_signatures(rules.begin());
                    bytes.chunks(PIECE).for_each(|piece| scanner.update(piece));
                    black_box(scanner.finish());
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, content);
criterion_main!(benches);
