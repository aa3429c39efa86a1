//! Where the records of a CloudTrail object begin and end, and what their heads say, without parsing them.
//!
//! The head of a record is read field by field as AWS writes it, and braces outside strings are counted from there,
//! 64 bytes at a time, so neither text that looks like a record nor a nested object can pass for one. Only what
//! [`outline`] accepts as a whole is used: everything between the records, before them and after them is accounted for,
//! or the object is left to the full parser.

use memchr::{memchr, memchr3};
use wide::{i8x16, u8x16};

use super::agent::Agent;
use super::sign_in::TEMPORARY;
use super::sketch::{self, Caller};

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// How every object begins that AWS delivers.
const OPENING: &[u8] = br#"{"Records":["#;

/// The object is not laid out as AWS delivers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOutlined;

/// One element of `Records`, from its opening to its closing brace.
#[derive(Debug, Default)]
pub(super) struct Outlined<'a> {
    /// The record's text.
    pub(super) text: &'a [u8],
    /// Whether there may be a backslash in what follows the head; without it there is none.
    pub(super) may_hold_escapes: bool,
    has_head: bool,
    head: Head<'a>,
    objects: Objects,
}

/// Objects of a record whose places are kept: CloudTrail's have seven, and two or three in lists.
const OBJECTS: usize = 12;

/// Where the objects of a record begin and end, those in lists too.
#[derive(Debug, Default)]
struct Objects {
    places: [(usize, usize); OBJECTS],
    count: usize,
}

/// Takes note of the objects that begin and end within the outermost one.
trait Places {
    fn open(&mut self, at: usize);
    fn close(&mut self, at: usize);
}

impl Places for () {
    fn open(&mut self, _: usize) {}
    fn close(&mut self, _: usize) {}
}

impl Places for &mut Objects {
    #[inline]
    fn open(&mut self, at: usize) {
        if let Some(place) = self.places.get_mut(self.count) {
            *place = (at, usize::MAX);
        }
    }

    #[inline]
    fn close(&mut self, at: usize) {
        if let Some((_, end)) = self.places.get_mut(self.count) {
            *end = at;
        }
        self.count += 1;
    }
}

impl Objects {
    /// All of them, if they are not too many.
    fn all(&self) -> Option<&[(usize, usize)]> {
        self.places.get(..self.count)
    }
}

/// Calls `each` with every record in order.
///
/// # Errors
/// [`NotOutlined`] unless the text is `{"Records":[…]}` with nothing but objects in the list. Records that were
/// passed to `each` before must then be forgotten.
pub(super) fn outline<'a>(text: &'a [u8], mut each: impl FnMut(&Outlined<'a>)) -> Result<(), NotOutlined> {
    let mut left = text.strip_prefix(OPENING).ok_or(NotOutlined)?;
    let mut outlined = Outlined::default();
    let mut is_first = true;
    while let Some(record) = next(left, is_first)? {
        left = outlined.read(record)?;
        each(&outlined);
        is_first = false;
    }
    Ok(())
}

/// The text from the next record on; nothing at the end of the list and of the object.
///
/// Between two records stands a comma and white space, before the first only white space.
#[inline]
fn next(left: &[u8], is_first: bool) -> Result<Option<&[u8]>, NotOutlined> {
    match left {
        [b',', record @ ..] if !is_first && record.starts_with(b"{") => return Ok(Some(record)),
        _ => {}
    }
    let mut left = left.trim_ascii_start();
    if !is_first && let Some(after) = left.strip_prefix(b",") {
        left = after.trim_ascii_start();
        return left.starts_with(b"{").then_some(Some(left)).ok_or(NotOutlined);
    }
    if is_first && left.starts_with(b"{") {
        return Ok(Some(left));
    }
    let end = left.strip_prefix(b"]").ok_or(NotOutlined)?;
    let after = end.trim_ascii_start().strip_prefix(b"}").ok_or(NotOutlined)?;
    after
        .trim_ascii_start()
        .is_empty()
        .then_some(None)
        .ok_or(NotOutlined)
}

/// What a block holds: one bit per byte.
struct Marks {
    quotes: u64,
    /// Braces, and now and then a byte that is none.
    braces: u64,
    has_backslashes: bool,
}

impl Marks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let (mut quotes, mut braces) = (0, 0);
        let mut backslashes = u8x16::ZERO;
        let (parts, _) = block.as_chunks::<16>();
        for (part, shift) in parts.iter().zip([0_u32, 16, 32, 48]) {
            let bytes = u8x16::from(*part);
            quotes |= u64::from(bytes.simd_eq(u8x16::splat(b'"')).to_bitmask()) << shift;
            backslashes |= bytes.simd_eq(u8x16::splat(b'\\'));
            // Of ASCII only `{`, `|`, `}`, `~` and the last character are greater; what is not ASCII is negative.
            let signed = i8x16::from(part.map(u8::cast_signed));
            braces |= u64::from(signed.simd_gt(i8x16::splat(b'z'.cast_signed())).to_bitmask()) << shift;
        }
        Self {
            quotes,
            braces,
            has_backslashes: backslashes.any(),
        }
    }
}

/// What the blocks so far say about the next: whether it begins within a string, and with an escaped byte.
#[derive(Default)]
struct Strings {
    /// All ones within a string.
    inside: u64,
    escaped: u64,
}

impl Strings {
    /// The quotes of a block that are not escaped. A run of backslashes escapes what follows if its length is odd; the
    /// sum carries each run that starts at an odd bit past its end (as in Langdale and Lemire, "Parsing gigabytes of
    /// JSON per second", 2019, section 3.1.1).
    #[cold]
    fn unescaped(&mut self, block: &[u8; BLOCK], quotes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let (parts, _) = block.as_chunks::<16>();
        let found = parts.iter().zip([0_u32, 16, 32, 48]).map(|(part, shift)| {
            u64::from(u8x16::from(*part).simd_eq(u8x16::splat(b'\\')).to_bitmask()) << shift
        });
        let backslashes = found.fold(0, |all, bits| all | bits) & !self.escaped;
        let follows = backslashes << 1 | self.escaped;
        let odd_starts = backslashes & !EVEN & !follows;
        let (sum, carried) = odd_starts.overflowing_add(backslashes);
        self.escaped = u64::from(carried);
        let escaped = (EVEN ^ sum << 1) & follows;
        quotes & !escaped
    }

    /// The bits that lie within strings, for a block with these unescaped quotes.
    #[inline]
    fn within(&mut self, quotes: u64) -> u64 {
        let mut within = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            within ^= within << shift;
        }
        within ^= self.inside;
        self.inside = 0_u64.wrapping_sub(within >> 63);
        within
    }

    /// The same for a block in which nobody asks.
    #[inline]
    fn pass(&mut self, quotes: u64) {
        self.inside ^= 0_u64.wrapping_sub(u64::from(quotes.count_ones() & 1));
    }
}

/// Counts braces from somewhere outside strings.
struct Braces<P> {
    /// How many are open, the outermost one included.
    depth: usize,
    places: P,
    strings: Strings,
    met_backslashes: bool,
}

impl<P: Places> Braces<P> {
    /// With so many open ones.
    fn new(depth: usize, places: P) -> Self {
        Self {
            depth,
            places,
            strings: Strings::default(),
            met_backslashes: false,
        }
    }

    /// Offset behind the brace that closes the outermost one, if there is one from `from` on.
    #[inline]
    fn close(&mut self, text: &[u8], from: usize) -> Option<usize> {
        let (blocks, rest) = text.get(from..)?.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last.get_mut(..rest.len())?.copy_from_slice(rest);
        let mut offset = from;
        for block in blocks.iter().chain([&last]) {
            if let Some(end) = self.block(offset, block) {
                return Some(end);
            }
            offset += BLOCK;
        }
        None
    }

    #[inline]
    fn block(&mut self, offset: usize, block: &[u8; BLOCK]) -> Option<usize> {
        let marks = Marks::of(block);
        let mut quotes = marks.quotes;
        if marks.has_backslashes || self.strings.escaped != 0 {
            self.met_backslashes = true;
            quotes = self.strings.unescaped(block, quotes);
        }
        if marks.braces == 0 {
            self.strings.pass(quotes);
            return None;
        }
        let mut left = marks.braces & !self.strings.within(quotes);
        while left != 0 {
            let place = left.trailing_zeros() as usize;
            let at = offset + place;
            match block.get(place) {
                Some(b'{') => {
                    if self.depth == 1 {
                        self.places.open(at);
                    }
                    self.depth += 1;
                }
                Some(b'}') => {
                    self.depth = self.depth.saturating_sub(1);
                    match self.depth {
                        0 => return Some(at + 1),
                        1 => self.places.close(at),
                        _ => {}
                    }
                }
                _ => {}
            }
            left &= left.wrapping_sub(1);
        }
        None
    }
}

/// What can be said of a record in AWS's order of fields without parsing it.
///
/// Text stands here as it is in the object, and contains no escape.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    /// `userIdentity.type`.
    pub(super) kind: &'a [u8],
    /// `userIdentity.principalId`.
    pub(super) principal_id: &'a [u8],
    /// `userIdentity.arn`.
    pub(super) arn: &'a [u8],
    /// `userIdentity.accessKeyId`.
    pub(super) credential: &'a [u8],
    /// `userIdentity.sessionContext`, from its opening brace.
    pub(super) session: &'a [u8],
    /// `userIdentity.invokedBy`.
    pub(super) invoked_by: &'a [u8],
    /// `eventTime`, 20 bytes.
    pub(super) time: &'a [u8],
    /// `eventSource`.
    pub(super) source: &'a [u8],
    /// `eventName`.
    pub(super) name: &'a [u8],
    /// `sourceIPAddress`.
    pub(super) address: &'a [u8],
    /// The product in `userAgent`.
    pub(super) product: &'a [u8],
    /// What follows.
    pub(super) rest: &'a [u8],
}

impl Head<'_> {
    /// ARN of the caller, or its unique id where there is no ARN.
    #[inline]
    pub(super) fn principal(&self) -> &[u8] {
        if self.arn.is_empty() {
            self.principal_id
        } else {
            self.arn
        }
    }

    /// Whether a user called with a temporary key that says when its session began.
    #[inline]
    pub(super) fn is_session(&self) -> bool {
        !self.session.is_empty()
            && (self.kind == b"IAMUser" || self.kind == b"Root")
            && self.credential.starts_with(TEMPORARY.as_bytes())
    }

    /// Who called; `agent` knows the kind of the product.
    #[inline]
    pub(super) fn caller(&self, places: &mut sketch::Places, agent: impl FnOnce() -> Agent) -> Caller {
        Caller::of_text(self.principal(), self.credential, places.of(self.address), agent)
    }
}

impl<'a> Outlined<'a> {
    /// The head of the record, or nothing when its fields are not as AWS orders and writes them: then the record
    /// must be parsed.
    #[inline]
    pub(super) fn head(&self) -> Option<&Head<'a>> {
        self.has_head.then_some(&self.head)
    }

    /// Becomes the record with which this text begins, and gives what follows it.
    #[inline]
    fn read(&mut self, text: &'a [u8]) -> Result<&'a [u8], NotOutlined> {
        let rest = self.head.read(text);
        self.has_head = rest.is_some();
        self.objects.count = 0;
        let mut braces = Braces::new(usize::from(self.has_head), &mut self.objects);
        let from = rest.map_or(0, |rest| text.len() - rest.len());
        let end = braces.close(text, from).ok_or(NotOutlined)?;
        self.may_hold_escapes = braces.met_backslashes;
        let after;
        (self.text, after) = text.split_at_checked(end).ok_or(NotOutlined)?;
        self.head.rest = self.text.get(from..).ok_or(NotOutlined)?;
        Ok(after)
    }

    /// The object that follows the head under this key, spelled `"key":` and nothing between it and the object. Nothing
    /// if there is none, or if there are too many to know.
    pub(super) fn object(&self, key: &[u8]) -> Option<&'a [u8]> {
        let under_key =
            |(from, _): &&(usize, usize)| self.text.get(..*from).is_some_and(|t| t.ends_with(key));
        let (from, to) = self.objects.all()?.iter().find(under_key)?;
        self.text.get(*from..=*to)
    }

    /// Whether this offset behind the head lies in none of the record's objects; no, if they are too many to know.
    pub(super) fn is_outside_objects(&self, offset: usize) -> bool {
        let apart = |(from, to): &(usize, usize)| offset < *from || *to < offset;
        self.objects
            .all()
            .is_some_and(|objects| objects.iter().all(apart))
    }
}

impl<'a> Head<'a> {
    /// Reads the head of the record with which `text` begins, and gives the text from where [`Head::rest`] begins.
    #[inline]
    fn read(&mut self, text: &'a [u8]) -> Option<&'a [u8]> {
        let mut left = after(text, br#"{"eventVersion":""#)?;
        string(&mut left)?;
        left = after(left, br#","userIdentity":{"type":""#)?;
        self.kind = string(&mut left)?;
        self.principal_id = string_after(&mut left, br#","principalId":""#)?;
        self.arn = string_after(&mut left, br#","arn":""#)?;
        string_after(&mut left, br#","accountId":""#)?;
        self.credential = string_after(&mut left, br#","accessKeyId":""#)?;
        string_after(&mut left, br#","userName":""#)?;
        self.session = &[];
        if let Some(session) = after(left, br#","sessionContext":"#) {
            (self.session, left) = session.split_at_checked(object_end(session)?)?;
        }
        self.invoked_by = string_after(&mut left, br#","invokedBy":""#)?;
        left = after(left, br#"},"eventTime":""#)?;
        self.time = string(&mut left)?;
        left = after(left, br#","eventSource":""#)?;
        self.source = string(&mut left)?;
        left = after(left, br#","eventName":""#)?;
        self.name = string(&mut left)?;
        left = after(left, br#","awsRegion":""#)?;
        string(&mut left)?;
        left = after(left, br#","sourceIPAddress":""#)?;
        self.address = string(&mut left)?;
        let rest = left.strip_prefix(b",")?;
        left = after(rest, br#""userAgent":""#)?;
        let end = memchr3(b'"', b'/', b'_', left)?;
        (self.product, left) = left.split_at_checked(end)?;
        let read = text.get(..text.len() - left.len())?;
        let plain = read.is_ascii() && memchr(b'\\', read).is_none();
        (plain && self.time.len() == 20).then_some(rest)
    }
}

/// What follows a key.
#[inline]
fn after<'a, const N: usize>(text: &'a [u8], key: &[u8; N]) -> Option<&'a [u8]> {
    let (first, after) = text.split_first_chunk::<N>()?;
    (first == key).then_some(after)
}

/// Text up to the next quote, which is taken as well.
#[inline]
fn string<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = quote(left)?;
    let (text, after) = left.split_at_checked(end)?;
    *left = after.get(1..)?;
    Some(text)
}

/// The same if the key comes next; empty if it does not.
#[inline]
fn string_after<'a, const N: usize>(left: &mut &'a [u8], key: &[u8; N]) -> Option<&'a [u8]> {
    match after(left, key) {
        None => Some(&[]),
        Some(after) => {
            *left = after;
            string(left)
        }
    }
}

/// Offset of the next quote. Most are near.
#[inline]
fn quote(text: &[u8]) -> Option<usize> {
    let near = text.first_chunk::<32>().map_or(0, |near| {
        let (parts, _) = near.as_chunks::<16>();
        let masks = parts
            .iter()
            .zip([0_u32, 16])
            .map(|(part, shift)| u8x16::from(*part).simd_eq(u8x16::splat(b'"')).to_bitmask() << shift);
        masks.fold(0, |all, mask| all | mask)
    });
    if near == 0 {
        memchr(b'"', text)
    } else {
        Some(near.trailing_zeros() as usize)
    }
}

/// Length of the object with which a text begins.
fn object_end(text: &[u8]) -> Option<usize> {
    text.starts_with(b"{")
        .then(|| Braces::new(0, ()).close(text, 0))?
}
