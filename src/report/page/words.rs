//! What a run was and how it ended, in sentences.

use super::confusion::Confusion;
use super::content::PageContent;
use super::numbers::{count, duration, number};
use crate::metrics::Interval;
use crate::text::counted;

/// The sentences of the summary.
pub(super) fn summary(content: &PageContent) -> Vec<String> {
    let mut sentences = vec![data(content), training(content)];
    sentences.extend(best(content));
    sentences.extend(tested(content));
    sentences.extend(content.confusion.as_ref().and_then(worst));
    sentences
}

fn data(content: &PageContent) -> String {
    let set = &content.record.dataset;
    let size = match set.shape[..] {
        [height, width] => format!("grey images of {height} x {width} pixels"),
        [3, height, width] => format!("colour images of {height} x {width} pixels"),
        [values] => format!("rows of {}", counted(values as usize, "value")),
        _ => "samples".to_string(),
    };
    let classes = format!("{} classes", count(set.classes.len()));
    let validation = match set.validation {
        0 => "no validation set".to_string(),
        validation => format!("{} for validation", count(validation)),
    };
    format!(
        "The data are {}: {size} in {}, {} to train on, {validation}, {} to test with.",
        set.name,
        classes,
        count(set.train),
        count(set.test)
    )
}

fn training(content: &PageContent) -> String {
    let record = content.record;
    let epochs = content.history.epochs.len();
    let ran = counted(epochs, "epoch");
    let model = format!("The model has {}.", counted(record.parameters.max(0) as usize, "parameter"));
    let took = record.seconds.map_or(String::new(), |seconds| format!(" in {}", duration(seconds)));
    let end = match record.stop_reason.as_deref() {
        None => format!("Training has not ended; {ran} so far."),
        Some("completed") => format!("It was trained for {ran}{took}, as many as were asked for."),
        Some("early_stopping") => {
            format!("It was trained for {ran}{took}, until {} no longer improved.", record.monitor)
        }
        Some("interrupted") => format!("Training was interrupted after {ran}{took}."),
        Some("time_limit") => format!("Training reached its time limit after {ran}{took}."),
        Some("non_finite") => format!("Training diverged after {ran}{took}."),
        Some(other) => format!("Training ended after {ran}{took} ({other})."),
    };
    format!("{model} {end}")
}

fn best(content: &PageContent) -> Option<String> {
    let record = content.record;
    let (epoch, value) = (record.best_epoch?, record.best_value?);
    let weights = match record.weights_epoch {
        Some(saved) if saved == epoch => "; its weights were saved".to_string(),
        Some(saved) => format!("; the weights of epoch {saved} were saved"),
        None => String::new(),
    };
    Some(format!("The best epoch was {epoch}, with {} {}{weights}.", record.monitor, number(value)))
}

fn tested(content: &PageContent) -> Option<String> {
    let record = content.record;
    let interval = record.test_accuracy_interval?;
    let percent = Interval { low: 100.0 * interval.low, high: 100.0 * interval.high };
    let loss = record.test_loss_interval;
    let loss = loss.map_or(String::new(), |interval| format!(", that of the test loss {interval:.4}"));
    let others = record.test_metrics.iter().map(|(name, value)| {
        let interval = record.test_metric_intervals.get(name);
        let interval = interval.map_or(String::new(), |interval| format!(" ({interval:.4})"));
        format!(" The test {name} is {value:.4}{interval}.")
    });
    Some(format!(
        "With {} images to test with, the 95 % interval of the test accuracy is {percent:.2} %{loss}.{}",
        count(record.dataset.test),
        others.collect::<String>()
    ))
}

fn worst(confusion: &Confusion) -> Option<String> {
    let &(truth, predicted, count) = confusion.pairs().first()?;
    let class = |class: usize| &confusion.classes[class];
    Some(format!(
        "The most frequent mistake on the test set: {} predicted as {}, {}.",
        class(truth),
        class(predicted),
        counted(count as usize, "time")
    ))
}
