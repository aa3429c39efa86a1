//! One object as it streams by.

use std::fmt;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use blackstart_core::validation::Verdict;
use blackstart_core::validation::content::{Finding, SignatureScan};
use boreal::memory::{FragmentedMemory, MemoryParams, Region, RegionDescription};

use super::{Answer, Rules};

/// Up to this length, in bytes, an object is looked at as a whole, with everything that a rule can ask for.
///
/// Of a longer one, rules see strings at their true offsets, and the bytes at fixed offsets within this head;
/// `filesize` is undefined, and a string that stands in two windows counts twice.
pub const WHOLE: usize = 4 << 20;

/// How much of a window the next one repeats, in bytes. A string up to this length is found wherever it stands.
pub const OVERLAP: usize = 64 << 10;

/// How many new bytes a window holds.
const WINDOW: usize = 1 << 20;

/// Gathers the bytes of one object; from [`WHOLE`] bytes on, a thread of its own looks at them window by window.
#[derive(Debug)]
pub(crate) struct Stream {
    rules: Rules,
    pending: Vec<u8>,
    scan: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// At most one window waits, so that a slow scan slows the reader down and memory stays bounded.
    windows: SyncSender<Vec<u8>>,
    thread: JoinHandle<Vec<Finding>>,
}

impl Stream {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            pending: Vec::new(),
            scan: None,
        }
    }

    fn start(&mut self) -> std::io::Result<Running> {
        let (windows, incoming) = sync_channel(1);
        let rules = self.rules.clone();
        let thread = std::thread::Builder::new()
            .name("yara".to_owned())
            .spawn(move || {
                let scanner = &rules.compiled.all;
                Answer(scanner).findings(&scanner.scan_fragmented(Windows::new(incoming)))
            })?;
        Ok(Running { windows, thread })
    }
}

impl SignatureScan for Stream {
    fn update(&mut self, mut bytes: &[u8]) {
        loop {
            let full = if self.scan.is_some() { WINDOW } else { WHOLE };
            let room = full.saturating_sub(self.pending.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.pending.extend_from_slice(now);
            bytes = later;
            if bytes.is_empty() {
                return;
            }
            if self.scan.is_none() {
                self.scan = self.start().ok();
            }
            let window = std::mem::replace(&mut self.pending, Vec::with_capacity(WINDOW));
            if let Some(scan) = &self.scan {
                // Refused only when the scan has ended already: it says why when it is joined.
                let _ = scan.windows.send(window);
            } else {
                // Without a thread nothing is looked at; `finish` says so.
                return self.pending.clear();
            }
        }
    }

    fn finish(self: Box<Self>) -> Vec<Finding> {
        let Some(Running { windows, thread }) = self.scan else {
            return self.rules.scan(&self.pending);
        };
        let _ = windows.send(self.pending);
        drop(windows);
        thread.join().unwrap_or_else(|_| {
            vec![Finding {
                verdict: Verdict::Unknown,
                what: "the YARA rules did not come to an end: the scan stopped".to_owned(),
            }]
        })
    }
}

/// What the engine sees of a stream: the head, which it may ask for again, and overlapping windows, once.
struct Windows {
    incoming: Mutex<Receiver<Vec<u8>>>,
    head: Option<Vec<u8>>,
    window: Vec<u8>,
    /// Where `window` begins in the object.
    start: usize,
    place: Place,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Head,
    Window,
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows")
            .field("start", &self.start)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Windows {
    fn new(incoming: Receiver<Vec<u8>>) -> Self {
        Self {
            incoming: Mutex::new(incoming),
            head: None,
            window: Vec::new(),
            start: 0,
            place: Place::Before,
            ended: false,
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let received = self.incoming.get_mut().ok()?.recv().ok();
        self.ended = received.is_none();
        received
    }
}

impl FragmentedMemory for Windows {
    fn next(&mut self, _: &MemoryParams) -> Option<RegionDescription> {
        if self.place == Place::Before {
            if self.head.is_none() {
                self.head = self.receive();
            }
            self.place = Place::Head;
            return self.head.as_ref().map(|head| RegionDescription {
                start: 0,
                length: head.len(),
            });
        }
        if self.ended {
            return None;
        }
        let fresh = self.receive()?;
        let previous = if self.window.is_empty() {
            self.head.as_deref().unwrap_or_default()
        } else {
            &self.window
        };
        let repeated = OVERLAP.min(previous.len());
        let kept = previous.len().saturating_sub(repeated);
        self.start = self.start.saturating_add(kept);
        let mut window = Vec::with_capacity(repeated.saturating_add(fresh.len()));
        window.extend_from_slice(previous.get(kept..).unwrap_or_default());
        window.extend_from_slice(&fresh);
        self.window = window;
        self.place = Place::Window;
        Some(RegionDescription {
            start: self.start,
            length: self.window.len(),
        })
    }

    fn fetch(&mut self, _: &MemoryParams) -> Option<Region<'_>> {
        match self.place {
            Place::Before => None,
            Place::Head => self.head.as_deref().map(|mem| Region { start: 0, mem }),
            Place::Window => Some(Region {
                start: self.start,
                mem: &self.window,
            }),
        }
    }

    fn reset(&mut self) {
        self.place = Place::Before;
    }
}
