//! Files whose rows have no labels, as test rows of competitions.

use super::table_file::{Flow, Refusal};
use super::tables::Tables;
use crate::data::label_encoding::is_missing;
use crate::data::raw_dataset::Split;
use anyhow::Result;

impl Tables {
    /// Leaves out the files that have not a single label, or -1 for each, as test rows without labels have.
    pub fn leave_out_unlabelled(&mut self) -> Result<()> {
        const UNKNOWN: &str = "-1";
        let mut unlabelled = Vec::new();
        for (index, file) in self.files.iter().enumerate().filter(|(_, file)| file.split != Split::Train) {
            let (mut is_first, mut has_unknown) = (true, false);
            let flow = file.for_each_row(&mut |row| {
                let label = file.label(row);
                let is_unknown = label == UNKNOWN;
                (is_first, has_unknown) = (false, has_unknown || is_unknown);
                Ok(if is_unknown || is_missing(&label) { Flow::On } else { Flow::Refused(Refusal::Missing) })
            })?;
            if !is_first && matches!(flow, Flow::On) && !(has_unknown && self.has_training_label(UNKNOWN)?) {
                unlabelled.push((index, if has_unknown { "has -1 for labels" } else { "has no labels" }));
            }
        }
        for (index, why) in unlabelled.into_iter().rev() {
            let file = self.files.remove(index);
            self.notes.push(format!("{} {why} and is not used", file.name()));
        }
        Ok(())
    }

    fn has_training_label(&self, label: &str) -> Result<bool> {
        for file in self.files.iter().filter(|file| file.split == Split::Train) {
            let flow = file.for_each_row(&mut |row| {
                Ok(if file.label(row) == label { Flow::Refused(Refusal::Missing) } else { Flow::On })
            })?;
            if matches!(flow, Flow::Refused(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
