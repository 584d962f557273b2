//! `fitch help`: the guides of `src/guide`, and what clap says of each command.

use crate::cli::{self, HelpOptions};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::Result;
use clap::error::ErrorKind;
use std::fmt::Write;

/// A guide that the program carries with it.
struct Topic {
    name: &'static str,
    about: &'static str,
    text: &'static str,
}

/// In the order in which a newcomer reads them.
const TOPICS: [Topic; 7] = [
    Topic {
        name: "training",
        about: "every option of `fitch train`, by group",
        text: include_str!("../../../guide/training.md"),
    },
    Topic {
        name: "data",
        about: "the data formats in detail, splits and the cache",
        text: include_str!("../../../guide/data.md"),
    },
    Topic {
        name: "keras",
        about: "from a Keras script to fitch, line by line",
        text: include_str!("../../../guide/keras.md"),
    },
    Topic {
        name: "photos",
        about: "networks from torchvision and timm, trained on your own photographs",
        text: include_str!("../../../guide/photos.md"),
    },
    Topic {
        name: "library",
        about: "fit any tch module from a Rust program",
        text: include_str!("../../../guide/library.md"),
    },
    Topic {
        name: "performance",
        about: "how fast it is, how that was measured, what made it so",
        text: include_str!("../../../guide/performance.md"),
    },
    Topic {
        name: "contributing",
        about: "the rooms of the source, running one test, adding a layer or a format",
        text: include_str!("../../../guide/contributing.md"),
    },
];

/// Prints the overview, a guide, or the help of a command.
pub fn run(options: &HelpOptions, terminal: &Terminal) -> Result<Exit> {
    let topic = |word: &String| TOPICS.iter().find(|topic| topic.name == word);
    let text = match options.subject.as_slice() {
        [] => overview(),
        [word] => topic(word).map_or_else(|| command_help(&options.subject), |topic| Ok(page(topic)))?,
        words => command_help(words)?,
    };
    terminal.result(&text)?;
    Ok(Exit::Success)
}

/// Topics and commands, a line each.
fn overview() -> String {
    let mut text = String::from("Usage: fitch help [TOPIC or COMMAND]\n\nTopics:\n");
    for topic in &TOPICS {
        let _ = writeln!(text, "  {:<14}{}", topic.name, topic.about);
    }
    text.push_str("\nCommands:\n");
    for command in cli::command().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  {:<14}{about}", command.get_name());
    }
    text
}

/// The guide, and the way to the help of a command of the same name.
fn page(topic: &Topic) -> String {
    match cli::command().find_subcommand(topic.name) {
        Some(_) => {
            format!("{}\nThis is the guide. For the command: fitch {} --help\n", topic.text, topic.name)
        }
        None => topic.text.to_string(),
    }
}

/// What `fitch COMMAND --help` prints.
///
/// # Errors
/// There is no such command: a usage error that lists the topics.
fn command_help(words: &[String]) -> Result<String> {
    let arguments = ["fitch"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    match cli::command().try_get_matches_from(arguments) {
        Err(answer) if answer.kind() == ErrorKind::DisplayHelp => Ok(answer.render().to_string()),
        _ => {
            let (subject, topics) = (words.join(" "), TOPICS.map(|topic| topic.name).join(", "));
            let fault = format!("there is no topic or command '{subject}'; the topics are {topics}");
            Err(UsageError(vec![fault]).into())
        }
    }
}
