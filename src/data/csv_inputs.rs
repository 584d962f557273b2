//! CSV rows of pixels, raw or gzipped, one image a row.

use super::gzip::is_gzip;
use anyhow::{Context, Result, ensure};
use csv::{StringRecord, StringRecordsIntoIter};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// The images of a CSV file one by one: raw pixel values, row by row of the image. A first line that
/// does not begin with a number is taken for a head and passed over.
pub struct CsvInputs {
    records: StringRecordsIntoIter<Box<dyn Read>>,
    pixels: usize,
    maximum: f64,
    is_first: bool,
    is_over: bool,
}

impl CsvInputs {
    /// Rows of that many pixels, each a whole number from 0 to `maximum`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(path: &Path, pixels: usize, maximum: f64) -> Result<CsvInputs> {
        let records = records(path)?;
        Ok(CsvInputs { records, pixels, maximum, is_first: true, is_over: false })
    }

    fn values(&self, record: &StringRecord) -> Result<Vec<u8>> {
        let line = record.position().map_or(0, |position| position.line());
        ensure!(
            record.len() == self.pixels,
            "line {line} has {} values, but an image has {} pixels",
            record.len(),
            self.pixels
        );
        let values = record.iter().enumerate();
        values.map(|(column, text)| pixel_value(text, self.maximum, line, column)).collect()
    }
}

impl Iterator for CsvInputs {
    type Item = Result<Vec<u8>>;

    /// Nothing comes after an error.
    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        if self.is_over {
            return None;
        }
        let mut record = self.records.next()?;
        let is_head = |record: &StringRecord| record[0].trim().parse::<f64>().is_err();
        if std::mem::take(&mut self.is_first) && record.as_ref().is_ok_and(is_head) {
            record = self.records.next()?;
        }
        let values = record.context("is not CSV").and_then(|record| self.values(&record));
        self.is_over = values.is_err();
        Some(values)
    }
}

/// The pixel value in a cell: a whole number from 0 to `maximum`.
///
/// # Errors
/// Anything else, with the line and the column, given from 0 and shown from 1.
pub(super) fn pixel_value(text: &str, maximum: f64, line: u64, column: usize) -> Result<u8> {
    let value = text.trim().parse::<u8>().ok().filter(|&value| f64::from(value) <= maximum);
    value.with_context(|| {
        format!(
            "line {line}, column {}: '{}' is not a pixel value, a whole number from 0 to {maximum}",
            column + 1,
            text.chars().take(40).collect::<String>(),
        )
    })
}

/// The rows of a file, raw or gzipped.
pub(super) fn records(path: &Path) -> Result<StringRecordsIntoIter<Box<dyn Read>>> {
    let mut file = File::open(path).context("cannot be opened")?;
    let reader: Box<dyn Read> = match is_gzip(&mut file).context("cannot be read")? {
        true => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        false => Box::new(file),
    };
    Ok(csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader).into_records())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn rows(bytes: &[u8]) -> Vec<Result<Vec<u8>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, bytes).unwrap();
        CsvInputs::open(&path, 4, 16.0).unwrap().collect()
    }

    #[test]
    fn rows_come_with_and_without_a_head_raw_and_gzipped() {
        let with_head = b"p0,p1,p2,p3\n1,2,3,4\n 5 ,6,7,16\n";
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(with_head).unwrap();
        for bytes in [&with_head[..], &with_head[12..], &gzip.finish().unwrap()] {
            let rows: Vec<Vec<u8>> = rows(bytes).into_iter().map(Result::unwrap).collect();
            assert_eq!(rows, [[1, 2, 3, 4], [5, 6, 7, 16]]);
        }
        assert!(rows(b"").is_empty());
    }

    #[test]
    fn a_wrong_row_is_the_last_and_its_error_names_the_place() {
        for (text, fault) in [
            ("1,2,3,4\n1,2,3\n1,2,3,4\n", "line 2 has 3 values, but an image has 4 pixels"),
            ("1,2,3,4\n1,2,x,4\n", "line 2, column 3: 'x' is not a pixel value"),
            (
                "1,2,3,4\n1,2,3,17\n",
                "line 2, column 4: '17' is not a pixel value, a whole number from 0 to 16",
            ),
            ("1,2,3,4\n1,2,3,0.5\n", "'0.5'"),
            ("1,2,3,4\n1,2,3,-1\n", "'-1'"),
        ] {
            let rows = rows(text.as_bytes());
            assert_eq!(rows.len(), 2, "{text}");
            let message = format!("{:#}", rows[1].as_ref().unwrap_err());
            assert!(rows[0].is_ok() && message.contains(fault), "{message}");
        }
        assert!(rows(b"\xff\xfe,1,2,3\n").iter().any(Result::is_err), "not UTF-8");
    }
}
