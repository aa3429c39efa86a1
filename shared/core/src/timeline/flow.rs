//! VPC Flow Logs: what the lines say about network addresses.
//!
//! Fields, default order and the meaning of `-`, `NODATA` and `SKIPDATA` by the VPC user guide, "Flow log records"
//! (versions 2 to 8; later fields are passed over). Objects in S3 begin with a header line that names the fields;
//! CloudWatch Logs keeps no header and puts a time before each line when it exports.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::cloudtrail::parse_time;

/// The default format: the fields of version 2 in their order.
const DEFAULT: &str = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";

/// Which column holds what. Absent fields are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    columns: usize,
    account: Option<usize>,
    interface: Option<usize>,
    region: Option<usize>,
    source: Option<usize>,
    target: Option<usize>,
    packet_source: Option<usize>,
    packet_target: Option<usize>,
    source_port: Option<usize>,
    target_port: Option<usize>,
    protocol: Option<usize>,
    packets: Option<usize>,
    bytes: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    action: Option<usize>,
    status: Option<usize>,
}

impl Layout {
    /// Field names as a header line, or as a flow log's format (`${version} ${account-id} …`).
    fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let mut layout = Self::default();
        for (column, name) in names.enumerate() {
            layout.columns = column + 1;
            let name = name
                .strip_prefix("${")
                .and_then(|name| name.strip_suffix('}'))
                .unwrap_or(name);
            let place = match name {
                "account-id" => &mut layout.account,
                "interface-id" => &mut layout.interface,
                "region" => &mut layout.region,
                "srcaddr" => &mut layout.source,
                "dstaddr" => &mut layout.target,
                "pkt-srcaddr" => &mut layout.packet_source,
                "pkt-dstaddr" => &mut layout.packet_target,
                "srcport" => &mut layout.source_port,
                "dstport" => &mut layout.target_port,
                "protocol" => &mut layout.protocol,
                "packets" => &mut layout.packets,
                "bytes" => &mut layout.bytes,
                "start" => &mut layout.start,
                "end" => &mut layout.end,
                "action" => &mut layout.action,
                "log-status" => &mut layout.status,
                _ => continue,
            };
            *place = Some(column);
        }
        layout
    }

    /// The order that a plan gives.
    ///
    /// # Errors
    /// A sentence that says which field is missing or no field name.
    pub fn of_plan(fields: &str) -> Result<Self, String> {
        for name in fields.split_ascii_whitespace() {
            if !is_field_name(name.trim_start_matches("${").trim_end_matches('}')) {
                return Err(format!(
                    "has `{}`, which is no field name: give names such as `srcaddr`, separated by spaces",
                    super::facts::printable(name)
                ));
            }
        }
        let layout = Self::of(fields.split_ascii_whitespace());
        match layout.lacks() {
            None => Ok(layout),
            Some(missing) => Err(format!("needs {missing}: without it no traffic can be placed")),
        }
    }

    /// The field without which a record says nothing here.
    fn lacks(&self) -> Option<&'static str> {
        if self.start.is_none() && self.end.is_none() {
            return Some("`start` or `end`");
        }
        let addresses = [self.source, self.target, self.packet_source, self.packet_target];
        addresses
            .iter()
            .all(Option::is_none)
            .then_some("`srcaddr`, `dstaddr`, `pkt-srcaddr` or `pkt-dstaddr`")
    }
}

fn is_field_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether the line names fields instead of holding values.
fn is_header(line: &str) -> bool {
    let mut names = line.split_ascii_whitespace().peekable();
    names.peek().is_some()
        && line
            .split_ascii_whitespace()
            .any(|name| DEFAULT.split(' ').any(|known| known == name))
        && names.all(is_field_name)
}

/// Whether the line is a flow log's header, or a record in the default format.
#[must_use]
pub fn looks_like(line: &str) -> bool {
    let line = without_time(line);
    let default = DEFAULT.split(' ').count();
    is_header(line)
        || (line.split_ascii_whitespace().count() == default
            && line.split_ascii_whitespace().next() == Some("2")
            && matches!(
                line.split_ascii_whitespace().last(),
                Some("OK" | "NODATA" | "SKIPDATA")
            ))
}

/// The line without the time that an export from CloudWatch Logs puts before it.
fn without_time(line: &str) -> &str {
    match line.split_once(' ') {
        Some((time, rest)) if time.contains('T') && parse_time(time).is_some() => rest,
        _ => line,
    }
}

/// What became of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Let through.
    Accepted,
    /// Stopped by a security group or network ACL.
    Rejected,
    /// The record does not say.
    Unknown,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Traffic between two addresses.
    Flow(Flow<'a>),
    /// A capture window without traffic.
    Nothing {
        /// When the window began.
        start: Timestamp,
        /// When it ended.
        end: Timestamp,
    },
    /// A capture window in which records were lost.
    Skipped {
        /// When the window began.
        start: Timestamp,
        /// When it ended.
        end: Timestamp,
        /// Network interface.
        interface: &'a str,
    },
}

/// Traffic between two addresses within one capture window. Unknown values are empty or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow<'a> {
    /// Owner of the network interface.
    pub account: &'a str,
    /// Network interface.
    pub interface: &'a str,
    /// Region.
    pub region: &'a str,
    /// Where the packets came from: the packet's own address where it is recorded, the interface's side otherwise.
    pub source: &'a str,
    /// Where the packets went to.
    pub target: &'a str,
    /// Port at the source.
    pub source_port: &'a str,
    /// Port at the target.
    pub target_port: &'a str,
    /// IANA protocol number.
    pub protocol: &'a str,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// First packet of the window.
    pub start: Timestamp,
    /// Last packet of the window.
    pub end: Timestamp,
    /// What became of it.
    pub action: Action,
}

impl Flow<'_> {
    /// The flow in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let protocol = match self.protocol {
            "6" => "TCP",
            "17" => "UDP",
            "1" | "58" => "ICMP",
            other => other,
        };
        let mut text = format!(
            "{} bytes in {} packets from {} port {} to {} port {}, protocol {protocol}, until {}",
            self.bytes, self.packets, self.source, self.source_port, self.target, self.target_port, self.end
        );
        match self.action {
            Action::Accepted => {}
            Action::Rejected => text.push_str(", rejected"),
            Action::Unknown => text.push_str(", outcome not recorded"),
        }
        let _ = write!(text, " ({})", self.interface);
        text
    }
}

/// Reads an object line by line. `given` is the plan's field order for objects without header line; empty means the
/// default format. The number of a line counts from 0 without the header.
///
/// A line that cannot be read hides no other: it is handed over as a sentence.
pub fn read<'a>(content: &'a [u8], given: &str, mut each: impl FnMut(u64, Result<Line<'a>, String>)) {
    let given = if given.is_empty() { DEFAULT } else { given };
    let mut layout = Layout::of(given.split_ascii_whitespace());
    let mut number = 0_u64;
    let lines = content
        .split(|b| *b == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    for line in lines {
        let Ok(text) = std::str::from_utf8(line) else {
            each(number, Err("is not text".to_owned()));
            number += 1;
            continue;
        };
        let text = without_time(text.trim_ascii());
        if is_header(text) {
            layout = Layout::of(text.split_ascii_whitespace());
            if let Some(missing) = layout.lacks() {
                each(number, Err(format!("names fields without {missing}")));
                return;
            }
            continue;
        }
        each(number, record(text, &layout));
        number += 1;
    }
}

fn record<'a>(line: &'a str, layout: &Layout) -> Result<Line<'a>, String> {
    const MOST_COLUMNS: usize = 64;
    let mut values = [""; MOST_COLUMNS];
    let mut columns = 0;
    for (place, value) in values.iter_mut().zip(line.split_ascii_whitespace()) {
        *place = if value == "-" { "" } else { value };
        columns += 1;
    }
    if columns != layout.columns {
        return Err(format!(
            "has {columns} fields where {} were named",
            layout.columns
        ));
    }
    let value = |column: Option<usize>| column.and_then(|c| values.get(c)).copied().unwrap_or_default();
    let time = |column: Option<usize>| -> Result<Option<Timestamp>, String> {
        match value(column) {
            "" => Ok(None),
            text => text
                .parse()
                .ok()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .map(Some)
                .ok_or_else(|| "has a time that is no number of seconds".to_owned()),
        }
    };
    let (start, end) = (time(layout.start)?, time(layout.end)?);
    let start = start.or(end).ok_or("has no time")?;
    let end = end.unwrap_or(start).max(start);
    match value(layout.status) {
        "NODATA" => return Ok(Line::Nothing { start, end }),
        "SKIPDATA" => {
            return Ok(Line::Skipped {
                start,
                end,
                interface: value(layout.interface),
            });
        }
        _ => {}
    }
    let number = |column: Option<usize>| -> Result<u64, String> {
        match value(column) {
            "" => Ok(0),
            text => text
                .parse()
                .map_err(|_| "has a count that is no number".to_owned()),
        }
    };
    let first_of = |a: Option<usize>, b: Option<usize>| match value(a) {
        "" => value(b),
        found => found,
    };
    Ok(Line::Flow(Flow {
        account: value(layout.account),
        interface: value(layout.interface),
        region: value(layout.region),
        source: first_of(layout.packet_source, layout.source),
        target: first_of(layout.packet_target, layout.target),
        source_port: value(layout.source_port),
        target_port: value(layout.target_port),
        protocol: value(layout.protocol),
        packets: number(layout.packets)?,
        bytes: number(layout.bytes)?,
        start,
        end,
        action: match value(layout.action) {
            "ACCEPT" => Action::Accepted,
            "REJECT" => Action::Rejected,
            _ => Action::Unknown,
        },
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines<'a>(content: &'a str, given: &str) -> Vec<Result<Line<'a>, String>> {
        let mut lines = Vec::new();
        read(content.as_bytes(), given, |number, line| {
            assert_eq!(number, lines.len() as u64);
            lines.push(line);
        });
        lines
    }

    fn flow<'a>(content: &'a str, given: &str) -> Flow<'a> {
        match lines(content, given).remove(0) {
            Ok(Line::Flow(flow)) => flow,
            other => panic!("{other:?}"),
        }
    }

    const ACCEPTED: &str = "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK";

    #[test]
    fn the_default_format_with_and_without_header_and_as_exported_from_cloudwatch() {
        let expected = flow(ACCEPTED, "");
        assert_eq!(expected.source, "172.31.16.139");
        assert_eq!(expected.target_port, "22");
        assert_eq!((expected.packets, expected.bytes), (20, 4249));
        assert_eq!(expected.start.as_second(), 1_418_530_010);
        assert_eq!(expected.action, Action::Accepted);
        assert_eq!(flow(&format!("{DEFAULT}\n{ACCEPTED}\n"), ""), expected);
        assert_eq!(
            flow(&format!("2014-12-14T04:07:50.000Z {ACCEPTED}"), ""),
            expected
        );
    }

    #[test]
    fn fields_stand_where_the_header_or_the_plan_puts_them() {
        let header = "start pkt-dstaddr pkt-srcaddr dstaddr srcaddr flow-direction reject-reason ecs-task-id bytes action";
        let values = "1418530010 198.51.100.7 10.0.1.5 10.0.0.9 10.0.1.5 egress - - 99 REJECT";
        for (content, given) in [
            (format!("{header}\n{values}"), ""),
            (values.to_owned(), header),
            (
                values.to_owned(),
                "${start} ${pkt-dstaddr} ${pkt-srcaddr} ${dstaddr} ${srcaddr} ${flow-direction} ${reject-reason} ${ecs-task-id} ${bytes} ${action}",
            ),
        ] {
            let flow = flow(&content, given);
            // Behind a NAT gateway the packet's address is the far end, the other one is the gateway's.
            assert_eq!((flow.source, flow.target), ("10.0.1.5", "198.51.100.7"));
            assert_eq!((flow.bytes, flow.packets), (99, 0));
            assert_eq!(flow.action, Action::Rejected);
            assert_eq!(flow.end, flow.start);
        }
    }

    #[test]
    fn windows_without_data_and_with_lost_data_are_told_apart() {
        let content = "2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - NODATA\n\
                       2 123456789010 eni-1 - - - - - - - 1431280876 1431280934 - SKIPDATA\n";
        let read = lines(content, "");
        let start = Timestamp::from_second(1_431_280_876).unwrap();
        let end = Timestamp::from_second(1_431_280_934).unwrap();
        assert_eq!(read[0], Ok(Line::Nothing { start, end }));
        let interface = "eni-1";
        assert_eq!(
            read[1],
            Ok(Line::Skipped {
                start,
                end,
                interface
            })
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_hides_no_other() {
        let content = format!(
            "2 too short\n{ACCEPTED}\n{}\n",
            ACCEPTED.replace("1418530010", "soon")
        );
        let read = lines(&content, "");
        assert!(read[0].is_err() && read[1].is_ok() && read[2].is_err());
        let far = ACCEPTED.replace("1418530010", "99999999999999");
        assert!(lines(&far, "")[0].is_err());
        assert!(lines("version srcaddr bytes\n2 192.0.2.1 7", "")[0].is_err());
    }

    #[test]
    fn a_plan_must_name_what_places_traffic() {
        assert!(Layout::of_plan("version srcaddr start").is_ok());
        assert!(Layout::of_plan("${version} ${dstaddr} ${end}").is_ok());
        for (fields, part) in [
            ("version srcaddr", "`start`"),
            ("version start end", "`srcaddr`"),
            ("start,srcaddr", "`start,srcaddr`"),
        ] {
            assert!(Layout::of_plan(fields).unwrap_err().contains(part), "{fields}");
        }
    }

    #[test]
    fn flow_logs_are_recognised() {
        assert!(looks_like(DEFAULT) && looks_like(ACCEPTED));
        assert!(looks_like("account-id srcaddr dstaddr start"));
        for other in [
            "",
            "hello world",
            "2 3",
            "{\"Records\":[]}",
            "2014-12-14T04:07:50Z hello",
        ] {
            assert!(!looks_like(other), "{other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), given in "[ -~]{0,60}") {
            read(&bytes, &given, |_, _| {});
        }

        #[test]
        fn words_in_any_order_never_panic(words in proptest::collection::vec("(-|OK|SKIPDATA|start|srcaddr|[0-9]{1,20}|192\\.0\\.2\\.1|\n)", 0..60)) {
            read(words.join(" ").as_bytes(), "", |_, _| {});
        }
    }
}
