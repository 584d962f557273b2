//! `fitch predict`: classes for image files, IDX files and CSV rows.

mod layout;
mod output;

use super::built_model::{RecordedRun, made_again, without_weights};
use super::start_libtorch;
use crate::cli::{InvertOption, PredictFormat, PredictOptions};
use crate::config;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::hints::hint_for_data_fault;
use crate::terminal::Terminal;
use anyhow::{Context, Result, ensure};
use fitch::data::inputs::{Input, InputSpec, inputs};
use fitch::data::{Fault, Inversion};
use fitch::export::ScriptModel;
use fitch::run::RunFolder;
use output::Output;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

/// Large enough for efficient matrix products, small enough for the caches.
const BATCH_SIZE: usize = 1024;

/// Values of a batch of large images.
const BATCH_VALUES: usize = 8 << 20;

pub fn run(options: PredictOptions, terminal: &Terminal) -> Result<Exit> {
    let machine = config::check_machine(&options.device, options.threads)?;
    let top = usize::try_from(options.top).ok().filter(|&top| top > 0).ok_or_else(|| {
        UsageError(vec![format!("--top {}: must be a whole number of at least 1", options.top)])
    })?;
    let chosen = start_libtorch(machine)?;
    let model =
        ScriptModel::load(&model_file(&options.model)?, chosen.device).map_err(
            |fault| match RunFolder::open(&options.model) {
                Ok(run) => made_again(&fault, &run).into(),
                Err(_) => fault,
            },
        )?;
    let input = &model.card().input;
    let inversion = inversion(options.invert, &input.shape, input.border);
    let spec = InputSpec::new(&input.shape, input.maximum, inversion)
        .with_context(|| format!("the model takes images of the shape {:?}", input.shape))?
        .with_table(input.table.clone())
        .fitted(input.fit)
        .transposed(options.transpose.or_else(|| recorded_transpose(&options.model)));
    let format = match options.format {
        PredictFormat::Auto if terminal.shows_results => PredictFormat::Table,
        PredictFormat::Auto => PredictFormat::Csv,
        chosen => chosen,
    };
    let columns = terminal.result_columns();
    let output = Output::new(format, &model.card().classes, top, options.probabilities, columns);
    let mut classifier =
        Classifier { model: &model, device: chosen.device, terminal, output, batch: Vec::new(), inverted: 0 };

    terminal.result(&classifier.output.head()?)?;
    let mut failed = 0;
    for input in options.inputs.iter().flat_map(|path| inputs(path, spec.clone())) {
        match input {
            Ok(input) => classifier.push(input)?,
            Err(fault) => {
                // Print in the order of the inputs.
                classifier.flush()?;
                terminal.error(&format!("{fault:#}"));
                if let Some(remedy @ (Fault::ForeignKind { .. } | Fault::ForeignImages { .. })) =
                    fault.downcast_ref()
                {
                    hint_for_data_fault(remedy).iter().for_each(|hint| terminal.hint(hint));
                }
                failed += 1;
            }
        }
    }
    classifier.flush()?;
    terminal.result(&classifier.output.foot())?;
    if classifier.inverted > 0 && options.invert == InvertOption::Auto {
        let border = if input.border < 0.5 { "bright" } else { "dark" };
        let what = match classifier.inverted {
            1 => "1 image was inverted: its".to_string(),
            count => format!("{count} images were inverted: their"),
        };
        terminal.say(&format!(
            "{what} {border} border is unlike that of the training images (--invert=never turns this off)"
        ));
    }
    match failed {
        0 => Ok(Exit::Success),
        _ => Ok(Exit::Failure),
    }
}

/// The file itself, or the model file of a run.
fn model_file(model: &Path) -> Result<PathBuf> {
    if !model.is_dir() {
        return Ok(model.to_path_buf());
    }
    let folder = RunFolder::open(model)?;
    let file = folder.model_file();
    if !file.exists() && !folder.weights_file().exists() {
        return Err(without_weights(&folder).into());
    }
    ensure!(
        file.exists(),
        "{} has no model.pt; `fitch export {}` writes it from the run's weights",
        model.display(),
        model.display()
    );
    Ok(file)
}

/// When images of that shape are inverted: ink and paper can be exchanged, but a photograph with a dark border is not
/// the negative of another one.
fn inversion(option: InvertOption, shape: &[i64], training_border: f64) -> Inversion {
    match option {
        InvertOption::Auto if shape.len() == 3 => Inversion::Never,
        InvertOption::Auto => Inversion::Auto { training_border },
        InvertOption::Always => Inversion::Always,
        InvertOption::Never => Inversion::Never,
    }
}

/// Whether the training images had their rows and columns exchanged, if the run was told so.
fn recorded_transpose(model: &Path) -> Option<bool> {
    let folder = if model.is_dir() { model } else { model.parent()? };
    RecordedRun::open(folder).ok()?.options.data.transpose
}

/// Collects inputs into batches, classifies them and prints the predictions.
struct Classifier<'a> {
    model: &'a ScriptModel,
    device: Device,
    terminal: &'a Terminal,
    output: Output<'a>,
    batch: Vec<Input>,
    inverted: usize,
}

impl Classifier<'_> {
    fn push(&mut self, input: Input) -> Result<()> {
        self.inverted += usize::from(input.is_inverted);
        input.note.iter().for_each(|note| self.terminal.say(note));
        self.batch.push(input);
        let values = self.batch.len() * self.batch[0].values.len();
        if self.batch.len() == BATCH_SIZE || values >= BATCH_VALUES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let shape = [&[self.batch.len() as i64][..], &self.model.card().input.shape].concat();
        let values: Vec<f32> = self.batch.iter().flat_map(|input| &input.values).copied().collect();
        let images = Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?.f_to_device(self.device)?;
        let probabilities = self.model.probabilities(&images)?.f_reshape([-1])?;
        let probabilities = Vec::<f32>::try_from(&probabilities).context("cannot read the probabilities")?;
        let text = self.output.rows(&self.batch, &probabilities)?;
        self.batch.clear();
        self.terminal.result(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grey_images_are_inverted_by_their_borders() {
        let auto = |shape: &[i64]| inversion(InvertOption::Auto, shape, 0.1);
        assert_eq!(auto(&[8, 8]), Inversion::Auto { training_border: 0.1 });
        assert_eq!(auto(&[3, 8, 8]), Inversion::Never);
        assert_eq!(inversion(InvertOption::Always, &[3, 8, 8], 0.1), Inversion::Always);
    }
}
