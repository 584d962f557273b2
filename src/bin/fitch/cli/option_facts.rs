//! What is true of each option of `train` beyond its declaration: whether it may change, and whose it is.

/// What is true of an option beyond its declaration.
#[derive(Clone, Copy, Debug)]
pub struct OptionFacts {
    /// The name of the field, as run.json has it.
    pub name: &'static str,
    /// Whether a run that is resumed may have another value.
    pub may_change: bool,
    /// Whether it belongs to the machine and the user, so that an exported model does not mention it.
    pub is_of_machine: bool,
}

impl OptionFacts {
    /// As users write it: `learning-rate`.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// An option that decides what the model becomes.
const fn model(name: &'static str) -> OptionFacts {
    OptionFacts { name, may_change: false, is_of_machine: false }
}

/// An option that decides how long to train.
const fn length(name: &'static str) -> OptionFacts {
    OptionFacts { name, may_change: true, is_of_machine: false }
}

/// An option of the machine that a run keeps.
const fn fixed(name: &'static str) -> OptionFacts {
    OptionFacts { name, may_change: false, is_of_machine: true }
}

/// An option of the machine that may change between one start and the next.
const fn machine(name: &'static str) -> OptionFacts {
    OptionFacts { name, may_change: true, is_of_machine: true }
}

/// All options that are recorded and that files may have, which excludes `--resume`, `--repeat`, `--config` and the
/// argument DATA, which is `--dataset`.
pub const OPTIONS: &[OptionFacts] = &[
    fixed("dataset"),
    machine("data_dir"),
    model("data_format"),
    model("image_size"),
    model("fit"),
    model("skip_bad"),
    model("test_split"),
    model("label_column"),
    model("group_column"),
    model("group_pattern"),
    model("missing"),
    model("pixel_order"),
    model("classes"),
    model("maximum"),
    model("transpose"),
    fixed("validation"),
    model("validation_split"),
    model("fold"),
    model("split"),
    model("limit"),
    model("drop_duplicates"),
    model("model"),
    model("layers"),
    fixed("weights"),
    model("freeze"),
    model("normalize"),
    length("epochs"),
    model("batch_size"),
    model("accumulate"),
    model("learning_rate"),
    model("optimizer"),
    model("weight_decay"),
    model("momentum"),
    model("clip_norm"),
    model("ema"),
    model("label_smoothing"),
    model("class_weights"),
    model("augment"),
    model("precision"),
    model("metrics"),
    model("seed"),
    machine("time_limit"),
    model("monitor"),
    length("patience"),
    model("min_delta"),
    model("baseline"),
    model("start_from_epoch"),
    model("mode"),
    model("stopping_threshold"),
    model("divergence_threshold"),
    model("check_finite"),
    model("stopping"),
    model("keep_last_weights"),
    model("no_early_stopping"),
    model("schedule"),
    model("warm_up"),
    model("final_learning_rate"),
    model("schedule_step"),
    model("schedule_factor"),
    model("plateau_patience"),
    model("plateau_factor"),
    model("plateau_min_delta"),
    model("plateau_cooldown"),
    model("min_learning_rate"),
    machine("device"),
    machine("threads"),
    machine("processes"),
    model("shards"),
    machine("peer_timeout"),
    machine("checkpoint_every"),
    machine("keep"),
    fixed("out"),
    fixed("csv_separator"),
    fixed("csv_decimal"),
    machine("progress"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_table_has_exactly_the_options_that_are_declared() {
        let command = crate::cli::Cli::command();
        let train = command.find_subcommand("train").unwrap();
        let ids = train.get_arguments().map(|argument| argument.get_id().as_str());
        let declared: Vec<&str> = ids
            .filter(|id| {
                !["help", "data_argument", "resume", "resume_if_any", "repeat", "config"].contains(id)
            })
            .collect();
        let known: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
        assert_eq!(known, declared);
        for name in known {
            let argument = train.get_arguments().find(|argument| argument.get_id() == name).unwrap();
            assert_eq!(argument.get_long().unwrap().replace('-', "_"), name);
        }
    }

    #[test]
    fn help_of_resume_names_what_may_change() {
        let command = crate::cli::Cli::command();
        let train = command.find_subcommand("train").unwrap();
        let resume = train.get_arguments().find(|argument| argument.get_id() == "resume").unwrap();
        let help = resume.get_help().unwrap().to_string();
        for option in OPTIONS {
            assert_eq!(help.contains(&format!("--{}", option.flag())), option.may_change, "{}", option.name);
        }
    }
}
