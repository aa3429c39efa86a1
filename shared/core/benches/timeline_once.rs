//! Stage 1 once over the files of a folder, for `tests/bench/timeline_peers.py`: in a process of its own, so that its
//! processor time and memory can be compared with those of other tools.
//!
//! `timeline_once inflate|first|both FOLDER` uses as many threads as the process may use cores, and prints what it found.
#![expect(clippy::unwrap_used, reason = "a benchmark without its data is no benchmark")]

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use blackstart_core::timeline::again::Sought;
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::context::Context;
use blackstart_core::timeline::facts::{Kind, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::object::{INFLATED_LIMIT, Inflater};
use blackstart_core::timeline::results::{BatchResult, Results};
use blackstart_core::timeline::rows::Selection;
use blackstart_core::timeline::sorted::Sorted;
use blackstart_core::timeline::sweep::Sweep;

/// Objects whose facts one thread gathers before it keeps them.
const OBJECTS_AT_ONCE: usize = 4;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            found.push(path);
        }
    }
    found.sort();
}

/// Calls what `worker` makes for each thread with the number of every item.
fn in_threads<W: FnMut(usize)>(items: usize, worker: impl Fn() -> W + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                let mut work = worker();
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= items {
                        break;
                    }
                    work(item);
                }
            });
        }
    });
}

fn main() {
    let arguments: Vec<_> = std::env::args().filter(|a| a != "--bench").collect();
    let [_, what, folder] = arguments.as_slice() else {
        // `cargo bench` and `cargo test` run every benchmark, and this one only with its script.
        return;
    };
    let mut found = Vec::new();
    files(Path::new(folder), &mut found);
    let reader = Reader::new(Table::default(), "2030-01-01T00:00:00Z".parse().unwrap());
    let name = |number: usize| found.get(number).unwrap().to_string_lossy().into_owned();
    let read = |number: usize| std::fs::read(found.get(number).unwrap()).unwrap();
    if what == "inflate" {
        let all = AtomicUsize::new(0);
        in_threads(found.len(), || {
            let mut inflater = Inflater::default();
            let (read, all) = (&read, &all);
            move |number| {
                let stored = read(number);
                all.fetch_add(
                    inflater.inflate(&stored, INFLATED_LIMIT).unwrap().len(),
                    Ordering::Relaxed,
                );
            }
        });
        say(&format!("{} bytes", all.into_inner()));
        return;
    }
    let file = || tempfile::tempfile().unwrap();
    let results = Mutex::new(Results::new(file(), file()));
    let batches: Vec<_> = (0..found.len()).collect();
    let batches: Vec<_> = batches.chunks(OBJECTS_AT_ONCE).collect();
    in_threads(batches.len(), || {
        let mut sweep = Sweep::new(&reader);
        let (read, name, batches, results) = (&read, &name, &batches, &results);
        move |batch| {
            let numbers = batches.get(batch).unwrap().iter();
            let swept = numbers.map(|number| sweep.read(&name(*number), &read(*number), Kind::CloudTrail));
            let result = BatchResult::of(swept.collect(), Vec::new()).unwrap();
            results.lock().unwrap().take(&result).unwrap();
        }
    });
    let mut results = results.into_inner().unwrap();
    let case = results.case(false).unwrap();
    if what == "first" {
        say(&format!("{} records", case.records()));
        return;
    }
    let traced = results.trace(case.pivot(&[])).unwrap();
    let sought = Sought::of(&traced);
    let second = Mutex::new((Acts::of(&traced), Sorted::new(file())));
    let acts = Acts::of(&traced);
    let wanted: Vec<_> = results
        .objects()
        .unwrap()
        .map(Result::unwrap)
        .filter(|(number, facts)| acts.wants(*number, facts))
        .map(|(_, facts)| facts)
        .collect();
    in_threads(wanted.len(), || {
        let mut sweep = Sweep::new(&reader);
        let selection = Selection::sought(&reader, &sought);
        let (second, wanted) = (&second, &wanted);
        move |item| {
            let facts = wanted.get(item).unwrap();
            let stored = std::fs::read(&facts.object).unwrap();
            let mut again = sweep.again(facts, &stored, Kind::CloudTrail, &selection).unwrap();
            let mut second = second.lock().unwrap();
            second.0.add(&mut again);
            second.1.extend(again.rows).unwrap();
        }
    });
    let (acts, rows) = second.into_inner().unwrap();
    let context = Context::of(acts.addresses());
    let document = case.establish(&acts, &context, &[], &[], &[]);
    let (mut lines, mut table) = (file(), file());
    let written = rows
        .write(
            None,
            &mut BufWriter::new(&mut lines),
            &mut BufWriter::new(&mut table),
        )
        .unwrap();
    say(&format!(
        "{} of {} objects read again, {} rows, boundary {}",
        wanted.len(),
        found.len(),
        written.rows,
        document.boundary.unwrap().best
    ));
}

#[expect(clippy::print_stdout, reason = "what was measured is what the program is for")]
fn say(line: &str) {
    println!("{line}");
}
