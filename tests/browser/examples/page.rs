//! Writes a report's page to a file, to look at it: that of a `report.json`, or the largest hostile one.
//! `cargo run -p browser --example page PAGE [REPORT]`.

use blackstart_core::report::page;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let file = arguments.next().ok_or("name a file")?;
    let report = match arguments.next() {
        Some(report) => serde_json::from_slice(&std::fs::read(report)?)?,
        None => browser::hostile(browser::LARGEST)?,
    };
    Ok(std::fs::write(file, page(&report))?)
}
