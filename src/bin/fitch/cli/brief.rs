//! What `-h` prints: of a command with many options those that most people need, a line each.

use clap::{Arg, Command};

/// The options of `train` in `-h`, in this order. Their defaults are those of `--help`.
const TRAIN: &[(&str, &str)] = &[
    ("data_argument", "digits, mnist, fashion-mnist, kmnist, or a path to your data"),
    ("model", "mlp, cnn, a TOML file of layers, or a TorchScript file"),
    ("layers", "Layers of your own, such as 'dense 128, relu'"),
    ("weights", "Start from the weights of a run or a file"),
    ("epochs", "Maximum number of epochs"),
    ("batch_size", "Images per batch"),
    ("learning_rate", "The learning rate, or auto"),
    ("optimizer", "adam, adamw, sgd or rmsprop"),
    ("schedule", "constant, cosine, step or one-cycle"),
    ("augment", "Random changes to images: photos, digits, or shift,flip and so on"),
    ("validation_split", "Share of images for validation"),
    ("patience", "Epochs to wait for an improvement"),
    ("seed", "Seed of everything random"),
    ("device", "cpu, cuda, cuda:N or auto"),
    ("out", "The run folder"),
    ("resume", "Continue a run"),
    ("config", "A TOML file with options"),
];

/// Notes of more lines are for `--help` only.
const MAX_NOTES: usize = 8;

/// The command as `-h` shows it; it is typed as `path`.
pub fn brief(command: Command, path: &str) -> Command {
    let is_long = command.get_after_help().is_some_and(|notes| notes.to_string().lines().count() > MAX_NOTES);
    let command = match command.get_name() {
        "train" => brief_train(command),
        _ if is_long => command.after_help(format!("`{path} --help` says more.")),
        _ => command,
    };
    // The options below a heading of their own.
    let has_groups = command.get_arguments().any(|option| option.get_help_heading().is_some());
    let command = command.mut_args(|option| {
        let is_of_group = option.get_help_heading().is_some();
        option.hide(is_of_group)
    });
    if has_groups { command.after_help(format!("`{path} --help` lists all options.")) } else { command }
}

/// The options of `train` that most people need, in one list.
fn brief_train(command: Command) -> Command {
    let brief = |option: Arg| {
        let found = TRAIN.iter().enumerate().find(|(_, (id, _))| *id == option.get_id().as_str());
        let Some((index, (id, text))) = found else { return option };
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        // The layers of the default network are many.
        let default = help.rfind(" [default: ").map_or("", |at| &help[at..]);
        let is_short = *id != "layers" && default != " [default: none]";
        let help = format!("{text}{}", if is_short { default } else { "" });
        let option = option.help(help).hide_possible_values(true);
        option.help_heading(None::<&str>).display_order(index)
    };
    command.mut_args(brief)
}
