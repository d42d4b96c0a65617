//! `completions SHELL` and `man [DIR]`: made from the one definition in [`crate::cli`].

use clap::CommandFactory as _;
use jit_ssh_terminal::{Failure, Terminal};

use crate::cli::{Cli, Completions, Man};

/// Prints completions.
pub(crate) fn run(arguments: &Completions, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "jit-ssh", &mut text);
    terminal.raw(&text)
}

/// Prints the main page, or writes one for each command.
pub(crate) fn man(arguments: &Man, terminal: &mut Terminal) -> Result<(), Failure> {
    let Some(folder) = &arguments.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return terminal.raw(&page);
    };
    clap_mangen::generate_to(Cli::command(), folder).map_err(|error| {
        Failure::failed(format_args!(
            "The man pages cannot be written into {}.",
            folder.display()
        ))
        .why(error)
        .next("Name a folder that is there and that you may write to.")
    })
}
