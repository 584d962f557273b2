//! The options of `completions`.

use clap::Args;
use clap_complete::Shell;

pub const EXAMPLES: &str = "\
Examples:
  fitch completions bash > ~/.local/share/bash-completion/completions/fitch
  fitch completions fish > ~/.config/fish/completions/fitch.fish
  fitch completions zsh > ~/.zfunc/_fitch       if ~/.zfunc is in fpath";

#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
