//! `yamabiko completions` and `yamabiko man`: what packages install beside the program, from
//! the same description of the command line as the help.
//!
//! The texts below the options of the help become sections of the manual page: a paragraph
//! under a title (`Examples:`) has its own section, and all others are notes.

use std::fs;
use std::io;
use std::iter;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::arguments;
use super::output::{NAME_AND_VERSION, in_sentence, print};

/// Prints the completions for this shell.
pub(super) fn completions(shell: Shell) -> Result<(), String> {
    let mut script = Vec::new();
    let mut command = arguments::completed_command();
    clap_complete::generate(shell, &mut command, "yamabiko", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Writes a page for the program and one for each command.
pub(super) fn manual(directory: &Path) -> Result<(), String> {
    let mut program = arguments::command().disable_help_subcommand(true);
    program.build();
    let mut commands = iter::once(&program).chain(program.get_subcommands());
    fs::create_dir_all(directory)
        .and_then(|()| commands.try_for_each(|command| write_page(command, directory)))
        .map_err(|error| {
            format!(
                "cannot write to {}: {}",
                directory.display(),
                in_sentence(&error)
            )
        })
}

fn write_page(command: &Command, directory: &Path) -> io::Result<()> {
    let page = Man::new(command.clone());
    let page = page.source(NAME_AND_VERSION).manual("Manual of yamabiko");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    further_sections(command).to_writer(&mut text)?;
    fs::write(directory.join(page.get_filename()), text)
}

/// The sections of the texts below the options.
fn further_sections(command: &Command) -> Roff {
    let long = command.get_after_long_help();
    let text = long.or_else(|| command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let paragraphs = text.split("\n\n").filter(|text| !text.is_empty());
    let (titled, notes): (Vec<&str>, Vec<&str>) =
        paragraphs.partition(|paragraph| title(paragraph).is_some());
    let mut roff = Roff::new();
    for (index, note) in notes.into_iter().enumerate() {
        match index {
            0 => roff.control("SH", ["NOTES"]),
            _ => roff.control("PP", []),
        };
        add_lines(&mut roff, note);
    }
    for (name, lines) in titled.into_iter().filter_map(title) {
        roff.control("SH", [name.to_uppercase().as_str()]);
        add_lines(&mut roff, lines);
    }
    roff
}

/// The title of a paragraph, one word and a colon, and the lines below it.
fn title(paragraph: &str) -> Option<(&str, &str)> {
    let (first, lines) = paragraph.split_once('\n')?;
    let name = first.strip_suffix(':')?;
    (!name.contains(' ')).then_some((name, lines))
}

/// Lines of text, which the formatter fills, and indented lines, which stay as they are.
fn add_lines(roff: &mut Roff, lines: &str) {
    let mut is_filled = true;
    for line in lines.lines() {
        let fills = !line.starts_with(' ');
        if fills != is_filled {
            roff.control(if fills { "fi" } else { "nf" }, []);
            is_filled = fills;
        }
        roff.text([roman(line)]);
    }
    if !is_filled {
        roff.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraph_with_a_title_is_a_section_and_the_others_are_notes() {
        let text = "Examples:\n  run -x  short\n\nOne note:\n  first\nits end.\n\nAnother.";
        let command = Command::new("x").after_help(text);
        let expected = ".SH NOTES\nOne note:\n.nf\n  first\n.fi\nits end.\n.PP\nAnother.\n\
                        .SH EXAMPLES\n.nf\n  run \\-x  short\n.fi\n";
        assert_eq!(further_sections(&command).to_roff(), expected);
        assert_eq!(further_sections(&Command::new("x")).to_roff(), "");
    }
}
