//! TensorBoard's files, current while training runs.

mod event_file;

use crate::train::{Callback, Training};
use anyhow::Result;
use event_file::{EventFile, last_step};
use std::path::PathBuf;

/// Writes the metrics and the learning rate of each epoch where TensorBoard finds them, as Keras's callback
/// does: `epoch_loss` and so on, those of training below `train/` and those of validation below
/// `validation/`.
///
/// ```
/// use fitch::train::callbacks::TensorBoard;
///
/// let tensorboard = TensorBoard::new("logs/first").text("settings", "batch size 128");
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    texts: Vec<(String, String)>,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    train: EventFile,
    validation: EventFile,
    /// The last epoch that was there already, in each.
    recorded: [Option<usize>; 2],
}

impl TensorBoard {
    /// Writes below a folder. New files are created in it whenever a training begins or is resumed; an epoch
    /// that an earlier file has, because the process was killed between that and its checkpoint, is not
    /// written again.
    pub fn new(folder: impl Into<PathBuf>) -> TensorBoard {
        TensorBoard { folder: folder.into(), texts: Vec::new(), files: None }
    }

    /// A text under a name, shown as Markdown.
    pub fn text(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.push((name.into(), text.into()));
        self
    }
}

impl Callback for TensorBoard {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        let folders = [self.folder.join("train"), self.folder.join("validation")];
        // A training that begins may share its folder with others; one that is resumed has written there before.
        let is_resumed = training.epoch() > 0;
        let recorded = [0, 1].map(|index| last_step(&folders[index]).filter(|_| is_resumed));
        let [train, validation] = folders;
        let (train, validation) = (EventFile::create(&train)?, EventFile::create(&validation)?);
        let files = self.files.insert(Files { train, validation, recorded });
        if recorded[0].is_some() {
            return Ok(());
        }
        self.texts.iter().try_for_each(|(name, text)| files.train.text(name, text))
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let (Some(record), Some(files)) = (training.record(), &mut self.files) else { return Ok(()) };
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (name, &value) in &record.metrics {
            match name.strip_prefix("val_") {
                Some(name) => validation.push((format!("epoch_{name}"), value)),
                None => train.push((format!("epoch_{name}"), value)),
            }
        }
        train.push(("epoch_learning_rate".to_string(), record.learning_rate));
        let is_new = |recorded: Option<usize>| recorded.is_none_or(|last| record.epoch > last);
        if is_new(files.recorded[0]) {
            files.train.scalars(record.epoch, train)?;
        }
        if !validation.is_empty() && is_new(files.recorded[1]) {
            files.validation.scalars(record.epoch, validation)?;
        }
        Ok(())
    }
}
