//! Writes the largest hostile report to a file, to look at it: `cargo run -p browser --example page FILE`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("name a file")?;
    let report = browser::hostile(browser::LARGEST)?;
    Ok(std::fs::write(file, blackstart_core::report::page(&report))?)
}
