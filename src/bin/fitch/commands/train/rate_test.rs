//! `--learning-rate auto`: a test before training that finds the learning rate.

use super::{Work, fit_of, optimizer};
use crate::commands::plots::write_drawing;
use crate::failure::{self, Hint};
use crate::progress::ProgressKind;
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use fitch::distributed::Group;
use fitch::files::write_whole;
use fitch::report::{RatePoint, rate_curve};
use fitch::run::RunFolder;
use fitch::train::StopReason;
use fitch::train::callbacks::{LearningRateTest, StopOnRequest, TriedRate};

/// The rates that were tried, in the run folder.
pub const TABLE: &str = "learning_rate_test.csv";
/// The drawing of them, without extension.
const DRAWING: &str = "learning_rate_test";

/// The rate of the optimizer before the test sets its own.
const ANY_RATE: f64 = 1e-6;

/// What came of a test.
pub struct RateTest {
    pub found: f64,
    tried: Vec<TriedRate>,
}

impl RateTest {
    /// Tries learning rates on the training images. The network has its initial weights again afterwards.
    ///
    /// None if somebody asked for an end.
    ///
    /// # Errors
    /// No rate helps; those of training.
    pub fn run(work: &Work, terminal: &Terminal) -> Result<Option<RateTest>> {
        let terminal = &terminal.with_live_line(work.shown(terminal).style == ProgressKind::Bar);
        let mut test = LearningRateTest::new();
        let mut stop_on_request = StopOnRequest::new(signals::listen(terminal)?);
        let working = terminal.busy("testing learning rates");
        let optimizer = optimizer::optimizer(&work.configuration, ANY_RATE, work.network.variables())?;
        let fit =
            fit_of(work, optimizer).epochs(test.steps()).callback(&mut test).callback(&mut stop_on_request);
        let outcome = failure::guard(|| fit.run(&work.splits.train, None))?;
        drop(working);
        if outcome.stop.reason == StopReason::Interrupted {
            terminal.say("interrupted while learning rates were tested: nothing is saved");
            return Ok(None);
        }
        let tried = test.tried();
        let Some(found) = of_first(test.found(), &work.group)? else {
            if tried.is_empty() {
                bail!("--learning-rate auto: the loss is not a finite number before the first step");
            }
            return Err(Hint {
                message: format!(
                    "the loss falls at none of the learning rates that were tested: {}",
                    range(&tried)
                ),
                hint: "--learning-rate 0.001 trains with that one; --clip-norm 1 may help".to_string(),
            }
            .into());
        };
        terminal.say(&format!("learning rate: {found}, found by a test ({})", range(&tried)));
        Ok(Some(RateTest { found, tried }))
    }

    /// Writes the rates with their losses, and a drawing of them.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["learning_rate", "loss", "smoothed_loss"])?;
        for tried in &self.tried {
            let cells = [tried.learning_rate, tried.loss, tried.smoothed_loss];
            writer.write_record(cells.map(|cell| cell.to_string()))?;
        }
        write_whole(&folder.file(TABLE), &writer.into_inner()?)?;
        let points = self.tried.iter().map(|&TriedRate { learning_rate, loss, smoothed_loss, .. }| {
            RatePoint { learning_rate, loss, smoothed_loss }
        });
        write_drawing(folder, DRAWING, &rate_curve(&points.collect::<Vec<_>>(), self.found))
    }
}

/// What the first process found: it counts for all.
fn of_first(found: Option<f64>, group: &Group) -> Result<Option<f64>> {
    let text = found.map_or(String::new(), |rate| rate.to_string());
    let text = String::from_utf8(group.bytes_of_first(text.as_bytes())?)?;
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some).context("the learning rate of the first process")
    }
}

/// `1e-6 to 0.5 in 83 steps`.
fn range(tried: &[TriedRate]) -> String {
    let ends = tried.first().zip(tried.last());
    // With two digits, and as people write them: 1e-6, 0.5, 10.
    let short = |rate: f64| {
        let rounded: f64 = format!("{rate:.1e}").parse().unwrap_or(rate);
        if rounded < 1e-3 { format!("{rounded:e}") } else { rounded.to_string() }
    };
    let ends =
        ends.map(|(first, last)| format!("{} to {}", short(first.learning_rate), short(last.learning_rate)));
    format!("{} in {} steps", ends.unwrap_or_default(), tried.len())
}
