//! The timeline as a Parquet file, for those who ask it with SQL.
//!
//! Columns are those of [`Row`] in its order, with the evidence as columns of its own. Parquet is written and not read: the
//! library inflates pages without a limit, so that a bomb among the logs could not be stopped.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::rows::Row;

/// Rows that are written together, from memory.
const GROUP: usize = 8192;

const SCHEMA: &str = "message timeline {
    REQUIRED INT64 datetime (TIMESTAMP(MICROS, true));
    REQUIRED BYTE_ARRAY id (UTF8);
    REQUIRED BYTE_ARRAY message (UTF8);
    REQUIRED BYTE_ARRAY timestamp_desc (UTF8);
    REQUIRED BYTE_ARRAY source (UTF8);
    REQUIRED BYTE_ARRAY event (UTF8);
    REQUIRED BYTE_ARRAY error (UTF8);
    REQUIRED BYTE_ARRAY account (UTF8);
    REQUIRED BYTE_ARRAY region (UTF8);
    REQUIRED BYTE_ARRAY principal (UTF8);
    REQUIRED BYTE_ARRAY credential (UTF8);
    REQUIRED BYTE_ARRAY address (UTF8);
    REQUIRED BYTE_ARRAY user_agent (UTF8);
    REQUIRED BOOLEAN actor;
    REQUIRED GROUP indicators (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (UTF8); } }
    REQUIRED BYTE_ARRAY object (UTF8);
    REQUIRED BYTE_ARRAY sha256 (UTF8);
    REQUIRED INT64 record;
    REQUIRED BYTE_ARRAY event_id (UTF8);
}";

/// The timeline cannot be written as Parquet.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// The rows cannot be read.
    #[error("the rows of the timeline cannot be read")]
    Rows(#[source] io::Error),
    /// The file cannot be written.
    #[error("the file cannot be written")]
    File(#[source] ParquetError),
}

impl From<ParquetError> for Unwritten {
    fn from(error: ParquetError) -> Self {
        Self::File(error)
    }
}

/// Writes rows in the order in which they come, and returns their number. Times are kept to the microsecond.
///
/// # Errors
/// [`Unwritten`].
pub fn write<W: Write + Send>(rows: impl Iterator<Item = io::Result<Row>>, to: W) -> Result<u64, Unwritten> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("blackstart".to_owned())
        .build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut file = SerializedFileWriter::new(to, schema, Arc::new(properties))?;
    let (mut written, mut group) = (0, Vec::new());
    for row in rows {
        group.push(row.map_err(Unwritten::Rows)?);
        if group.len() == GROUP {
            written += write_group(&mut file, &group)?;
            group.clear();
        }
    }
    if !group.is_empty() {
        written += write_group(&mut file, &group)?;
    }
    file.close()?;
    Ok(written)
}

fn write_group<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    rows: &[Row],
) -> Result<u64, ParquetError> {
    const TEXTS: [fn(&Row) -> &str; 12] = [
        |row| &row.id,
        |row| &row.message,
        |row| &row.timestamp_desc,
        |row| &row.source,
        |row| &row.event,
        |row| &row.error,
        |row| &row.account,
        |row| &row.region,
        |row| &row.principal,
        |row| &row.credential,
        |row| &row.address,
        |row| &row.user_agent,
    ];
    let text = |of: fn(&Row) -> &str| -> Vec<_> { rows.iter().map(|row| of(row).into()).collect() };
    let mut group = file.next_row_group()?;
    let times: Vec<_> = rows.iter().map(|row| row.datetime.as_microsecond()).collect();
    column::<_, Int64Type>(&mut group, &times, None)?;
    for of in TEXTS {
        column::<_, ByteArrayType>(&mut group, &text(of), None)?;
    }
    let actors: Vec<_> = rows.iter().map(|row| row.actor).collect();
    column::<_, BoolType>(&mut group, &actors, None)?;
    indicators(&mut group, rows)?;
    column::<_, ByteArrayType>(&mut group, &text(|row| &row.evidence.object), None)?;
    column::<_, ByteArrayType>(&mut group, &text(|row| row.evidence.sha256.as_str()), None)?;
    let records: Vec<_> = rows.iter().map(|row| row.evidence.record.cast_signed()).collect();
    column::<_, Int64Type>(&mut group, &records, None)?;
    column::<_, ByteArrayType>(&mut group, &text(|row| &row.evidence.event_id), None)?;
    group.close()?;
    Ok(rows.len() as u64)
}

/// Writes the next column. `levels` are definition and repetition of each value, or of its absence.
fn column<W: Write + Send, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<(&[i16], &[i16])>,
) -> Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("the schema has fewer columns than a row".to_owned()))?;
    let (definition, repetition) = levels.unzip();
    column.typed::<T>().write_batch(values, definition, repetition)?;
    column.close()
}

fn indicators<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    rows: &[Row],
) -> Result<(), ParquetError> {
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        if row.indicators.is_empty() {
            definition.push(0);
            repetition.push(0);
        }
        for (place, indicator) in row.indicators.iter().enumerate() {
            values.push(ByteArray::from(indicator.as_str()));
            definition.push(1);
            repetition.push(i16::from(place > 0));
        }
    }
    column::<_, ByteArrayType>(group, &values, Some((&definition, &repetition)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::timeline::rows::tests::row;

    /// A row as the file says it, by name of column.
    fn said(row: &Row) -> BTreeMap<String, Field> {
        let serde_json::Value::Object(fields) = serde_json::to_value(row).unwrap() else {
            panic!("no object");
        };
        let mut said = BTreeMap::new();
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("datetime", _) => {
                    said.insert(name, Field::TimestampMicros(row.datetime.as_microsecond()));
                }
                ("evidence", serde_json::Value::Object(evidence)) => {
                    for (name, value) in evidence {
                        let number = value.as_i64().map(Field::Long);
                        let text = || Field::Str(value.as_str().unwrap().to_owned());
                        said.insert(name, number.unwrap_or_else(text));
                    }
                }
                (_, serde_json::Value::Bool(value)) => {
                    said.insert(name, Field::Bool(value));
                }
                (_, serde_json::Value::String(text)) => {
                    said.insert(name, Field::Str(text));
                }
                ("indicators", _) => {}
                (name, value) => panic!("{name}: {value}"),
            }
        }
        said.insert("error".to_owned(), Field::Str(row.error.clone()));
        said
    }

    #[test]
    fn every_field_of_every_row_comes_back_over_several_groups() {
        let rows: Vec<_> = (0..i64::try_from(GROUP).unwrap() + 3)
            .map(|number| {
                let mut row = row(&format!("e{number}"), number, "ü\"\n=1", 1);
                row.indicators = (0..number % 3).map(|i| format!("s3.i{i}")).collect();
                row.actor = number % 2 == 0;
                if number % 5 == 0 {
                    row.error = "AccessDenied".to_owned();
                }
                row
            })
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        let written = write(rows.iter().cloned().map(Ok), &mut file).unwrap();
        assert_eq!(written, rows.len() as u64);

        let file = SerializedFileReader::new(file).unwrap();
        assert_eq!(file.metadata().num_row_groups(), 2);
        let mut read = 0;
        for (found, row) in file.get_row_iter(None).unwrap().zip(&rows) {
            let mut found: BTreeMap<_, _> = found.unwrap().into_columns().into_iter().collect();
            let Some(Field::ListInternal(indicators)) = found.remove("indicators") else {
                panic!("no list");
            };
            let indicators: Vec<_> = indicators.elements().iter().cloned().collect();
            let expected: Vec<_> = row.indicators.iter().cloned().map(Field::Str).collect();
            assert_eq!(indicators, expected);
            assert_eq!(found, said(row));
            read += 1;
        }
        assert_eq!(read, rows.len());
        let broken = std::iter::once(Err(io::Error::other("gone")));
        assert!(matches!(write(broken, Vec::new()), Err(Unwritten::Rows(_))));
    }
}
