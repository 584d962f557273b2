//! The options of `train`, declared: flags, and names in a TOML file. A new option is its field, its row in
//! [`OPTIONS`](super::OPTIONS), its default, and the check in [`config`](crate::config).

use super::choices::{ModeOption, OptimizerOption, RateOption, ScheduleOption, StoppingOption};
use super::{DataOptions, OneOf};
use crate::precision::Precision;
use crate::progress::ProgressKind;
use clap::Args;
use fitch::data::Missing;
use fitch::data::split::SplitMethod;
use fitch::model::{layers_usage, presets::PRESETS};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;
use std::sync::LazyLock;

pub const EXAMPLES: &str = "\
Examples:
  fitch train                          the built-in digits, a few seconds
  fitch train mnist -d cuda            MNIST on a GPU, downloaded once
  fitch train ./images --model cnn     a folder with a folder for each class
  fitch train ./images --model net.pt  a network from torchvision or timm: fitch help photos
  fitch train --layers 'dense 100, tanh' --monitor val_accuracy --patience 10
  fitch train --resume runs/NAME       continue an interrupted run
  fitch train --repeat runs/NAME       train with its options once more
  fitch train --processes 4 -o runs/job --resume-if-any
                                       start it in 4 processes, or continue it

Exit codes: 0 done; 1 failed; 2 wrong usage; 130 interrupted, with everything trained so far saved.";

static LAYERS_HELP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "Hidden layers instead of a named network: {}. fitch adds the classifier (dense CLASSES, softmax) \
         [default: {}]",
        layers_usage(),
        PRESETS[0].layers
    )
});

/// Every option of `train`, as flags and, under the same names, in a TOML file.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// digits (built in), mnist, fashion-mnist, kmnist (downloaded once), or a path to your own data: a
    /// folder with one folder of images per class; a folder of IDX files, raw or .gz; CSV rows of pixels with
    /// a label, .csv or .csv.gz; a NumPy archive with x_train, y_train, x_test, y_test, .npz; Parquet files
    /// of images with a label, .parquet [default: digits]
    #[arg(value_name = "DATA")]
    #[serde(skip)]
    pub data_argument: Option<String>,

    /// The names of the options that `none` is given for: off, wherever they are on.
    #[arg(skip)]
    #[serde(skip)]
    pub off: Vec<String>,

    /// The data as an option, the same as DATA [default: digits]
    #[arg(long, value_name = "NAME or PATH", help_heading = "Data")]
    pub dataset: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    pub data: DataOptions,

    /// Validation images in any format of --dataset, instead of a share of the training set
    /// [default: the data set's own, such as a folder val, else none]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub validation: Option<String>,

    /// Share of the training set held out for validation, from 0 (none) to below 1 [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Data", allow_negative_numbers = true)]
    pub validation_split: Option<f64>,

    /// Hold out fold I of K for validation instead of a share, such as 2/5: the K folds together hold out every
    /// training image once [default: none]
    #[arg(long, value_name = "I/K", help_heading = "Data", allow_hyphen_values = true)]
    pub fold: Option<String>,

    /// How to choose the validation share: in proportion to the classes, at random, or the last images of the
    /// file as Keras does [default: stratified]
    #[arg(long, value_name = "METHOD", help_heading = "Data")]
    pub split: Option<OneOf<SplitMethod>>,

    /// Train on N images only, after the split's shuffle [default: all]
    #[arg(long, value_name = "N", help_heading = "Data", allow_negative_numbers = true)]
    pub limit: Option<i64>,

    /// Leave training images out that are also validation or test images, and all but one of identical ones: the
    /// first, or none if their labels differ [default: false]
    #[arg(long, help_heading = "Data", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub drop_duplicates: Option<bool>,

    /// The network: mlp, two dense layers; cnn, a small convolutional network; a TOML file with
    /// layers = ["dense 512", "relu", ...]; or a network of PyTorch's in TorchScript (a file with code: only
    /// from people you trust) [default: mlp]
    #[arg(long, value_name = "NAME or FILE", help_heading = "Model")]
    pub model: Option<String>,

    #[arg(long, value_name = "LAYERS", help_heading = "Model", help = LAYERS_HELP.as_str())]
    #[serde(deserialize_with = "text_or_list")]
    pub layers: Option<String>,

    /// Start from weights that are there already: those of a run folder, a .safetensors file, a TorchScript file
    /// or a dictionary of tensors that torch.save wrote, by name and shape [default: none]
    #[arg(long, value_name = "RUN or FILE", help_heading = "Model")]
    pub weights: Option<String>,

    /// Leave parameters as they are: patterns of names, such as conv2d_* or dense_1.bias, or all-but-last for all
    /// but those of the last layer [default: none]
    #[arg(long, value_name = "NAMES", help_heading = "Model")]
    pub freeze: Option<String>,

    /// Normalise images by channel, pixels from 0 to 1: imagenet, auto for the training images, or MEAN/STD such
    /// as 0.5/0.25 or 0.49,0.48,0.45/0.25,0.24,0.26 [default: none]
    #[arg(long, value_name = "WAY", help_heading = "Model")]
    pub normalize: Option<String>,

    /// Maximum number of epochs [default: 100]
    #[arg(short = 'e', long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub epochs: Option<i64>,

    /// Images per batch [default: 128]
    #[arg(short = 'b', long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub batch_size: Option<i64>,

    /// Add up the gradients of N batches before each step, as of one batch N times as large [default: 1]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub accumulate: Option<i64>,

    /// The optimizer's learning rate, or auto for one that is found by trying many before training
    /// [default: 0.001]
    #[arg(short = 'l', long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub learning_rate: Option<RateOption>,

    /// The optimizer [default: adam]
    #[arg(long, value_name = "KIND", help_heading = "Training")]
    pub optimizer: Option<OptimizerOption>,

    /// Weight decay: decoupled with adamw, otherwise added to the gradients (L2) [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub weight_decay: Option<f64>,

    /// The momentum of sgd and rmsprop [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub momentum: Option<f64>,

    /// Clip the gradients to this global norm [default: never]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub clip_norm: Option<f64>,

    /// Validate and keep an exponential mean of the weights instead of the weights: mean = X * mean + (1 - X) *
    /// weights after each step, such as 0.999; smaller in the first steps [default: none]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub ema: Option<f64>,

    /// Share of each label to spread over all classes, in the training loss only [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    pub label_smoothing: Option<f64>,

    /// Weights of the classes in the training loss: balanced, in inverse proportion to their image counts; of
    /// some classes by name, such as cat=2,dog=0.5; or of each in order, such as 1,1,5 [default: 1 each]
    #[arg(long, value_name = "WEIGHTS", help_heading = "Training")]
    pub class_weights: Option<String>,

    /// Change the training images at random at each step: shift, rotate, zoom, flip, crop, colour, erase,
    /// mixup, cutmix, each with an optional number, such as shift,rotate 15; photos is flip, crop, colour and
    /// erase; digits is shift, rotate and zoom [default: none]
    #[arg(long, value_name = "CHANGES", help_heading = "Training")]
    pub augment: Option<String>,

    /// The precision of the layers in training: float32; tf32, faster and less exact, on CUDA devices only;
    /// or bf16 (bfloat16), faster also on CPUs with AVX-512 BF16. Weights, Adam's moments, the loss and every
    /// evaluation stay float32 [default: float32]
    #[arg(long, value_name = "TYPE", help_heading = "Training")]
    pub precision: Option<Precision>,

    /// More metrics to record for each epoch: f1, precision, recall, balanced_accuracy, auc, mcc, kappa, brier and
    /// top3 or any other top K, with commas between them; means over the classes, as scikit-learn computes them
    /// [default: none, accuracy and loss are always there]
    #[arg(long, value_name = "NAMES", help_heading = "Training")]
    #[serde(deserialize_with = "text_or_list")]
    pub metrics: Option<String>,

    /// Seed of the split, the initial weights, the order of images and dropout [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub seed: Option<i64>,

    /// Stop training after this time, such as 90s, 10m or 2h [default: none]
    #[arg(long, value_name = "DURATION", help_heading = "Training")]
    pub time_limit: Option<String>,

    /// The metric to watch: val_loss, val_accuracy, loss, accuracy, or one of --metrics, such as val_f1
    /// [default: val_loss]
    #[arg(long, value_name = "METRIC", help_heading = "Early stopping")]
    pub monitor: Option<String>,

    /// Stop after N epochs without improvement (with --stopping theano: N steps, 10000) [default: 5]
    #[arg(long, value_name = "N", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub patience: Option<i64>,

    /// Smallest change that counts as an improvement [default: 0]
    #[arg(long, value_name = "X", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub min_delta: Option<f64>,

    /// Improvements reset the patience only once the metric is better than this [default: none]
    #[arg(long, value_name = "X", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub baseline: Option<f64>,

    /// Ignore the first N epochs [default: 0]
    #[arg(long, value_name = "N", help_heading = "Early stopping", allow_negative_numbers = true)]
    pub start_from_epoch: Option<i64>,

    /// Whether lower (min) or higher (max) is better; auto goes by the metric [default: auto]
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

    /// Keep the final weights instead of the best epoch's [default: false]
    #[arg(long, help_heading = "Early stopping", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub keep_last_weights: Option<bool>,

    /// Train for all epochs and keep the final weights [default: false]
    #[arg(long, help_heading = "Early stopping", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub no_early_stopping: Option<bool>,

    /// The learning-rate schedule: constant; cosine, down to --final-learning-rate; step, multiplied by
    /// --schedule-factor every --schedule-step epochs; one-cycle, up and down [default: constant]
    #[arg(long, value_name = "SCHEDULE", help_heading = "Learning rate")]
    pub schedule: Option<ScheduleOption>,

    /// Raise the learning rate linearly from 0 over the first N epochs [default: 0]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub warm_up: Option<i64>,

    /// The learning rate at the end of a cosine [default: 0]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub final_learning_rate: Option<f64>,

    /// Epochs between the steps of --schedule step [default: 10]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub schedule_step: Option<i64>,

    /// Factor of each step of --schedule step [default: 0.1]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub schedule_factor: Option<f64>,

    /// Reduce the learning rate after N epochs without improvement of the monitored metric [default: never]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_patience: Option<i64>,

    /// Factor of each reduction on a plateau [default: 0.1]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_factor: Option<f64>,

    /// Smallest change that counts as an improvement [default: 0.0001]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_min_delta: Option<f64>,

    /// Epochs to wait after a reduction before counting again [default: 0]
    #[arg(long, value_name = "N", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub plateau_cooldown: Option<i64>,

    /// Lowest learning rate on a plateau [default: 0]
    #[arg(long, value_name = "X", help_heading = "Learning rate", allow_negative_numbers = true)]
    pub min_learning_rate: Option<f64>,

    /// cpu, cuda:N, cuda for the GPU with the most free memory, or auto: that one, else the CPU
    /// [default: auto]
    #[arg(short = 'd', long, value_name = "DEVICE", help_heading = "Machine")]
    pub device: Option<String>,

    /// CPU threads of each process [default: one a core]
    #[arg(long, value_name = "N", help_heading = "Machine", allow_negative_numbers = true)]
    pub threads: Option<i64>,

    /// Train in N processes on this machine, which share each batch; torchrun, srun and mpirun can start them
    /// too, on one machine or many [default: 1]
    #[arg(long, value_name = "N", help_heading = "Machine", allow_negative_numbers = true)]
    pub processes: Option<i64>,

    /// Cut each batch into N shards, a multiple of the processes: 4 shards give the same result, byte for byte,
    /// in 1, 2 or 4 processes on CPUs [default: one for each process at the first start]
    #[arg(long, value_name = "N", help_heading = "Training", allow_negative_numbers = true)]
    pub shards: Option<i64>,

    /// How long a process waits for the others before it gives up [default: 30m]
    #[arg(long, value_name = "DURATION", help_heading = "Machine")]
    pub peer_timeout: Option<String>,

    /// Continue a run from its newest checkpoint, with its options; --epochs, --patience, --time-limit,
    /// --device, --threads, --processes, --peer-timeout, --progress, --data-dir, --checkpoint-every and --keep may
    /// change [default: none]
    #[arg(long, value_name = "RUN", help_heading = "Checkpoints")]
    #[serde(skip)]
    pub resume: Option<PathBuf>,

    /// Start the run in --out, which must be given, or continue it if it has begun: the same command line each
    /// time, for jobs that are started anew [default: false]
    #[arg(long, help_heading = "Checkpoints", conflicts_with = "resume")]
    #[serde(skip)]
    pub resume_if_any: bool,

    /// Train as a run was trained, with its options and into a new folder; options that are given win
    /// [default: none]
    #[arg(long, value_name = "RUN", help_heading = "Checkpoints",
          conflicts_with_all = ["resume", "resume_if_any", "config"])]
    #[serde(skip)]
    pub repeat: Option<PathBuf>,

    /// Also write checkpoints within epochs, every N steps (500) or after a time (10m) [default: never]
    #[arg(long, value_name = "N or DURATION", help_heading = "Checkpoints")]
    pub checkpoint_every: Option<String>,

    /// Number of checkpoints to keep [default: 2]
    #[arg(long, value_name = "N", help_heading = "Checkpoints", allow_negative_numbers = true)]
    pub keep: Option<i64>,

    /// The run folder; it must be new or empty [default: runs/DATASET-TIME]
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,

    /// Separator in history.csv: a comma, a semicolon or tab [default: ,]
    #[arg(long, value_name = "SIGN", help_heading = "Output")]
    pub csv_separator: Option<String>,

    /// Decimal sign in history.csv: a point or a comma [default: .]
    #[arg(long, value_name = "SIGN", help_heading = "Output")]
    pub csv_decimal: Option<String>,

    /// Show a bar for each epoch, a line for each epoch, or nothing; auto is a bar in a terminal and lines
    /// elsewhere [default: auto]
    #[arg(long, value_name = "STYLE", help_heading = "Output")]
    pub progress: Option<ProgressKind>,

    /// A TOML file with options under these names; flags win [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

impl TrainOptions {
    /// What `train` does unless told otherwise; none if there is no default or if it is detected.
    pub fn defaults() -> TrainOptions {
        TrainOptions {
            dataset: Some("digits".to_string()),
            data: DataOptions {
                skip_bad: Some(false),
                test_split: Some(0.1),
                missing: Some(OneOf(Missing::Error)),
                ..DataOptions::default()
            },
            validation_split: Some(0.1),
            split: Some(OneOf(SplitMethod::Stratified)),
            layers: Some(PRESETS[0].layers.to_string()),
            epochs: Some(100),
            batch_size: Some(128),
            learning_rate: Some(RateOption::Rate(0.001)),
            optimizer: Some(OptimizerOption::Adam),
            weight_decay: Some(0.0),
            momentum: Some(0.0),
            label_smoothing: Some(0.0),
            precision: Some(Precision::Float32),
            seed: Some(0),
            monitor: Some("val_loss".to_string()),
            patience: Some(5),
            min_delta: Some(0.0),
            start_from_epoch: Some(0),
            mode: Some(ModeOption::Auto),
            check_finite: Some(false),
            stopping: Some(StoppingOption::Patience),
            keep_last_weights: Some(false),
            no_early_stopping: Some(false),
            schedule: Some(ScheduleOption::Constant),
            warm_up: Some(0),
            final_learning_rate: Some(0.0),
            schedule_step: Some(10),
            schedule_factor: Some(0.1),
            plateau_factor: Some(0.1),
            plateau_min_delta: Some(0.0001),
            plateau_cooldown: Some(0),
            min_learning_rate: Some(0.0),
            device: Some("auto".to_string()),
            processes: Some(1),
            peer_timeout: Some("30m".to_string()),
            keep: Some(2),
            csv_separator: Some(",".to_string()),
            csv_decimal: Some(".".to_string()),
            progress: Some(ProgressKind::Auto),
            ..TrainOptions::default()
        }
    }
}

/// Layers and metrics in a file are one text or, as in a file for `--model`, a list.
fn text_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a string or a list of strings")]
    enum TextOrList {
        Text(String),
        List(Vec<String>),
    }
    Ok(Option::deserialize(deserializer)?.map(|given| match given {
        TextOrList::Text(text) => text,
        TextOrList::List(list) => list.join(", "),
    }))
}
