//! The options of `train`: flags, and names in a TOML file.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  fitch train                                   the built-in digits, a few seconds
  fitch train --dataset mnist --device cuda     MNIST, fetched once, on a GPU
  fitch train --dataset ./pictures --model cnn  a folder of pictures for each class
  fitch train --layers 'dense 100, tanh' --monitor val_accuracy --patience 10
  fitch train --resume runs/NAME                go on where it was interrupted

Exit codes: 0 done; 1 failed; 2 wrong usage; 130 interrupted, with what was trained saved.";

/// Every option of `train`, as flags and, under the same names, in a TOML file.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// digits (built in), mnist, fashion-mnist, kmnist (fetched once), or one's own: a folder of pictures, in a
    /// folder for each class, or of IDX files, raw or .gz; CSV rows of pixels with a label, .csv or .csv.gz; a
    /// NumPy archive of x_train, y_train, x_test, y_test, .npz; Parquet of pictures with a label, .parquet
    /// [default: digits]
    #[arg(long, value_name = "NAME or PATH", help_heading = "Data")]
    pub dataset: Option<String>,

    /// Where fetched sets are kept, as DIR/mnist/train-images-idx3-ubyte[.gz] and so on
    /// [default: FITCH_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub data_dir: Option<PathBuf>,

    /// The form of what lies at a path, where that is not plain [default: found out]
    #[arg(long, value_name = "FORM", help_heading = "Data")]
    pub data_format: Option<FormatOption>,

    /// Height and width that pictures of several sizes are stretched to, such as 28x28 [default: none]
    #[arg(long, value_name = "HxW", help_heading = "Data")]
    pub image_size: Option<String>,

    /// Leave out pictures that cannot be read, and tell their number [default: false]
    #[arg(long, help_heading = "Data", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub skip_bad: Option<bool>,

    /// Share of each class kept apart for the test where the data have no test set; always the same images
    /// [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Data", allow_negative_numbers = true)]
    pub test_split: Option<f64>,

    /// The column of a table that has the labels, by its name or its number from 0 [default: the one called
    /// label or class, else the first]
    #[arg(long, value_name = "NAME or N", help_heading = "Data")]
    pub label_column: Option<String>,

    /// Take only these classes, by their names, such as cat,dog [default: all]
    #[arg(long, value_name = "NAMES", help_heading = "Data")]
    pub classes: Option<String>,

    /// Images to validate with, in any of the forms of --dataset, instead of a share of the training set
    /// [default: those that the data set has of its own, such as a folder val, else none]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub validation: Option<String>,

    /// Share of the training set held out for validation, from 0 (none) to below 1 [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Data", allow_negative_numbers = true)]
    pub validation_split: Option<f64>,

    /// How it is chosen: each class in proportion, at random, or the last of the file as in Keras
    /// [default: stratified]
    #[arg(long, value_name = "METHOD", help_heading = "Data", hide_possible_values = false)]
    pub split: Option<SplitOption>,

    /// Use the first N training images after the split's shuffle [default: all]
    #[arg(long, value_name = "N", help_heading = "Data", allow_negative_numbers = true)]
    pub limit: Option<i64>,

    /// The network: mlp, the reference network; cnn, a small convolutional one; or a TOML file with
    /// layers = ["dense 512", "relu", ...] [default: mlp]
    #[arg(long, value_name = "NAME or FILE", help_heading = "Model")]
    pub model: Option<String>,

    /// Its hidden layers instead: dense N, relu, tanh, sigmoid, gelu, dropout P, batchnorm, layernorm; and for
    /// pictures conv2d FILTERS SIZE [stride N] [padding same], maxpool2d N, avgpool2d N, flatten. The classifier
    /// (dense CLASSES, softmax) is added
    /// [default: dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2]
    #[arg(long, value_name = "SPEC", help_heading = "Model")]
    pub layers: Option<String>,

    /// Epochs at most [default: 100]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub epochs: Option<i64>,

    /// Images a step [default: 128]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub batch_size: Option<i64>,

    /// The optimizer's learning rate [default: 0.001]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,

    /// adam; adamw, whose weight decay is decoupled; sgd; or rmsprop [default: adam]
    #[arg(long, value_name = "KIND", help_heading = "Training")]
    pub optimizer: Option<OptimizerOption>,

    /// The weight decay: with adamw a share of the weights at each step, times the learning rate, otherwise of
    /// the gradients (L2) [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub weight_decay: Option<f64>,

    /// The momentum of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub momentum: Option<f64>,

    /// Make the gradients smaller where the norm of all together is greater than this [default: never]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub clip_norm: Option<f64>,

    /// Share of each label that is spread over all classes, in the training loss only [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub label_smoothing: Option<f64>,

    /// What the classes count in the training loss: balanced, in inverse proportion to their images; or a
    /// number for each, in their order, such as 1,1,5 [default: 1 each]
    #[arg(long, value_name = "WEIGHTS", help_heading = "Training")]
    pub class_weights: Option<String>,

    /// Change the training pictures a little at each step: some of shift (share of the side), rotate (degrees)
    /// and zoom (share of the size), such as shift,rotate or shift 0.1,rotate 10,zoom 0.1 [default: none]
    #[arg(long, value_name = "CHANGES", help_heading = "Training")]
    pub augment: Option<String>,

    /// Adam's step: libtorch's fused one, or tch's own to compare with, which is slower and cannot be
    /// resumed [default: fused]
    #[arg(long, value_name = "KIND", help_heading = "Training")]
    pub adam: Option<AdamOption>,

    /// What layers compute in while training: float32; tf32 on CUDA, faster and less exact; or bf16
    /// (bfloat16), on CPUs that have instructions for it, too. Weights, Adam's moments, the loss and
    /// every evaluation are float32 always [default: float32]
    #[arg(long, value_name = "TYPE", help_heading = "Training")]
    pub precision: Option<PrecisionOption>,

    /// Decides the split, the initial weights, the order of images and dropout [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub seed: Option<i64>,

    /// Stop training after this time, such as 90s, 10m or 2h [default: none]
    #[arg(long, value_name = "DURATION", help_heading = "Training")]
    pub time_limit: Option<String>,

    /// The metric that decides: val_loss, val_accuracy, loss or accuracy [default: val_loss]
    #[arg(long, value_name = "METRIC", help_heading = "Early stopping")]
    pub monitor: Option<String>,

    /// Stop after N epochs without improvement (with --stopping theano: N steps, 10000) [default: 5]
    #[arg(long, value_name = "N", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub patience: Option<i64>,

    /// An improvement must be greater than this [default: 0]
    #[arg(long, value_name = "X", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub min_delta: Option<f64>,

    /// Until the metric is better than this, improvements do not reset the patience [default: none]
    #[arg(long, value_name = "X", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub baseline: Option<f64>,

    /// Do not look at the first N epochs [default: 0]
    #[arg(long, value_name = "N", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub start_from_epoch: Option<i64>,

    /// Whether smaller or greater is better; auto knows it of the metric [default: auto]
    #[arg(long, value_name = "MODE", help_heading = "Early stopping")]
    pub mode: Option<ModeOption>,

    /// Stop at once when the metric is better than this [default: none]
    #[arg(long, value_name = "X", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub stopping_threshold: Option<f64>,

    /// Stop at once when the metric is worse than this [default: none]
    #[arg(long, value_name = "X", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub divergence_threshold: Option<f64>,

    /// Stop at once when the metric is NaN or infinite [default: false]
    #[arg(long, help_heading = "Early stopping", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub check_finite: Option<bool>,

    /// The rule: patience as in Keras, or the growing patience of the Theano tutorials
    /// [default: patience]
    #[arg(long, value_name = "RULE", help_heading = "Early stopping")]
    pub stopping: Option<StoppingOption>,

    /// Keep the weights of the end instead of the best epoch's [default: false]
    #[arg(long, help_heading = "Early stopping", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub keep_last_weights: Option<bool>,

    /// Run all epochs and keep the weights of the end [default: false]
    #[arg(long, help_heading = "Early stopping", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub no_early_stopping: Option<bool>,

    /// How the learning rate goes on from step to step: constant; cosine, down to --final-learning-rate; step, by
    /// --schedule-factor every --schedule-step epochs; one-cycle, up and down [default: constant]
    #[arg(long, value_name = "CURVE", help_heading = "Learning rate")]
    pub schedule: Option<ScheduleOption>,

    /// Let it grow from 0 over the first N epochs [default: 0]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub warm_up: Option<i64>,

    /// What a cosine ends with [default: 0]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub final_learning_rate: Option<f64>,

    /// Epochs between two steps of the schedule [default: 10]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub schedule_step: Option<i64>,

    /// What a step multiplies the learning rate with [default: 0.1]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub schedule_factor: Option<f64>,

    /// Lower the learning rate after N epochs in which the monitored metric stands still
    /// [default: never]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_patience: Option<i64>,

    /// By this factor [default: 0.1]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_factor: Option<f64>,

    /// An improvement must be greater than this [default: 0.0001]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_min_delta: Option<f64>,

    /// Epochs after a reduction that are not counted [default: 0]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_cooldown: Option<i64>,

    /// Never go below this learning rate [default: 0]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub min_learning_rate: Option<f64>,

    /// auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Machine")]
    pub device: Option<String>,

    /// Threads on the CPU [default: the machine's cores]
    #[arg(long, value_name = "N", help_heading = "Machine", allow_negative_numbers = true)]
    pub threads: Option<i64>,

    /// Go on with a run from its newest checkpoint. Its options stay; epochs, patience, time limit,
    /// device, threads and what is shown may be given anew [default: none]
    #[arg(long, value_name = "RUN", help_heading = "Checkpoints")]
    #[serde(skip)]
    pub resume: Option<PathBuf>,

    /// Keep a checkpoint within epochs too: every so many steps (500) or after a time (10m)
    /// [default: none]
    #[arg(long, value_name = "N or DURATION", help_heading = "Checkpoints")]
    pub checkpoint_every: Option<String>,

    /// How many checkpoints are kept [default: 2]
    #[arg(long, value_name = "N", help_heading = "Checkpoints", allow_negative_numbers = true)]
    pub keep: Option<i64>,

    /// The run folder; one that holds files is never used [default: runs/DATASET-TIME]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// Between the fields of history.csv: a comma, a semicolon or tab [default: ,]
    #[arg(long, value_name = "SIGN", help_heading = "Output")]
    pub csv_separator: Option<String>,

    /// The decimal sign in history.csv: a point or a comma [default: .]
    #[arg(long, value_name = "SIGN", help_heading = "Output")]
    pub csv_decimal: Option<String>,

    /// What is shown while training: a bar an epoch, a line an epoch, or nothing; auto is a bar in a
    /// terminal and lines elsewhere [default: auto]
    #[arg(long, value_name = "STYLE", help_heading = "Output")]
    pub progress: Option<ProgressOption>,

    /// A TOML file of these options under the same names; flags win [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FormatOption {
    Idx,
    Pictures,
    Csv,
    Npz,
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitOption {
    Stratified,
    Shuffled,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerOption {
    Adam,
    #[value(name = "adamw")]
    AdamW,
    Sgd,
    #[value(name = "rmsprop")]
    RmsProp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleOption {
    Constant,
    Cosine,
    Step,
    OneCycle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdamOption {
    Fused,
    Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionOption {
    Float32,
    Tf32,
    Bf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeOption {
    Auto,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoppingOption {
    Patience,
    Theano,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressOption {
    Auto,
    Bar,
    Lines,
    None,
}
