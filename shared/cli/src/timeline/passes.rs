//! The two passes over the files, in threads. Between them everything is in temporary files, so memory does not grow
//! with the logs.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use blackstart_core::timeline::Gap;
use blackstart_core::timeline::again::Sought;
use blackstart_core::timeline::case::Acts;
use blackstart_core::timeline::context::Context;
use blackstart_core::timeline::facts::{Kind, ObjectFacts, Reader};
use blackstart_core::timeline::pivot::Traced;
use blackstart_core::timeline::results::{BatchResult, NotTaken, Results};
use blackstart_core::timeline::rows::Selection;
use blackstart_core::timeline::sorted::Sorted;
use blackstart_core::timeline::sweep::Sweep;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use super::TimelineError;

/// Most files whose facts one thread gathers before it keeps them.
const FILES_AT_ONCE: usize = 128;

/// Parts into which the files are cut for each thread at least, so that none waits for another at the end.
const PARTS: usize = 16;

/// The passes over some files.
pub(super) struct Passes<'f> {
    reader: &'f Reader,
    kind: Kind<'f>,
    files: &'f [PathBuf],
    /// What the first pass left.
    pub(super) results: Results<File>,
}

/// What the second pass left.
pub(super) struct Second<'t> {
    pub(super) acts: Acts<'t>,
    pub(super) context: Context,
    pub(super) rows: Sorted<File>,
}

fn temporary() -> Result<File, TimelineError> {
    tempfile::tempfile().map_err(TimelineError::Kept)
}

/// Reads a file into memory that the one before has used.
fn read_into(file: &Path, stored: &mut Vec<u8>) -> io::Result<()> {
    stored.clear();
    let mut file = File::open(file)?;
    if let Ok(known) = file.metadata() {
        stored.reserve(usize::try_from(known.len()).unwrap_or_default().saturating_add(1));
    }
    file.read_to_end(stored)?;
    Ok(())
}

impl<'f> Passes<'f> {
    pub(super) fn new(
        reader: &'f Reader,
        kind: Kind<'f>,
        files: &'f [PathBuf],
    ) -> Result<Self, TimelineError> {
        Ok(Self {
            reader,
            kind,
            files,
            results: Results::new(temporary()?, temporary()?),
        })
    }

    /// Reads every file once.
    pub(super) fn first(&mut self) -> Result<(), TimelineError> {
        let bar = ProgressBar::new(self.files.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} files {per_sec}") {
            bar.set_style(style);
        }
        let results = Mutex::new(&mut self.results);
        let (reader, kind) = (self.reader, self.kind);
        let at_once = self.files.len() / (PARTS * rayon::current_num_threads());
        let at_once = at_once.clamp(1, FILES_AT_ONCE);
        self.files.par_chunks(at_once).try_for_each_init(
            || (Sweep::new(reader), Vec::new()),
            |(sweep, stored), files| {
                let (mut objects, mut gaps) = (Vec::new(), Vec::new());
                for file in files {
                    let name = file.to_string_lossy();
                    match read_into(file, stored) {
                        Ok(()) => objects.push(sweep.read(&name, stored, kind)),
                        Err(error) => gaps.push(Gap {
                            what: name.into_owned(),
                            reason: error.to_string(),
                        }),
                    }
                    bar.inc(1);
                }
                let batch = BatchResult::of(objects, gaps)
                    .map_err(|error| TimelineError::NotJson(Box::new(error)))?;
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.take(&batch).map_err(|error| match error {
                    NotTaken::Medium(error) => TimelineError::Kept(error),
                    malformed @ NotTaken::Malformed(_) => TimelineError::NotJson(Box::new(malformed)),
                })
            },
        )?;
        bar.finish_and_clear();
        Ok(())
    }

    /// Reads again what the actors touched.
    pub(super) fn second<'t>(&mut self, traced: &'t Traced) -> Result<Second<'t>, TimelineError> {
        let (reader, kind) = (self.reader, self.kind);
        // Paths that are no text are not what their objects are called.
        let strange: Vec<_> = self.files.iter().filter(|file| file.to_str().is_none()).collect();
        let read = |object: &ObjectFacts| {
            let strange = strange
                .iter()
                .find(|file| file.to_string_lossy() == object.object);
            strange.map_or_else(|| fs::read(&object.object), fs::read)
        };
        let sought = Sought::of(traced);
        let selection = Selection::sought(reader, &sought);
        let found = Mutex::new((Acts::of(traced), Sorted::new(temporary()?)));
        let wanted = Acts::of(traced);
        let objects = self.results.objects().map_err(TimelineError::Kept)?;
        objects
            .filter(|object| match object {
                Ok((number, facts)) => wanted.wants(*number, facts),
                Err(_) => true,
            })
            .par_bridge()
            .try_for_each_init(
                || Sweep::new(reader),
                |sweep, object| {
                    let (_, facts) = object?;
                    let again = read(&facts)
                        .map_err(|error| error.to_string())
                        .and_then(|stored| {
                            sweep
                                .again(&facts, &stored, kind, &selection)
                                .map_err(|error| error.to_string())
                        });
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    let (acts, rows) = &mut *found;
                    match again {
                        Ok(mut again) => {
                            acts.add(&mut again);
                            rows.extend(again.rows)
                        }
                        Err(why) => {
                            acts.lost(&facts, why);
                            Ok(())
                        }
                    }
                },
            )
            .map_err(TimelineError::Kept)?;
        let (mut acts, mut rows) = found.into_inner().unwrap_or_else(PoisonError::into_inner);

        let mut context = Context::of(acts.addresses());
        let selection = selection.with_addresses(context.addresses());
        let mut sweep = Sweep::new(reader);
        let mut show = || -> io::Result<()> {
            for object in self.results.objects()? {
                let (number, facts) = object?;
                if !acts.may_show(&mut context, number, &facts) {
                    continue;
                }
                let again = read(&facts)
                    .map_err(|error| error.to_string())
                    .and_then(|stored| {
                        sweep
                            .again(&facts, &stored, kind, &selection)
                            .map_err(|error| error.to_string())
                    });
                match again {
                    Ok(again) => rows.extend(again.rows)?,
                    Err(why) => acts.lost(&facts, why),
                }
            }
            Ok(())
        };
        show().map_err(TimelineError::Kept)?;
        Ok(Second { acts, context, rows })
    }
}
