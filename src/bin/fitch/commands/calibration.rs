//! `fitch export --calibrate`: the temperature that fits a run's validation images, for the card of an exported
//! model.

use super::built_model::RecordedRun;
use super::train::Splits;
use crate::cli::ExportOptions;
use crate::config;
use crate::failure::Hint;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::terminal::Terminal;
use anyhow::{Context, Result, ensure};
use fitch::data::{Dataset, Samples};
use fitch::export::ModelCard;
use fitch::metrics::Temperature;
use fitch::model::Network;
use fitch::text::with_separators;
use fitch::train::predict;

/// Fits a temperature to the validation images of a run, puts it into the card and says what it does. Returns the
/// images of the run.
pub fn calibrate(
    run: &RecordedRun,
    network: &Network,
    card: &mut ModelCard,
    options: &ExportOptions,
    terminal: &Terminal,
) -> Result<Dataset> {
    let (dataset, validation, batch_size) = validation_images(run, options, terminal)?;
    let working = terminal.busy("calibrating");
    let logits = predict(network, &validation, batch_size)?;
    let temperature = Temperature::fit(&logits, &validation.labels()?).context("--calibrate")?;
    drop(working);
    terminal.say(&described(&temperature));
    if temperature.is_at_bound {
        let (direction, why) = match temperature.value < 1.0 {
            true => ("lower", "the network classifies all of these images right, or nearly all"),
            false => ("higher", "the network knows no more of these images than chance does"),
        };
        terminal.warn(&format!(
            "a {direction} temperature than {} would fit even better, because {why}; other images may be another \
             matter",
            temperature.value
        ));
    }
    card.temperature = Some(temperature.value);
    // The one that was recorded is that of the network without it.
    card.metrics.remove("test_loss");
    card.metrics.insert("val_loss".to_string(), temperature.after.loss.into());
    card.metrics.insert("val_ece".to_string(), temperature.after.calibration_error.into());
    Ok(dataset)
}

/// The images of a run, its validation images as samples, and its batch size.
fn validation_images(
    run: &RecordedRun,
    options: &ExportOptions,
    terminal: &Terminal,
) -> Result<(Dataset, Samples, usize)> {
    let shown = run.folder.path().display();
    let without = || Hint {
        message: format!("--calibrate: {shown} has no validation images to fit a temperature to"),
        hint: "a run with --validation-split or --validation has some".to_string(),
    };
    if run.record.dataset.validation == 0 {
        return Err(without().into());
    }
    let mut recorded = run.options.clone();
    let in_place_of =
        |recorded: &Option<String>, given: &Option<String>| recorded.clone().filter(|_| given.is_none());
    run.check_data_is_there(
        in_place_of(&recorded.dataset, &options.dataset).as_deref(),
        in_place_of(&recorded.validation, &options.validation).as_deref(),
        &format!("fitch export {shown} --calibrate"),
    )?;
    recorded.dataset = options.dataset.clone().or(recorded.dataset);
    recorded.validation = options.validation.clone().or(recorded.validation);
    let configuration = config::check(&recorded)?;
    let mut download = DownloadProgress::new(terminal, ProgressKind::Auto);
    let source = configuration.source.located(&configuration.reading, &mut |event| download.show(event))?;
    let dataset = source.load_with(&configuration.reading, &mut |event| download.show(event))?;
    ensure!(
        dataset.fingerprint()? == run.record.dataset.fingerprint,
        "--calibrate: {} holds other images than {shown} was trained on, so that its validation images are not known",
        dataset.name
    );
    let validation =
        Splits::split(&dataset, &source, &configuration, None)?.validation.ok_or_else(without)?;
    Ok((dataset, validation, configuration.batch_size))
}

/// What a temperature does to the images that it was fitted to.
fn described(temperature: &Temperature) -> String {
    let Temperature { value, before, after, .. } = temperature;
    let count = before.predictions.len();
    let changed =
        before.predictions.iter().zip(&after.predictions).filter(|(before, after)| before != after).count();
    let predictions = match changed {
        0 => "every prediction stays as it was".to_string(),
        _ => format!("{changed} of {count} predictions change, between classes that are equally likely"),
    };
    format!(
        "temperature {value:.4}, fitted to {} validation images: loss {:.4}, before {:.4}; expected calibration \
         error {:.4}, before {:.4}; {predictions}",
        with_separators(count as i64),
        after.loss,
        before.loss,
        after.calibration_error,
        before.calibration_error
    )
}
