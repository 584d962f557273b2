//! Tables in text files as programs write them: their encoding, separator and decimal sign are found out, and
//! their rows come one by one. Memory does not grow with their number.

use super::comments::{self, Comments};
use super::gzip;
use super::number::Decimal;
use super::text_encoding::{Encoding, windows_1252};
use anyhow::{Context, Result, ensure};
use csv::{ByteRecord, ByteRecordsIntoIter, Position, StringRecord};
use flate2::read::MultiGzDecoder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// Bytes that are looked at to find out how a file is written.
const START: u64 = 1 << 16;
/// Rows that are read ahead to find out what the columns hold, and how many bytes they may take.
const SAMPLE_ROWS: usize = 1_000;
const SAMPLE_BYTES: usize = 8 << 20;

/// A table, opened: its first rows are known, the others are read as they are asked for.
pub(super) struct Table {
    /// The signs that it is written with.
    pub form: Form,
    /// What users should know about how it is read.
    pub notes: Vec<String>,
    sample: VecDeque<StringRecord>,
    rest: ByteRecordsIntoIter<Box<dyn Read>>,
    /// Whether its lines end as on Windows.
    has_carriage_returns: bool,
    /// Rows without a single value, which were passed over.
    pub empty_rows: usize,
    has_other_letters: bool,
    comments: Comments,
}

impl Table {
    /// Opens a file, raw or gzipped.
    ///
    /// # Errors
    /// A file that cannot be read, is no text, or is empty.
    pub fn open(path: &Path) -> Result<Table> {
        let file = File::open(path).context("cannot be opened")?;
        Table::read(Box::new(BufReader::new(file)))
    }

    /// The same of a stream, which is read once.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn read(bytes: Box<dyn Read>) -> Result<Table> {
        let (start, bytes) = peek(bytes, gzip::MAGIC.len() as u64)?;
        let bytes: Box<dyn Read> = match start == gzip::MAGIC {
            true => Box::new(MultiGzDecoder::new(BufReader::new(bytes))),
            false => bytes,
        };
        let (start, bytes) = peek(bytes, START)?;
        ensure!(!Encoding::is_utf_32(&start), "is text in UTF-32, which is not read; store it as UTF-8");
        let encoding = Encoding::of(&start).context("is not text")?;
        let text = encoding.decoded(bytes).context("cannot be read")?;
        let (start, text) = peek(text, START)?;
        ensure!(start.iter().any(|byte| !byte.is_ascii_whitespace()), "is empty");
        let form = Form::of(&String::from_utf8_lossy(&start), (start.len() as u64) < START);
        let text: Box<dyn Read> = match form.separator {
            b' ' => Box::new(Squeezed { text, is_line_start: true, has_gap: false }),
            _ => text,
        };
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(form.separator)
            .from_reader(text);
        let has_carriage_returns =
            start.split(|&byte| byte == b'\n').next().is_some_and(|line| line.ends_with(b"\r"));
        let mut notes = form.notes();
        if encoding.name() != "UTF-8" {
            notes.push(format!("its text is {}", encoding.name()));
        }
        let mut table = Table {
            form,
            notes,
            sample: VecDeque::new(),
            rest: reader.into_byte_records(),
            has_carriage_returns,
            empty_rows: 0,
            has_other_letters: false,
            comments: Comments::default(),
        };
        table.read_ahead()?;
        Ok(table)
    }

    fn read_ahead(&mut self) -> Result<()> {
        let (mut rows, mut length) = (Vec::new(), 0);
        while rows.len() < 2 || (rows.len() < SAMPLE_ROWS && length < SAMPLE_BYTES) {
            let Some(row) = self.read_row()? else { break };
            length += row.as_slice().len() + 8 * row.len();
            rows.push(row);
        }
        // Excel's word about the separator, which was found by it.
        if rows.first().is_some_and(|row| separator_line(row.iter().next().unwrap_or_default()).is_some()) {
            rows.remove(0);
        }
        let (comments, are_there) = Comments::take_from(&mut rows, self.form.decimal);
        self.comments = comments;
        if are_there {
            self.notes.push("lines that begin with # are comments and are passed over".to_string());
        }
        ensure!(!rows.is_empty(), "is empty");
        if self.has_other_letters {
            self.notes.push("its text is not UTF-8 and read as Windows-1252".to_string());
        }
        self.sample = rows.into();
        Ok(())
    }

    /// The first rows, none of which has been given.
    pub fn sample(&mut self) -> &[StringRecord] {
        self.sample.make_contiguous()
    }

    /// Takes the first row, a head, out of the rows that are given.
    pub fn take_head(&mut self) -> Option<StringRecord> {
        self.sample.pop_front()
    }

    /// The next row that has a value.
    ///
    /// # Errors
    /// Bytes that cannot be read.
    pub fn next_row(&mut self) -> Result<Option<StringRecord>> {
        match self.sample.pop_front() {
            Some(row) => Ok(Some(row)),
            None => self.read_row(),
        }
    }

    fn read_row(&mut self) -> Result<Option<StringRecord>> {
        while let Some(record) = self.rest.next() {
            let mut record = record.map_err(|fault| match fault.into_kind() {
                csv::ErrorKind::Io(fault) if fault.kind() == std::io::ErrorKind::UnexpectedEof => {
                    anyhow::anyhow!("is a gzip file that was cut short")
                }
                csv::ErrorKind::Io(fault) => anyhow::Error::new(fault).context("cannot be read"),
                _ => anyhow::anyhow!("is not CSV"),
            })?;
            if self.has_carriage_returns {
                number_after_line_feed(&mut record);
            }
            let is_blank = |cell: &[u8]| cell.iter().all(u8::is_ascii_whitespace);
            if record.get(0).is_none_or(is_blank) && record.iter().all(is_blank) {
                self.empty_rows += 1;
                continue;
            }
            let row = self.text_of(record);
            if !self.comments.has(&row) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn text_of(&mut self, record: ByteRecord) -> StringRecord {
        StringRecord::from_byte_record(record).unwrap_or_else(|fault| {
            self.has_other_letters = true;
            let record = fault.into_byte_record();
            let cell = |cell: &[u8]| match std::str::from_utf8(cell) {
                Ok(text) => text.to_string(),
                Err(_) => windows_1252(cell),
            };
            let mut decoded: StringRecord = record.iter().map(cell).collect();
            decoded.set_position(record.position().cloned());
            decoded
        })
    }
}

/// Counts the line feed of the row before, with which the reader begins a row where lines end with two signs.
fn number_after_line_feed(record: &mut ByteRecord) {
    let Some(mut position) = record.position().cloned().filter(|position| position.byte() > 0) else {
        return;
    };
    position.set_line(position.line() + 1);
    record.set_position(Some(position));
}

/// The line of a row, from 1.
pub(super) fn line_of(row: &StringRecord) -> u64 {
    row.position().map_or(0, Position::line)
}

/// The first bytes of a stream, and the whole stream.
fn peek(mut bytes: Box<dyn Read>, count: u64) -> Result<(Vec<u8>, Box<dyn Read>)> {
    let mut start = Vec::new();
    bytes.by_ref().take(count).read_to_end(&mut start).map_err(|fault| match fault.kind() {
        std::io::ErrorKind::UnexpectedEof => anyhow::anyhow!("is a gzip file that was cut short"),
        _ => anyhow::Error::new(fault).context("cannot be read"),
    })?;
    let whole = Cursor::new(start.clone()).chain(bytes);
    Ok((start, Box::new(whole)))
}

/// The signs that a table is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Between the values of a row; a blank stands for any run of blanks and tabs.
    pub separator: u8,
    pub decimal: Decimal,
}

/// Separators, the likelier first.
const SEPARATORS: [u8; 5] = [b',', b';', b'\t', b'|', b' '];

impl Form {
    /// By the first lines, as many as there are in `start`, which is all of a file or not.
    fn of(start: &str, is_whole: bool) -> Form {
        const LINES: usize = 50;
        let mut lines: Vec<&str> = start.lines().filter(|line| !line.trim().is_empty()).collect();
        if !is_whole && lines.len() > 1 {
            // It may be cut.
            lines.pop();
        }
        if !lines.iter().all(|line| comments::may_be_line(line)) {
            lines.retain(|line| !comments::may_be_line(line));
        }
        lines.truncate(LINES);
        if let Some(separator) = lines.first().and_then(|line| separator_line(line)) {
            return Form { separator, decimal: Decimal::of(&cells(&lines[1..], separator), separator) };
        }
        let ratings = SEPARATORS.iter().rev().filter_map(|&separator| {
            let cells = cells(&lines, separator);
            Some((rating(&cells, Decimal::of(&cells, separator))?, separator, cells))
        });
        let best = ratings.max_by(|(a, ..), (b, ..)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        match best {
            Some((_, separator, cells)) => Form { separator, decimal: Decimal::of(&cells, separator) },
            None => Form { separator: b',', decimal: Decimal::Point },
        }
    }

    /// What users should know, if it is not plain CSV.
    fn notes(self) -> Vec<String> {
        let separator = match self.separator {
            b',' => None,
            b';' => Some("semicolons"),
            b'\t' => Some("tabs"),
            b'|' => Some("bars"),
            _ => Some("blanks"),
        };
        let decimal = (self.decimal == Decimal::Comma).then_some("numbers have decimal commas");
        let separator = separator.map(|separator| format!("{separator} separate its values"));
        separator.into_iter().chain(decimal.map(str::to_string)).collect()
    }
}

/// `sep=;`, as Excel has it in the first line.
fn separator_line(line: &str) -> Option<u8> {
    let sign = line.trim_end_matches(['\r', '\n']).strip_prefix("sep=")?;
    SEPARATORS
        .into_iter()
        .find(|separator| sign.as_bytes() == [*separator] || (sign.is_empty() && *separator == b','))
}

fn cells(lines: &[&str], separator: u8) -> Vec<Vec<String>> {
    if separator == b' ' {
        return lines.iter().map(|line| line.split_whitespace().map(str::to_string).collect()).collect();
    }
    let text = lines.join("\n");
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(separator);
    let records = reader.from_reader(text.as_bytes()).into_records().flatten();
    records.map(|record| record.iter().map(|cell| cell.trim().to_string()).collect()).collect()
}

/// How well a separator fits: whether the rows have as many values as the first, and how many of these are
/// numbers.
fn rating(cells: &[Vec<String>], decimal: Decimal) -> Option<(bool, f64)> {
    let first = cells.first()?.len();
    let rows = if cells.len() > 1 { &cells[1..] } else { cells };
    let mut widths: Vec<usize> = rows.iter().map(Vec::len).collect();
    widths.sort_unstable();
    let usual = widths[widths.len() / 2];
    if first < 2 || usual < 2 || first.abs_diff(usual) > 1 {
        return None;
    }
    let agree = widths.iter().filter(|&&width| width == usual).count();
    let all: usize = widths.iter().sum();
    let numbers = rows.iter().flatten().filter(|cell| decimal.number(cell).is_some()).count();
    Some((20 * agree >= 19 * widths.len(), numbers as f64 / all as f64))
}

/// Text with one blank for every run of blanks and tabs, and none around a line.
struct Squeezed {
    text: Box<dyn Read>,
    is_line_start: bool,
    /// Whether blanks were read and not given yet.
    has_gap: bool,
}

impl Read for Squeezed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // A byte may become two, with the gap before it.
        let mut read = vec![0; (buffer.len() / 2).max(1)];
        if buffer.len() < 2 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        loop {
            let count = self.text.read(&mut read)?;
            let mut given = 0;
            for &byte in &read[..count] {
                match byte {
                    b' ' | b'\t' => self.has_gap = !self.is_line_start,
                    b'\n' | b'\r' => {
                        (self.is_line_start, self.has_gap) = (true, false);
                        buffer[given] = byte;
                        given += 1;
                    }
                    _ => {
                        if std::mem::take(&mut self.has_gap) {
                            buffer[given] = b' ';
                            given += 1;
                        }
                        buffer[given] = byte;
                        given += 1;
                        self.is_line_start = false;
                    }
                }
            }
            if given > 0 || count == 0 {
                return Ok(given);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn rows(bytes: &[u8]) -> Result<(Vec<Vec<String>>, Form, Vec<String>)> {
        let mut table = Table::read(Box::new(Cursor::new(bytes.to_vec())))?;
        let mut rows = Vec::new();
        while let Some(row) = table.next_row()? {
            rows.push(row.iter().map(str::to_string).collect());
        }
        Ok((rows, table.form, table.notes))
    }

    #[test]
    fn separators_and_decimal_signs_are_found() {
        for (text, separator, decimal) in [
            ("label,a,b\n1,2,3\n", b',', Decimal::Point),
            ("1;2;3\n0;5;6\n", b';', Decimal::Point),
            ("a\tb\n1\t2.5\n", b'\t', Decimal::Point),
            ("a|b\n1|2\n", b'|', Decimal::Point),
            ("  1.5  2\t3\n 4 5 6 \n", b' ', Decimal::Point),
            ("5,1;3,5;Iris setosa\n4,9;3,0;Iris setosa\n", b';', Decimal::Comma),
            ("5,1\t3,5\tsetosa\n4,9\t3,0\tsetosa\n", b'\t', Decimal::Comma),
            ("\"5,1\",\"3,5\",setosa\n\"4,9\",\"3,0\",setosa\n", b',', Decimal::Comma),
            (
                "sepal length (cm),sepal width (cm),class\n5.1,3.5,Iris setosa\n4.9,3,Iris setosa\n",
                b',',
                Decimal::Point,
            ),
            ("emotion,pixels,Usage\n0,70 80 82,Training\n1,151 150 147,PublicTest\n", b',', Decimal::Point),
            ("1, 2, 3\n4, 5, 6\n", b',', Decimal::Point),
            ("sep=;\nlabel;a\n1;2\n", b';', Decimal::Point),
            ("1\n2\n", b',', Decimal::Point),
        ] {
            let (rows, form, _) = rows(text.as_bytes()).unwrap();
            assert_eq!(form, Form { separator, decimal }, "{text}");
            assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
        }
        assert_eq!(rows(b"  1.5  2\t3\n 4 5 6 \n").unwrap().0, [["1.5", "2", "3"], ["4", "5", "6"]]);
    }

    #[test]
    fn text_may_be_gzipped_and_in_other_encodings() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"label,a\n1,2\n").unwrap();
        let whole = gzip.finish().unwrap();
        assert_eq!(rows(&whole).unwrap().0, [["label", "a"], ["1", "2"]]);
        let fault = |bytes: &[u8]| format!("{:#}", rows(bytes).err().unwrap());
        assert_eq!(fault(&whole[..whole.len() - 9]), "is a gzip file that was cut short");
        let (read, _, notes) = rows(b"label,a\ngr\xf6\xdfer,2\n").unwrap();
        assert_eq!(read[1], ["größer", "2"]);
        assert_eq!(notes, ["its text is not UTF-8 and read as Windows-1252"]);
        assert_eq!(rows(b"\xef\xbb\xbflabel,a\n1,2\n").unwrap().0[0], ["label", "a"]);
        let wide: Vec<u8> = "label;größe\n1;2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (read, _, notes) = rows(&wide).unwrap();
        assert_eq!((read[0][1].as_str(), notes.len()), ("größe", 2));
        assert_eq!(fault(b""), "is empty");
        assert_eq!(fault(b" \n\n"), "is empty");
        assert_eq!(fault(b"PK\x03\x04\x14\0\0\0"), "is not text");
        // As spreadsheets leave them.
        assert_eq!(rows(b"label,a\n1,2\n,\n\n , \n3,4\n").unwrap().0.len(), 3);
    }
}
