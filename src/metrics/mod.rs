//! What is measured while training: losses and metrics, their means over all samples of an epoch, the history
//! of epochs, the confusion matrix, and how sure results are. The room knows nothing of files or layers.

mod better;
mod bootstrap;
mod calibration;
mod class_counts;
mod class_metric;
mod class_ranking;
mod classification;
mod confusion_matrix;
mod history;
mod interval;
mod loss;
mod mcnemar;
mod mean_interval;
mod metric;
mod metric_intervals;
mod running_means;
mod suspects;
mod temperature;

pub use better::Better;
pub use bootstrap::Bootstrap;
pub use calibration::{Calibration, CalibrationBin};
pub use class_counts::{ClassCounts, ClassScores};
pub use class_metric::ClassMetric;
pub use classification::{Classification, Resampling};
pub use confusion_matrix::ConfusionMatrix;
pub use history::{EpochRecord, History};
pub use interval::Interval;
pub use loss::Loss;
pub use mcnemar::{McNemar, holm};
pub use mean_interval::MeanInterval;
pub use metric::Metric;
pub(crate) use running_means::{RunningMeans, Sums};
pub use suspects::Suspect;
pub use temperature::{ProbabilityFit, Temperature};

#[cfg(test)]
mod tests;
