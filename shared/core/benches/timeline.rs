//! How fast stage 1 reads: the same bytes inflated, parsed, and searched for indicators and actors.
//!
//! Without settings on the CloudTrail files of `tests/data/invictus-ir`, compressed as AWS delivers them. With
//! `BLACKSTART_CORPUS=FOLDER` on every `.json.gz` below a folder that `generate_cloudtrail.py` made.
#![expect(clippy::unwrap_used, reason = "a benchmark without its data is no benchmark")]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use blackstart_core::timeline::boundary::establish;
use blackstart_core::timeline::cloudtrail;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::object::{INFLATED_LIMIT, inflate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if !path.ends_with("ground_truth.json") {
            found.push(path);
        }
    }
    found.sort();
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut writer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut stored = vec![0; writer.gzip_compress_bound(text.len())];
    let length = writer.gzip_compress(text, &mut stored).unwrap();
    stored.truncate(length);
    stored
}

fn corpus() -> Vec<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is no part of the program")]
    let folder = std::env::var("BLACKSTART_CORPUS").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/invictus-ir/CloudTrail"),
        PathBuf::from,
    );
    let mut found = Vec::new();
    files(&folder, &mut found);
    found
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).unwrap();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                bytes
            } else {
                gzip(&bytes)
            }
        })
        .collect()
}

fn timeline(criterion: &mut Criterion) {
    let corpus = corpus();
    let text: u64 = corpus
        .iter()
        .map(|stored| inflate(stored, INFLATED_LIMIT).unwrap().len() as u64)
        .sum();
    let reader = Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap());
    let mut group = criterion.benchmark_group("timeline");
    group.sample_size(10).throughput(Throughput::Bytes(text));
    group.bench_function("inflate", |b| {
        b.iter(|| {
            for stored in &corpus {
                black_box(inflate(stored, INFLATED_LIMIT).unwrap());
            }
        });
    });
    group.bench_function("inflate and parse", |b| {
        b.iter(|| {
            for stored in &corpus {
                black_box(cloudtrail::parse(&inflate(stored, INFLATED_LIMIT).unwrap()));
            }
        });
    });
    group.bench_function("facts of every object", |b| {
        b.iter(|| {
            for stored in &corpus {
                black_box(reader.read("x", stored, Kind::CloudTrail));
            }
        });
    });
    group.bench_function("boundary", |b| {
        b.iter(|| {
            let facts: Vec<ObjectFacts> = corpus
                .iter()
                .enumerate()
                .map(|(i, stored)| reader.read(&format!("f{i}"), stored, Kind::CloudTrail))
                .collect();
            black_box(establish(&facts, &[], &[]))
        });
    });
    group.finish();
}

criterion_group!(benches, timeline);
criterion_main!(benches);
