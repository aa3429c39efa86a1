//! Documents per second: scan, rewrite and prove over generated policies of the usual shapes; and bytes per second over
//! policies of growing size, which must not fall: the work is linear in the size of a document.
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::hint::black_box;

use blackstart_core::references::{Form, IdentifierMap, Mode, prove, rewrite, scan};
use blackstart_core::run::AccountId;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;

const DOCUMENTS: usize = 10_000;
const POLICY: Form = Form::Policy(None);

fn map() -> IdentifierMap {
    let account = |id: &str| AccountId::try_from(id.to_owned()).unwrap();
    IdentifierMap::of_accounts(&account("111111111111"), &account("222222222222")).unwrap()
}

/// Trust, bucket, queue and log-delivery policies; one in five does not name the old account.
fn corpus() -> Vec<String> {
    (0..DOCUMENTS)
        .map(|number| {
            let account = if number % 5 == 0 { "333333333333" } else { "111111111111" };
            match number % 4 {
                0 => format!(
                    r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{account}:role/deploy-{number}"}},"Action":"sts:AssumeRole","Condition":{{"StringEquals":{{"sts:ExternalId":"secret-{number}"}}}}}}]}}"#
                ),
                1 => format!(
                    r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Read","Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::444444444444:root","arn:aws:iam::{account}:role/app"]}},"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::data-{number}","arn:aws:s3:::data-{number}/*"]}},{{"Sid":"Tls","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::data-{number}/*","Condition":{{"Bool":{{"aws:SecureTransport":"false"}}}}}}]}}"#
                ),
                2 => format!(
                    r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Service":"sns.amazonaws.com"}},"Action":"sqs:SendMessage","Resource":"arn:aws:sqs:us-east-1:555555555555:q-{number}","Condition":{{"ArnLike":{{"aws:SourceArn":"arn:aws:sns:us-east-1:{account}:topic-*"}},"StringEquals":{{"aws:SourceAccount":"{account}"}}}}}}}}"#
                ),
                _ => format!(
                    r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Keys","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::555555555555:root"}},"Action":"kms:*","Resource":"*"}},{{"Sid":"Use","Effect":"Allow","Principal":{{"AWS":"{account}"}},"Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"*","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}"}}}}}}]}}"#
                ),
            }
        })
        .collect()
}

fn all(criterion: &mut Criterion) {
    let (map, corpus) = (map(), corpus());
    let swapped: Vec<_> = corpus
        .iter()
        .filter_map(|text| Some((text, rewrite(text, POLICY, &map, Mode::Swap).ok()?)))
        .collect();
    let mut group = criterion.benchmark_group("references");
    group.sample_size(10);
    group.throughput(Throughput::Elements(DOCUMENTS as u64));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            corpus
                .iter()
                .map(|text| scan(black_box(text), POLICY, &map).map_or(0, |tokens| tokens.len()))
                .sum::<usize>()
        });
    });
    for (name, mode) in [("swap and prove", Mode::Swap), ("expand and prove", Mode::Expand)] {
        let one = |text: &String| rewrite(black_box(text), POLICY, &map, mode).is_ok();
        group.bench_function(name, |bencher| {
            bencher.iter(|| corpus.iter().filter(|text| one(text)).count())
        });
        group.bench_function(format!("{name}, parallel"), |bencher| {
            bencher.iter(|| corpus.par_iter().filter(|text| one(text)).count());
        });
    }
    let whole = |text: &String| {
        let found = scan(black_box(text), POLICY, &map).is_ok();
        found && rewrite(text, POLICY, &map, Mode::Swap).is_ok()
    };
    group.bench_function("scan, swap and prove, parallel", |bencher| {
        bencher.iter(|| corpus.par_iter().filter(|text| whole(text)).count());
    });
    group.throughput(Throughput::Elements(swapped.len() as u64));
    group.bench_function("prove", |bencher| {
        bencher.iter(|| {
            swapped
                .iter()
                .filter(|(text, done)| {
                    prove(
                        text,
                        black_box(&done.after),
                        POLICY,
                        &map,
                        Mode::Swap,
                        &done.edits,
                    )
                    .is_ok()
                })
                .count()
        });
    });
    group.finish();
}

/// One policy with this many statements, each of which can only be expanded by a second one: the worst case.
fn long_policy(statements: usize) -> String {
    let statements: Vec<String> = (0..statements)
        .map(|number| {
            format!(
                r#"{{"Sid":"S{number}","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111111111111:role/r{number}"}},"Action":"sqs:SendMessage","Resource":"*","Condition":{{"StringEquals":{{"aws:SourceAccount":"111111111111"}}}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    )
}

/// One statement with this many principals.
fn long_list(principals: usize) -> String {
    let principals: Vec<String> = (0..principals)
        .map(|number| format!(r#""arn:aws:iam::111111111111:role/r{number}""#))
        .collect();
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":[{}]}},"Action":"s3:*"}}]}}"#,
        principals.join(",")
    )
}

fn linear(criterion: &mut Criterion) {
    let map = map();
    let mut group = criterion.benchmark_group("size");
    group.sample_size(10);
    for (shape, sizes, make) in [
        (
            "statements",
            [350_usize, 1_400, 5_600],
            long_policy as fn(usize) -> String,
        ),
        ("principals", [1_500, 6_000, 24_000], long_list),
    ] {
        for size in sizes {
            let text = make(size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(
                BenchmarkId::new(format!("scan {shape}"), size),
                &text,
                |bencher, text| {
                    bencher.iter(|| scan(black_box(text), POLICY, &map).map_or(0, |tokens| tokens.len()));
                },
            );
            for (name, mode) in [("swap", Mode::Swap), ("expand", Mode::Expand)] {
                let id = BenchmarkId::new(format!("{name} {shape}"), size);
                group.bench_with_input(id, &text, |bencher, text| {
                    bencher.iter(|| rewrite(black_box(text), POLICY, &map, mode).unwrap());
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, all, linear);
criterion_main!(benches);
