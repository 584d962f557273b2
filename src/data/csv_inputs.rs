//! Rows of tables to be classified, one image or one set of features a row: with the columns that a model was
//! trained on, in whatever order, and without the others.

use super::columns::{Columns, list, short};
use super::label_encoding::is_missing;
use super::table::{Table, line_of};
use super::table_form::{PixelOrder, TableForm};
use anyhow::{Context, Result, ensure};
use csv::StringRecord;
use std::path::Path;

/// What a model takes a row for.
#[derive(Clone, Debug)]
pub struct RowSpec {
    /// The shape of an image, or the number of values.
    pub shape: Vec<i64>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// How the rows were read that the model was trained on, if it was a table.
    pub form: Option<TableForm>,
}

impl RowSpec {
    fn values(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Whether values are whole numbers from 0 to the maximum.
    pub fn has_bytes(&self) -> bool {
        let may_be_bytes = self.maximum.fract() == 0.0 && self.maximum > 1.0 && self.maximum <= 255.0;
        // Features may have any value, whatever those in the training table were.
        let are_pixels = |form: &TableForm| form.has_bytes() && self.shape.len() > 1;
        self.form.as_ref().map_or(may_be_bytes, are_pixels)
    }
}

/// The rows of a CSV file one by one: their values as they stand there, in the order of the model's input.
pub struct CsvInputs {
    spec: RowSpec,
    /// None for a file without a single byte.
    table: Option<(Table, Columns)>,
    /// What users should know about how the file is read.
    pub notes: Vec<String>,
    is_over: bool,
}

impl CsvInputs {
    /// Rows for a model.
    ///
    /// # Errors
    /// A file that cannot be read, or without the columns that the model takes.
    pub fn open(path: &Path, spec: RowSpec) -> Result<CsvInputs> {
        let is_empty = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
        if is_empty {
            return Ok(CsvInputs { spec, table: None, notes: Vec::new(), is_over: true });
        }
        let mut table = Table::open(path)?;
        let count = spec.values();
        let names = spec.form.as_ref().and_then(TableForm::names);
        let label = spec.form.as_ref().and_then(|form| form.label.as_deref());
        let group = spec.form.as_ref().and_then(|form| form.group.as_deref());
        let mut columns = Columns::find_like(&mut table, names.as_deref(), count, label, group)?;
        if !columns.has_lists && columns.values.len() != count {
            let line = table.sample().first().map_or(1, line_of);
            anyhow::bail!("line {line} has {} values, but an image has {count} pixels", columns.width);
        }
        let mut notes: Vec<String> = table.notes.drain(..).chain(columns.notes.drain(..)).collect();
        if let Some(label) = columns.label {
            notes.push(format!("{} holds labels and is left out", columns.place(label)));
        }
        let unused: Vec<String> = columns.surplus.iter().map(|&index| columns.place(index)).collect();
        if !unused.is_empty() {
            notes.push(format!("not among the model's columns and left out: {}", unused.join(", ")));
        }
        if spec.form.is_none() && spec.shape.len() == 3 {
            notes.push("rows are taken as red, green and blue of each pixel in turn".to_string());
        }
        Ok(CsvInputs { spec, table: Some((table, columns)), notes, is_over: false })
    }

    fn next_values(&mut self) -> Result<Option<Vec<f32>>> {
        let Some((table, columns)) = &mut self.table else { return Ok(None) };
        let Some(row) = table.next_row()? else { return Ok(None) };
        let (line, found, count) = (line_of(&row), row.len(), self.spec.values());
        ensure!(found == columns.width, "line {line} has {found} values, but an image has {count} pixels");
        let value = |cell: &str, place: usize, column: usize| {
            let number = table.form.decimal.number(cell);
            self.spec
                .value(cell, number, place)
                .with_context(|| format!("line {line}, {}", columns.place(column)))
        };
        let cells = cells(&row, columns);
        let mut values = cells
            .enumerate()
            .map(|(place, (cell, column))| value(cell, place, column))
            .collect::<Result<Vec<f32>>>()?;
        ensure!(values.len() == count, "line {line} has {} pixels, but an image has {count}", values.len());
        let order = self.spec.form.as_ref().map_or(PixelOrder::default(), |form| form.pixel_order);
        order.to_channels(&self.spec.shape, &mut values);
        Ok(Some(values))
    }
}

/// The cells of the values of a row, each with its column.
fn cells<'a>(row: &'a StringRecord, columns: &'a Columns) -> Box<dyn Iterator<Item = (&'a str, usize)> + 'a> {
    match columns.has_lists {
        true => {
            let column = columns.values[0];
            Box::new(list(&row[column]).map(move |cell| (cell, column)))
        }
        false => Box::new(columns.values.iter().map(|&column| (row[column].trim(), column))),
    }
}

impl RowSpec {
    /// The value in a cell, which is the number given, if it is one.
    fn value(&self, cell: &str, number: Option<f64>, place: usize) -> Result<f32> {
        let mean = || {
            let means = self.form.as_ref()?.means.as_ref()?;
            is_missing(cell).then(|| means.get(place).copied()).flatten()
        };
        if !self.has_bytes() {
            let value = number.map(|number| number as f32).filter(|value| value.is_finite()).or_else(mean);
            return value.with_context(|| match is_missing(cell) {
                true => "has no value".to_string(),
                false => format!("'{}' is not a number", short(cell)),
            });
        }
        let is_pixel = |number: &f64| number.fract() == 0.0 && (0.0..=self.maximum).contains(number);
        let value = number.filter(is_pixel).map(|number| number as f32);
        value.with_context(|| {
            let maximum = self.maximum;
            format!("'{}' is not a pixel value, a whole number from 0 to {maximum}", short(cell))
        })
    }
}

impl Iterator for CsvInputs {
    type Item = Result<Vec<f32>>;

    /// Nothing comes after an error.
    fn next(&mut self) -> Option<Result<Vec<f32>>> {
        if self.is_over {
            return None;
        }
        let values = self.next_values().transpose();
        self.is_over = !matches!(values, Some(Ok(_)));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::value_kind::ValueKind;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn read(bytes: &[u8], spec: RowSpec) -> (Vec<Result<Vec<f32>>>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, bytes).unwrap();
        match CsvInputs::open(&path, spec) {
            Ok(inputs) => {
                let notes = inputs.notes.clone();
                (inputs.collect(), notes)
            }
            Err(fault) => (vec![Err(fault)], Vec::new()),
        }
    }

    fn rows(bytes: &[u8]) -> Vec<Result<Vec<f32>>> {
        read(bytes, RowSpec { shape: vec![4], maximum: 16.0, form: None }).0
    }

    /// Of a table with a head, whose values are not pixels.
    fn features(names: &[&str], means: Option<Vec<f32>>) -> RowSpec {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let form = TableForm { kind: ValueKind::Float, means, ..TableForm::new(Some(&names)) };
        RowSpec { shape: vec![names.len() as i64], maximum: 1.0, form: Some(form) }
    }

    #[test]
    fn columns_are_found_by_name_and_the_others_left_out() {
        let spec = features(&["width", "height"], None);
        for (text, notes) in [
            ("width,height\n1.5,-2\n2,3\n", 0),
            ("HEIGHT, Width\n-2,1.5\n3,2\n", 0),
            ("Id,height,width,species\n1,-2,1.5,cat\n2,3,2,dog\n", 2),
            ("height;width;sort\n-2;1,5;0\n3;2;1\n", 3),
            ("1.5,-2\n2,3\n", 0),
        ] {
            let (rows, found) = read(text.as_bytes(), spec.clone());
            let rows: Vec<Vec<f32>> = rows.into_iter().map(Result::unwrap).collect();
            assert_eq!(rows, [[1.5, -2.0], [2.0, 3.0]], "{text}");
            assert_eq!(found.len(), notes, "{text}: {found:?}");
        }
        let fault = |text: &str, spec: RowSpec| {
            format!("{:#}", read(text.as_bytes(), spec).0[0].as_ref().unwrap_err())
        };
        assert_eq!(
            fault("width,depth\n1,2\n", spec.clone()),
            "has no column 'height', which the training table has"
        );
        assert_eq!(fault("width,height\n1,\n", spec), "line 2, column 2 (height): has no value");
        let filled = read(b"width,height\n1,\n", features(&["width", "height"], Some(vec![7.0, 8.0]))).0;
        assert_eq!(filled[0].as_ref().unwrap(), &[1.0, 8.0]);
    }

    #[test]
    fn rows_in_colour_become_channels() {
        let text = b"1,2,3,4,5,6,7,8,9,10,11,12\n";
        let spec = |form| RowSpec { shape: vec![3, 2, 2], maximum: 255.0, form };
        let (rows, notes) = read(text, spec(None));
        assert_eq!(rows[0].as_ref().unwrap()[..5], [1.0, 4.0, 7.0, 10.0, 2.0]);
        assert_eq!(notes.len(), 1);
        let form = TableForm { pixel_order: PixelOrder::Chw, ..TableForm::default() };
        assert_eq!(read(text, spec(Some(form))).0[0].as_ref().unwrap()[..3], [1.0, 2.0, 3.0]);
    }

    #[test]
    fn rows_come_with_and_without_a_head_raw_and_gzipped() {
        let with_head = b"p0,p1,p2,p3\n1,2,3,4\n 5 ,6,7,16\n";
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(with_head).unwrap();
        for bytes in [&with_head[..], &with_head[12..], &gzip.finish().unwrap()] {
            let rows: Vec<Vec<f32>> = rows(bytes).into_iter().map(Result::unwrap).collect();
            assert_eq!(rows, [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 16.0]]);
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
