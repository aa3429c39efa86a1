//! Stage 1 once over the files of a folder, for `tests/bench/timeline_peers.py`: in a process of its own, so that its
//! processor time and memory can be compared with those of other tools.
//!
//! `timeline_once inflate|first|both FOLDER` uses as many threads as the process may use cores, and prints what it found.
#![expect(clippy::unwrap_used, reason = "a benchmark without its data is no benchmark")]

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use blackstart_core::timeline::case::{Acts, Case};
use blackstart_core::timeline::facts::{Kind, Reader};
use blackstart_core::timeline::indicator::Table;
use blackstart_core::timeline::object::{INFLATED_LIMIT, Inflater};
use blackstart_core::timeline::rows::{Selection, ordered};
use blackstart_core::timeline::sketch::Sketch;
use blackstart_core::timeline::sweep::Sweep;

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
    let case = Mutex::new(Case::default());
    let sketches = Mutex::new(Vec::<(u64, Sketch)>::new());
    in_threads(found.len(), || {
        let mut sweep = Sweep::new(&reader);
        let (read, name, case, sketches) = (&read, &name, &case, &sketches);
        move |number| {
            let swept = sweep.read(&name(number), &read(number), Kind::CloudTrail);
            case.lock().unwrap().add(swept.facts);
            sketches.lock().unwrap().push((number as u64, swept.sketch));
        }
    });
    let mut case = case.into_inner().unwrap();
    let sketches = sketches.into_inner().unwrap();
    if what == "first" {
        let records: u64 = case.objects().iter().map(|object| object.records).sum();
        say(&format!("{records} records"));
        return;
    }
    let mut pivot = case.pivot(&[]);
    while {
        for (number, sketch) in &sketches {
            pivot.see(*number, sketch);
        }
        pivot.turn()
    } {}
    let acts = Acts::of(pivot.finish());
    let traced = acts.traced();
    let wanted: Vec<_> = (0..found.len())
        .filter(|number| traced.wants(*number as u64, &name(*number)))
        .collect();
    let acts = Mutex::new(acts);
    in_threads(wanted.len(), || {
        let (read, name, reader, acts, wanted) = (&read, &name, &reader, &acts, &wanted);
        move |item| {
            let number = *wanted.get(item).unwrap();
            let facts = reader.read(&name(number), &read(number), Kind::CloudTrail);
            acts.lock().unwrap().add(&facts);
        }
    });
    let answer = case.establish(acts.into_inner().unwrap(), &[], &[], &[]);
    let rows = Mutex::new(Vec::new());
    in_threads(wanted.len(), || {
        let (read, name, rows, wanted) = (&read, &name, &rows, &wanted);
        let selection = Selection::of(&reader, &answer.actors);
        move |item| {
            let number = *wanted.get(item).unwrap();
            let found = selection.rows(&name(number), &read(number), Kind::CloudTrail);
            rows.lock().unwrap().extend(found);
        }
    });
    let rows = ordered(rows.into_inner().unwrap());
    say(&format!(
        "{} of {} objects read again, {} rows, boundary {}",
        wanted.len(),
        found.len(),
        rows.len(),
        answer.document.boundary.unwrap().best
    ));
}

#[expect(clippy::print_stdout, reason = "what was measured is what the program is for")]
fn say(line: &str) {
    println!("{line}");
}
