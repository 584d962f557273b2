//! What was measured: for each thing the values of all rounds, shown as a table of Markdown or CSV.

use anyhow::{Context, Result};
use std::path::Path;

#[derive(Default)]
pub struct Table {
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    /// Adds values of a thing, to those that there are.
    pub fn add(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.extend(values),
            None => self.rows.push((name.to_string(), values.into_iter().collect())),
        }
    }

    pub fn markdown(&self) -> String {
        let row = |(name, values): &(String, Vec<f64>)| {
            let [least, median, greatest] = spread(values).map(|value| format!("{value:.4}"));
            format!("| {name} | {median} | {least} | {greatest} | {} |\n", values.len())
        };
        let rows: String = self.rows.iter().map(row).collect();
        format!("| what | median | least | greatest | n |\n|---|---|---|---|---|\n{rows}")
    }

    pub fn write_csv(&self, path: &Path) -> Result<()> {
        let mut file = csv::Writer::from_path(path).with_context(|| path.display().to_string())?;
        file.write_record(["what", "median", "least", "greatest", "n"])?;
        for (name, values) in &self.rows {
            let [least, median, greatest] = spread(values).map(|value| value.to_string());
            file.write_record([name, &median, &least, &greatest, &values.len().to_string()])?;
        }
        Ok(file.flush()?)
    }
}

/// The least, the median and the greatest value.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
}

pub fn median(values: &[f64]) -> f64 {
    spread(values)[1]
}
