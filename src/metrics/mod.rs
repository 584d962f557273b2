//! What is measured while training: losses and metrics, their means over all samples of an epoch, the history
//! of epochs, and the confusion matrix. The room knows nothing of files or layers.

mod better;
mod calibration;
mod class_counts;
mod class_metric;
mod class_ranking;
mod classification;
mod confusion_matrix;
mod history;
mod loss;
mod mean_interval;
mod metric;
mod running_means;
mod temperature;

pub use better::Better;
pub use calibration::{Calibration, CalibrationBin};
pub use class_counts::{ClassCounts, ClassScores};
pub use class_metric::ClassMetric;
pub use classification::{Classification, Resampling};
pub use confusion_matrix::ConfusionMatrix;
pub use history::{EpochRecord, History};
pub use loss::Loss;
pub use mean_interval::MeanInterval;
pub use metric::Metric;
pub(crate) use running_means::{RunningMeans, Sums};
pub use temperature::{ProbabilityFit, Temperature};

#[cfg(test)]
mod tests;
