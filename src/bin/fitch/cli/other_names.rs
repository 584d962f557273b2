//! What users of Keras, Lightning, YOLO and PyTorch's scripts type: names of their own for the same options,
//! which work and are not shown, and options that are something else here, with what to type instead.

use clap::{Arg, Command};

/// Options under other names that mean exactly the same, in every command that has them.
const SAME: &[(&str, &[&str])] = &[
    ("dataset", &["data"]),
    ("validation", &["validation-data", "val-data"]),
    ("validation_split", &["val-split"]),
    ("model", &["arch"]),
    ("epochs", &["max-epochs", "num-epochs"]),
    ("batch_size", &["batch", "bs"]),
    ("accumulate", &["accumulate-grad-batches", "gradient-accumulation-steps", "grad-accum-steps"]),
    ("learning_rate", &["lr", "lr0"]),
    ("optimizer", &["optim"]),
    ("weight_decay", &["wd"]),
    ("clip_norm", &["gradient-clip-val", "global-clipnorm", "max-grad-norm"]),
    ("class_weights", &["class-weight"]),
    ("ema", &["ema-momentum", "ema-decay", "model-ema-decay"]),
    ("seed", &["random-seed", "seed-everything"]),
    ("schedule", &["scheduler", "lr-schedule", "lr-scheduler"]),
    ("warm_up", &["warmup", "warmup-epochs"]),
    ("out", &["output", "output-dir", "out-dir"]),
    ("to", &["output", "out"]),
];

/// Options of other programs that are something else in `fitch train`.
const ELSE: &[(&[&str], &str)] = &[
    (&["imgsz", "img-size", "image-sizes"], "--image-size 28x28 scales images to a height and a width"),
    (
        &["workers", "num-workers"],
        "there are no workers that read data; --threads N sets the CPU threads that compute",
    ),
    (
        &["devices", "gpus", "num-gpus", "nproc-per-node"],
        "--device cuda:1 chooses a GPU; --processes N trains on N of them",
    ),
    (&["accelerator", "cuda", "gpu", "use-cuda"], "--device cuda trains on a GPU, --device cpu on the CPU"),
    (&["cpu", "no-cuda", "no-accel"], "--device cpu trains on the CPU"),
    (&["verbose", "quiet", "silent"], "--progress bar, lines or none chooses what is shown"),
    (
        &["amp", "fp16", "half", "bf16", "mixed-precision"],
        "--precision bf16 computes layers in bfloat16; there is no float16",
    ),
    (
        &[
            "mixup",
            "cutmix",
            "hflip",
            "fliplr",
            "color-jitter",
            "reprob",
            "random-erase",
            "erasing",
            "auto-augment",
            "aa",
        ],
        "--augment photos, or flip,crop,colour,erase,mixup 0.2,cutmix 1, changes the training images",
    ),
    (&["crop-pct", "resize-mode", "crop-mode", "rect"], "--fit pad or crop keeps the proportions of images"),
    (&["cos-lr", "cosine"], "--schedule cosine lowers the learning rate along a cosine"),
    (
        &["lrf", "min-lr", "eta-min"],
        "--final-learning-rate X is where --schedule cosine ends, as a learning rate; --min-learning-rate X \
         is the lowest one on a plateau",
    ),
    (
        &["gamma", "step-size", "lr-step-size", "lr-gamma"],
        "--schedule step multiplies the learning rate by --schedule-factor X every --schedule-step N epochs",
    ),
    (
        &["clipnorm", "clipvalue", "clip-grad"],
        "--clip-norm X limits the norm of all gradients together, as Keras's global_clipnorm does",
    ),
    (
        &["restore-best-weights", "save-best", "save-best-only"],
        "the weights of the best epoch are restored anyway; --keep-last-weights keeps the final ones",
    ),
    (
        &["early-stopping", "early-stopping-patience"],
        "--patience N is how long early stopping waits; --no-early-stopping turns it off",
    ),
    (
        &["name", "project", "save-dir", "log-dir", "logdir", "default-root-dir"],
        "--out DIR names the folder of the run, with its logs and checkpoints",
    ),
    (
        &["checkpoint", "ckpt-path", "load", "resume-from-checkpoint"],
        "--resume RUN continues a run from its newest checkpoint; --weights RUN starts anew from its weights",
    ),
    (
        &["pretrained", "initial-checkpoint", "fine-tune", "finetune"],
        "--weights FILE starts from weights that are there; --model FILE takes a network with those that it has",
    ),
    (&["mean", "std"], "--normalize MEAN/STD normalises the channels of images"),
    (
        &["dropout", "hidden", "hidden-size", "units", "activation"],
        "layers are written one after the other: --layers 'dense 128, relu, dropout 0.2'",
    ),
    (&["fraction", "limit-train-batches", "max-train-samples"], "--limit N trains on N images only"),
    (&["max-steps", "max-time", "steps-per-epoch"], "--epochs N or --time-limit 10m limits a training"),
    (&["shuffle", "no-shuffle"], "the training images are shuffled anew for each epoch"),
    (
        &["loss"],
        "the loss is cross-entropy; --metrics records more than it and accuracy, and --monitor chooses what decides",
    ),
    (
        &["test-data", "test", "val"],
        "--validation PATH takes validation images; a folder named test holds the test set",
    ),
    (&["num-classes", "classes-count"], "the classes come from the data; --classes NAMES uses some of them"),
];

/// The option as it is named, which other names and underscores reach, too.
pub fn with_other_names(option: Arg) -> Arg {
    let Some(long) = option.get_long().map(str::to_string) else { return option };
    let same = SAME.iter().filter(|(id, _)| *id == option.get_id().as_str()).flat_map(|(_, names)| *names);
    let others: Vec<String> = same.map(|name| name.to_string()).filter(|name| *name != long).collect();
    let underscored: Vec<String> = std::iter::once(&long)
        .chain(&others)
        .filter(|name| name.contains('-'))
        .map(|name| name.replace('-', "_"))
        .collect();
    option.aliases(others).aliases(underscored)
}

/// The name of the option of `train` that others call so.
pub fn same_as(name: &str) -> Option<String> {
    let found = SAME.iter().find(|(_, others)| others.contains(&name));
    found.map(|(id, _)| id.replace('_', "-"))
}

/// What to type in place of an option of another program, such as `imgsz`.
pub fn instead_of(command: &Command, name: &str) -> Option<&'static str> {
    let name = name.replace('_', "-");
    let found = || ELSE.iter().find(|(others, _)| others.contains(&name.as_str()));
    if command.get_name() == "train" { found().map(|(_, advice)| *advice) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    #[test]
    fn what_is_advised_exists_and_what_it_replaces_does_not() {
        let command = command();
        let train = command.find_subcommand("train").unwrap();
        let has = |name: &str| {
            train.get_arguments().any(|option| {
                option.get_long() == Some(name)
                    || option.get_all_aliases().is_some_and(|names| names.contains(&name))
            })
        };
        for (others, advice) in ELSE {
            others.iter().for_each(|name| assert!(!has(name), "--{name} is an option"));
            let words = advice.split(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
            for name in words.filter_map(|word| word.strip_prefix("--")) {
                assert!(has(name), "--{name} in: {advice}");
            }
        }
        for (id, _) in SAME.iter().filter(|(id, _)| *id != "to") {
            assert!(train.get_arguments().any(|option| option.get_id() == id), "{id}");
        }
    }
}
