//! From the words of the command line to a command; what is wrong with them, in the words of the program.

use crate::cli::{self, Cli};
use crate::exit::Exit;
use crate::suggestion::nearest;
use crate::terminal::Terminal;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, FromArgMatches};
use fitch::data::Source;
use std::path::Path;

/// An option's help is a hint if it is not longer.
const MAX_HINT: usize = 200;

/// The command that was given, with its name as it is typed: `train`, `data inspect`. Where help was asked for,
/// or where the words are wrong, this ends the process.
pub fn parse(terminal: &Terminal) -> (Cli, String) {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let is_brief = words.iter().take_while(|word| *word != "--").any(|word| word == "-h");
    let mut command = if is_brief { cli::brief_command() } else { cli::command() };
    let is_training = words.first().is_some_and(|word| word == "train");
    let arguments = std::env::args_os().collect();
    let (arguments, off) = if is_training { cli::take_off(arguments) } else { (arguments, Vec::new()) };
    let parsed = command.try_get_matches_from_mut(arguments);
    let parsed = parsed.and_then(|matches| {
        let mut cli = Cli::from_arg_matches(&matches)?;
        if let cli::Command::Train(options) = &mut cli.command {
            options.off = off;
        }
        Ok((cli, name_of(&matches)))
    });
    parsed.unwrap_or_else(|fault| {
        if !fault.use_stderr() || fault.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            fault.exit();
        }
        let Fault { message, hint } = Fault::of(&fault, &command, &words);
        terminal.error(&message);
        hint.iter().for_each(|hint| terminal.hint(hint));
        Exit::Usage.leave()
    })
}

fn name_of(matches: &ArgMatches) -> String {
    let subcommands = std::iter::successors(matches.subcommand(), |(_, matches)| matches.subcommand());
    subcommands.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}

/// What is wrong with a command line, and what to do.
struct Fault {
    message: String,
    /// None if the message says it all.
    hint: Option<String>,
}

impl Fault {
    fn of(fault: &clap::Error, whole: &Command, words: &[String]) -> Fault {
        let (command, path) = command_of(whole, words);
        let text = fault.render().to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        let message = plain(message.strip_prefix("error: ").unwrap_or(message).trim_end());
        let context = |kind| fault.get(kind).and_then(first_text).unwrap_or_default();
        let invalid = context(ContextKind::InvalidArg);
        let hint = match fault.kind() {
            ErrorKind::UnknownArgument => for_unknown(command, &path, invalid),
            ErrorKind::InvalidSubcommand => {
                for_subcommand(command, &path, context(ContextKind::InvalidSubcommand))
            }
            ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => {
                let usage = command.clone().bin_name(path.clone()).render_usage().to_string();
                usage.replacen("Usage: ", "usage: ", 1)
            }
            ErrorKind::ArgumentConflict => return Fault { message, hint: None },
            _ => for_value(command, &path, invalid, context(ContextKind::SuggestedValue)),
        };
        Fault { message, hint: Some(hint) }
    }
}

/// A message of Rust's in the words of users.
fn plain(message: &str) -> String {
    let words = [
        ("invalid digit found in string", "must be a whole number"),
        ("invalid float literal", "must be a number"),
        ("number too large to fit in target type", "is too large"),
        ("number too small to fit in target type", "is too small"),
    ];
    words.iter().fold(message.to_string(), |message, (from, to)| message.replace(from, to))
}

fn first_text(value: &ContextValue) -> Option<&str> {
    match value {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

/// The command that the words begin with, and its name: `fitch data inspect`.
fn command_of<'a>(whole: &'a Command, words: &[String]) -> (&'a Command, String) {
    let (mut command, mut path) = (whole, "fitch".to_string());
    for word in words {
        let Some(found) = command.find_subcommand(word) else { break };
        (command, path) = (found, format!("{path} {word}"));
    }
    (command, path)
}

fn long_names(command: &Command) -> Vec<&str> {
    let shown = command.get_arguments().filter(|option| !option.is_hide_set());
    shown.filter_map(Arg::get_long).collect()
}

/// For an option that there is not, or an argument too many.
fn for_unknown(command: &Command, path: &str, typed: &str) -> String {
    let name = typed.trim_start_matches('-');
    let known = long_names(command);
    let plain = name.split('=').next().unwrap_or_default().replace('_', "-");
    match name.split_once('=') {
        Some((_, value)) if !typed.starts_with('-') && known.contains(&plain.as_str()) => {
            return format!("options begin with two hyphens: --{plain} {value}");
        }
        _ if !typed.starts_with("--") => {}
        _ => {
            if let Some(advice) = cli::instead_of(command, name) {
                return advice.to_string();
            }
            if let Some(near) = nearest(&plain, known) {
                return format!("did you mean --{near}? `{path} --help` describes it");
            }
        }
    }
    format!("`{path} --help` lists its options")
}

/// For a command that there is not.
fn for_subcommand(command: &Command, path: &str, typed: &str) -> String {
    let names = command.get_subcommands().map(Command::get_name);
    match nearest(typed, names) {
        _ if Source::named(typed).is_some() || Path::new(typed).exists() => {
            format!("`fitch train {typed}` trains on it")
        }
        Some(near) => format!("did you mean `{path} {near}`?"),
        None => format!("`{path} --help` lists its commands"),
    }
}

/// For a wrong value, or one that is missing.
fn for_value(command: &Command, path: &str, option: &str, suggested: &str) -> String {
    let name = option.split(' ').next().unwrap_or_default();
    let is_it = |argument: &&Arg| argument.to_string().split(' ').next() == Some(name);
    let help = command.get_arguments().find(is_it).and_then(Arg::get_help).map(ToString::to_string);
    match help {
        _ if !suggested.is_empty() => format!("did you mean '{suggested}'?"),
        Some(help) if help.len() <= MAX_HINT => format!("{option}: {help}"),
        Some(_) => format!("`{path} --help` describes {name}"),
        None => format!("`{path} --help` lists its options"),
    }
}
