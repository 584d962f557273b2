//! `fitch man`: the manual pages, made from what the commands say of themselves.

use crate::cli::{self, ManOptions};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::suggestion::did_you_mean;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use clap::{Arg, Command};
use clap_mangen::Man;
use fitch::files::write_whole;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

pub fn run(options: &ManOptions, terminal: &Terminal) -> Result<Exit> {
    let mut whole = cli::command();
    // Each command learns its full name.
    whole.build();
    match &options.to {
        Some(folder) => write_all(&whole, folder, terminal)?,
        None => {
            let page = page(find(&whole, &options.command)?).1;
            terminal.result(&String::from_utf8(page?).context("the page is not UTF-8")?)?;
        }
    }
    Ok(Exit::Success)
}

/// The command of that name, `data inspect` say.
fn find<'a>(whole: &'a Command, words: &[String]) -> Result<&'a Command> {
    words.iter().try_fold(whole, |command, word| {
        let unknown = || {
            let suggestion = did_you_mean(word, command.get_subcommands().map(Command::get_name));
            UsageError(vec![format!("there is no command '{}'{suggestion}", words.join(" "))])
        };
        Ok(command.find_subcommand(word).ok_or_else(unknown)?)
    })
}

fn write_all(whole: &Command, folder: &Path, terminal: &Terminal) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut commands = vec![whole];
    let mut count = 0;
    while let Some(command) = commands.pop() {
        let (name, page) = page(command);
        write_whole(&folder.join(name), &page?)?;
        count += 1;
        commands.extend(command.get_subcommands());
    }
    terminal.result(&format!("{count} pages written to {}\n", folder.display()))
}

/// The name of the file, and its bytes.
fn page(command: &Command) -> (String, Result<Vec<u8>>) {
    let page = Man::new(command.clone().mut_args(with_values_in_line));
    let page = page.source(concat!("fitch ", env!("CARGO_PKG_VERSION"))).manual("fitch");
    let mut bytes = Vec::new();
    let written = render(&page, command, &mut bytes).context("cannot write a manual page");
    (page.get_filename(), written.map(|()| bytes))
}

fn render(page: &Man, command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    page.render_title(out)?;
    page.render_name_section(out)?;
    // In one line: clap_mangen's own names every option.
    let usage = command.clone().render_usage().to_string();
    write!(out, ".SH SYNOPSIS\n{}", roff(usage.trim_start_matches("Usage: ")))?;
    page.render_options_section(out)?;
    if command.has_subcommands() {
        page.render_subcommands_section(out)?;
    }
    match command.get_after_help() {
        Some(notes) => write!(out, ".SH NOTES\n{}", roff(&notes.to_string())),
        None => Ok(()),
    }
}

/// An option whose help names its values: as a list they would take a page.
fn with_values_in_line(option: Arg) -> Arg {
    let values = option.get_possible_values();
    if option.is_hide_possible_values_set() || values.is_empty() || !option.get_action().takes_values() {
        return option;
    }
    let names = values.iter().map(|value| value.get_name()).collect::<Vec<_>>().join(", ");
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    option.help(format!("{help} [possible values: {names}]")).hide_possible_values(true)
}

/// A text for `man`; the lines that are indented stay lines.
fn roff(text: &str) -> String {
    let mut roff = String::new();
    let mut is_fixed = false;
    for line in text.lines() {
        let escaped = line.replace('\\', "\\e").replace('-', "\\-");
        match (line.starts_with(' '), is_fixed) {
            (true, false) => roff.push_str(".nf\n"),
            (false, true) => roff.push_str(".fi\n"),
            _ => {}
        }
        is_fixed = line.starts_with(' ');
        let command = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        roff.push_str(&format!("{command}{escaped}\n"));
    }
    roff + if is_fixed { ".fi\n" } else { "" }
}
