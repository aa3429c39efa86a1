//! Where the records of a CloudTrail object begin and end, without reading them.
//!
//! Braces are counted outside strings, 64 bytes at a time, so neither text that looks like a record nor a nested
//! object can pass for one. Only what [`outline`] accepts as a whole is used: everything between the records, before
//! them and after them is accounted for, or the object is left to the full parser.

use memchr::{memchr, memchr3};
use wide::u8x16;

use super::agent::Agent;
use super::sign_in::TEMPORARY;
use super::sketch::Caller;

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// How every object begins that AWS delivers.
const OPENING: &[u8] = br#"{"Records":["#;

/// The object is not laid out as AWS delivers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotOutlined;

/// One element of `Records`, from its opening to its closing brace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlined<'a> {
    /// The record's text.
    pub(super) text: &'a [u8],
    /// Whether there may be a backslash in the record; without it there is none.
    pub(super) may_hold_escapes: bool,
    /// Offset of the brace that closes the first object of the record, 0 if it has none.
    first_object_end: usize,
    /// Offset of the brace that closes the last object within that object, and how many there are.
    nested_end: usize,
    nested: usize,
    objects: Objects,
}

/// Objects of a record whose places are kept: CloudTrail's have seven, and two or three in lists.
const OBJECTS: usize = 12;

/// Where the objects of a record begin and end, those in lists too.
#[derive(Debug, Clone, Copy, Default)]
struct Objects {
    places: [(usize, usize); OBJECTS],
    count: usize,
}

impl Objects {
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
pub(super) fn outline<'a>(text: &'a [u8], mut each: impl FnMut(Outlined<'a>)) -> Result<(), NotOutlined> {
    if !text.starts_with(OPENING) {
        return Err(NotOutlined);
    }
    let mut strings = Strings::default();
    let mut shape = Shape {
        text,
        depth: 0,
        start: 0,
        expected: OPENING.len(),
        first: true,
        closed: false,
        escapes: false,
        first_object_end: 0,
        nested_end: 0,
        nested: 0,
        objects: Objects::default(),
    };
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut offset = 0;
    for block in blocks {
        shape.block(offset, &Marks::of(block), &mut strings, &mut each)?;
        offset += BLOCK;
    }
    let mut last = [b' '; BLOCK];
    if let Some(filled) = last.get_mut(..rest.len()) {
        filled.copy_from_slice(rest);
    }
    shape.block(offset, &Marks::of(&last), &mut strings, &mut each)?;
    if shape.closed && !strings.is_inside() {
        Ok(())
    } else {
        Err(NotOutlined)
    }
}

/// One bit per byte of a block.
struct Marks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Marks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut marks = Self {
            quotes: 0,
            backslashes: 0,
            opening: 0,
            closing: 0,
        };
        let (parts, _) = block.as_chunks::<16>();
        for (part, shift) in parts.iter().zip([0_u32, 16, 32, 48]) {
            let bytes = u8x16::from(*part);
            let equal = |byte: u8| u64::from(bytes.simd_eq(u8x16::splat(byte)).to_bitmask()) << shift;
            marks.quotes |= equal(b'"');
            marks.backslashes |= equal(b'\\');
            marks.opening |= equal(b'{');
            marks.closing |= equal(b'}');
        }
        marks
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
    fn is_inside(&self) -> bool {
        self.inside != 0
    }

    /// The quotes that are not escaped. A run of backslashes escapes what follows if its length is odd; the sum
    /// carries each run that starts at an odd bit past its end (as in Langdale and Lemire, "Parsing gigabytes of
    /// JSON per second", 2019, section 3.1.1).
    #[inline]
    fn unescaped(&mut self, marks: &Marks) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if marks.backslashes == 0 && self.escaped == 0 {
            return marks.quotes;
        }
        let backslashes = marks.backslashes & !self.escaped;
        let follows = backslashes << 1 | self.escaped;
        let odd_starts = backslashes & !EVEN & !follows;
        let (sum, carried) = odd_starts.overflowing_add(backslashes);
        self.escaped = u64::from(carried);
        let escaped = (EVEN ^ sum << 1) & follows;
        marks.quotes & !escaped
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

/// Depth of braces, and the record that is open.
struct Shape<'a> {
    text: &'a [u8],
    depth: usize,
    start: usize,
    /// Where the next record or the end of the list must be.
    expected: usize,
    first: bool,
    closed: bool,
    escapes: bool,
    first_object_end: usize,
    nested_end: usize,
    nested: usize,
    objects: Objects,
}

impl<'a> Shape<'a> {
    #[inline]
    fn block(
        &mut self,
        offset: usize,
        marks: &Marks,
        strings: &mut Strings,
        each: &mut impl FnMut(Outlined<'a>),
    ) -> Result<(), NotOutlined> {
        let quotes = strings.unescaped(marks);
        self.escapes |= marks.backslashes != 0;
        let braces = marks.opening | marks.closing;
        if braces == 0 {
            strings.pass(quotes);
            return Ok(());
        }
        let mut left = braces & !strings.within(quotes);
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let at = offset + left.trailing_zeros() as usize;
            if marks.opening & bit == 0 {
                self.close(at, each)?;
            } else {
                self.open(at)?;
            }
            left ^= bit;
        }
        // A record that began in this block may have begun before its backslashes.
        self.escapes |= marks.backslashes != 0;
        Ok(())
    }

    #[inline]
    fn open(&mut self, at: usize) -> Result<(), NotOutlined> {
        if self.depth == 1 {
            self.between(at)?;
            self.start = at;
            (self.first_object_end, self.nested_end, self.nested) = (0, 0, 0);
            self.objects.count = 0;
        } else if self.depth == 2 {
            self.objects.open(at - self.start);
        } else if self.depth == 0 && at != 0 {
            return Err(NotOutlined);
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn close(&mut self, at: usize, each: &mut impl FnMut(Outlined<'a>)) -> Result<(), NotOutlined> {
        self.depth = self.depth.checked_sub(1).ok_or(NotOutlined)?;
        match self.depth {
            0 => return self.end(at),
            1 => {
                self.expected = at + 1;
                self.first = false;
                each(Outlined {
                    text: self.text.get(self.start..=at).ok_or(NotOutlined)?,
                    may_hold_escapes: std::mem::take(&mut self.escapes),
                    first_object_end: self.first_object_end,
                    nested_end: self.nested_end,
                    nested: self.nested,
                    objects: self.objects,
                });
            }
            2 => {
                self.objects.close(at - self.start);
                if self.first_object_end == 0 {
                    self.first_object_end = at - self.start;
                }
            }
            3 if self.first_object_end == 0 => {
                self.nested_end = at - self.start;
                self.nested += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Between two records stands a comma and white space, before the first only white space.
    #[inline]
    fn between(&self, at: usize) -> Result<(), NotOutlined> {
        let between = self.text.get(self.expected..at).ok_or(NotOutlined)?;
        let good = match between {
            [] => self.first,
            [b','] => !self.first,
            _ => {
                let commas = between.iter().filter(|b| **b == b',').count();
                commas == usize::from(!self.first)
                    && between.iter().all(|b| *b == b',' || b.is_ascii_whitespace())
            }
        };
        good.then_some(()).ok_or(NotOutlined)
    }

    /// After the last record stand the ends of the list and of the object, and white space.
    fn end(&mut self, at: usize) -> Result<(), NotOutlined> {
        let between = self.text.get(self.expected..at).ok_or(NotOutlined)?;
        let after = self.text.get(at + 1..).ok_or(NotOutlined)?;
        self.closed = true;
        let brackets = between.iter().filter(|b| **b == b']').count();
        let good = brackets == 1
            && between.iter().all(|b| *b == b']' || b.is_ascii_whitespace())
            && after.iter().all(u8::is_ascii_whitespace);
        good.then_some(()).ok_or(NotOutlined)
    }
}

/// What can be said of a record in AWS's order of fields without parsing it.
///
/// Text stands here as it is in the object, and contains no escape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// `awsRegion`.
    pub(super) region: &'a [u8],
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
    pub(super) fn caller(&self, agent: impl FnOnce() -> Agent) -> Caller {
        Caller::of_text(self.principal(), self.credential, self.address, agent)
    }
}

impl<'a> Outlined<'a> {
    /// The object that the record has under this key, spelled `"key":` and nothing between it and the object. Nothing
    /// if there is none, or if there are too many to know.
    pub(super) fn object(&self, key: &[u8]) -> Option<&'a [u8]> {
        let under_key =
            |(from, _): &&(usize, usize)| self.text.get(..*from).is_some_and(|t| t.ends_with(key));
        let (from, to) = self.objects.all()?.iter().find(under_key)?;
        self.text.get(*from..=*to)
    }

    /// Whether this offset lies in none of the record's objects; no, if they are too many to know.
    pub(super) fn is_outside_objects(&self, offset: usize) -> bool {
        let apart = |(from, to): &(usize, usize)| offset < *from || *to < offset;
        self.objects
            .all()
            .is_some_and(|objects| objects.iter().all(apart))
    }

    /// The head of the record, or nothing when its fields are not as AWS orders and writes them: then the record
    /// must be parsed.
    #[inline]
    pub(super) fn head(&self) -> Option<Head<'a>> {
        let text = self.text;
        let identity_end = self.first_object_end;
        let mut head = Head::default();
        let mut left = text.strip_prefix(br#"{"eventVersion":""#)?;
        string(&mut left)?;
        left = left.strip_prefix(br#","userIdentity":{"type":""#)?;
        head.kind = string(&mut left)?;
        for (key, value) in [
            (&br#","principalId":""#[..], Some(&mut head.principal_id)),
            (br#","arn":""#, Some(&mut head.arn)),
            (br#","accountId":""#, None),
            (br#","accessKeyId":""#, Some(&mut head.credential)),
            (br#","userName":""#, None),
        ] {
            if let Some(after) = left.strip_prefix(key) {
                left = after;
                let text = string(&mut left)?;
                if let Some(value) = value {
                    *value = text;
                }
            }
        }
        if self.nested != 0 {
            let session = left.strip_prefix(br#","sessionContext":"#)?;
            session.strip_prefix(b"{")?;
            let rest = text.len().checked_sub(self.nested_end + 1)?;
            head.session = session.get(..session.len().checked_sub(rest)?)?;
            left = text.get(self.nested_end + 1..).filter(|_| self.nested == 1)?;
        }
        if let Some(after) = left.strip_prefix(br#","invokedBy":""#) {
            left = after;
            head.invoked_by = string(&mut left)?;
        }
        if left.len() != text.len() - identity_end {
            return None;
        }
        left = left.strip_prefix(br#"},"eventTime":""#)?;
        head.time = string(&mut left)?;
        left = left.strip_prefix(br#","eventSource":""#)?;
        head.source = string(&mut left)?;
        left = left.strip_prefix(br#","eventName":""#)?;
        head.name = string(&mut left)?;
        left = left.strip_prefix(br#","awsRegion":""#)?;
        head.region = string(&mut left)?;
        left = left.strip_prefix(br#","sourceIPAddress":""#)?;
        head.address = string(&mut left)?;
        head.rest = left.strip_prefix(b",")?;
        left = head.rest.strip_prefix(br#""userAgent":""#)?;
        let end = memchr3(b'"', b'/', b'_', left)?;
        (head.product, left) = left.split_at_checked(end)?;
        let read = text.get(..text.len() - left.len())?;
        let plain = read.is_ascii() && memchr(b'\\', read).is_none();
        (plain && head.time.len() == 20).then_some(head)
    }
}

/// Text up to the next quote, which is taken as well.
#[inline]
fn string<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr(b'"', left)?;
    let text = left.get(..end)?;
    *left = left.get(end + 1..)?;
    Some(text)
}
