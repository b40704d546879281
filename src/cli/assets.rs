//! What is made of the command line: completions and manual pages.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man as Page;

use super::arguments::{Arguments, Completions, Man};
use super::output::Output;
use super::{Failed, Status};
use crate::agent;

pub(super) fn completions(completions: &Completions, output: &Output) -> Result<Status, Failed> {
    let mut text = Vec::new();
    clap_complete::generate(completions.shell, &mut Arguments::command(), "partner", &mut text);
    output.text(&String::from_utf8_lossy(&text)).map(|()| Status::Done)
}

/// `partner.1`, a page for each command, and `partnerd.8`.
pub(super) fn man(man: &Man, output: &Output) -> Result<Status, Failed> {
    let failed = |error: io::Error| {
        Failed::new(format_args!("{}: {error}", man.out.to_string_lossy().escape_debug()))
    };
    std::fs::create_dir_all(&man.out).map_err(failed)?;
    let mut names = Vec::new();
    let mut program = Arguments::command();
    // Gives subcommands their full names.
    program.build();
    pages(&program, &man.out, &mut names).map_err(failed)?;
    let page = Page::new(agent::run::command()).section("8");
    write(&page, &man.out, "partnerd.8", &mut names).map_err(failed)?;
    output.text(&(names.join("\n") + "\n")).map(|()| Status::Done)
}

fn pages(command: &clap::Command, folder: &Path, names: &mut Vec<String>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    write(&Page::new(command.clone()), folder, &format!("{name}.1"), names)?;
    // What clap adds by itself says nothing that is not on the other pages.
    let subcommands = command.get_subcommands().filter(|one| one.get_name() != "help");
    subcommands.into_iter().try_for_each(|one| pages(one, folder, names))
}

fn write(page: &Page, folder: &Path, name: &str, names: &mut Vec<String>) -> io::Result<()> {
    let mut text = Vec::new();
    page.render(&mut text)?;
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    names.push(path.display().to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clap finds mistakes in what is derived when it is first used; and each command has examples.
    #[test]
    fn every_command_is_sound_and_answers_the_next_question() {
        let program = Arguments::command();
        program.clone().debug_assert();
        fn look(command: &clap::Command) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string);
            // Those of `ca` stand in the agent's room, under a heading that has the statuses.
            if leaf && !["init", "issue"].contains(&command.get_name()) {
                assert!(help.is_some_and(|help| help.contains("Examples:")), "{command:?}");
            }
            command.get_subcommands().for_each(look);
        }
        look(&program);
    }
}
