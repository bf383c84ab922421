//! The man pages: xdptrace(8) and one for each subcommand, from the command line's definition. What that doesn't say is in
//! manual/words.rs.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

#[path = "manual/words.rs"]
mod words;

/// Writes all pages into a folder.
///
/// # Errors
/// One cannot be written.
pub fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    command.build();
    let names: Vec<String> = shown(&command).map(|one| one.get_name().to_owned()).collect();
    let usages = command.get_overridden_usage().map(ToString::to_string).unwrap_or_default();
    let pages: Vec<(String, Command)> = shown(&command)
        .map(|one| (one.get_name().to_owned(), one.clone().override_usage(usage(one.get_name(), &usages))))
        .collect();
    for (name, page) in [(String::new(), command)].into_iter().chain(pages) {
        let title = title(&name);
        fs::write(folder.join(format!("{title}.8")), render(&name, page.name(title.clone()), &names)?)?;
    }
    Ok(())
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set())
}

/// A subcommand's line of those that xdptrace(8) has for all.
fn usage(name: &str, usages: &str) -> String {
    let is_its = |line: &&str| line.split_whitespace().nth(1).is_some_and(|word| word.trim_matches(['[', ']']) == name);
    usages.lines().find(is_its).unwrap_or_default().trim().to_owned()
}

fn title(name: &str) -> String {
    if name.is_empty() { "xdptrace".into() } else { format!("xdptrace-{name}") }
}

fn render(name: &str, command: Command, names: &[String]) -> io::Result<Vec<u8>> {
    let version = format!("xdptrace {}", env!("CARGO_PKG_VERSION"));
    let has_subcommands = command.has_subcommands();
    let can_fail_on_loss = command.get_arguments().any(|one| one.get_id() == "fail_on_loss");
    let command = command.mut_args(name_aliases).display_name(title(name));
    let man = Man::new(command.bin_name(title(name).replacen('-', " ", 1)))
        .section("8")
        .source(version)
        .manual("System Administration");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    describe(name).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    lists(name, can_fail_on_loss).to_writer(&mut page)?;
    see_also(name, names).to_writer(&mut page)?;
    Ok(page)
}

/// What clap shows in the help and mangen doesn't show.
fn name_aliases(argument: Arg) -> Arg {
    let Some(aliases) = argument.get_visible_aliases().filter(|aliases| !aliases.is_empty()) else { return argument };
    let also: Vec<String> = aliases.iter().map(|alias| format!("--{alias}")).collect();
    let help =
        format!("{}; also {}", argument.get_help().map(ToString::to_string).unwrap_or_default(), also.join(", "));
    argument.help(help)
}

fn of<T: Copy>(name: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(of, _)| *of == name).map(|(_, what)| *what)
}

fn describe(name: &str) -> Roff {
    let mut part = Roff::new();
    part.control("SH", ["DESCRIPTION"]);
    for paragraph in of(name, &words::DESCRIPTIONS).unwrap_or_default() {
        part.control("PP", []).text([roman(*paragraph)]);
    }
    part
}

fn lists(name: &str, can_fail_on_loss: bool) -> Roff {
    let mut part = Roff::new();
    if words::LINES.contains(&name) {
        add_list(&mut part, "OUTPUT", &words::LINE);
    }
    if let Some(examples) = of(name, &words::EXAMPLES) {
        add_examples(&mut part, examples);
    }
    let [of_all, of_kernel, of_loss] = words::STATUSES;
    let of_kernel = if words::WITHOUT_KERNEL.contains(&name) { &[] } else { of_kernel };
    let of_loss = if can_fail_on_loss { of_loss } else { &[] };
    add_list(&mut part, "EXIT STATUS", &[of_all, of_kernel, of_loss].concat());
    if words::SIGNALLED.contains(&name) {
        add_list(&mut part, "SIGNALS", &words::SIGNALS);
    }
    if words::TIMED.contains(&name) {
        add_list(&mut part, "ENVIRONMENT", &words::ENVIRONMENT);
    }
    if words::TRACING.contains(&name) {
        let [of_all, of_options] = words::CAPABILITIES;
        let of_options = if words::LINES.contains(&name) { of_options } else { &[] };
        add_list(&mut part, "CAPABILITIES", &[of_all, of_options].concat());
    }
    part
}

fn see_also(name: &str, names: &[String]) -> Roff {
    let others = [String::new()].into_iter().chain(names.iter().cloned()).filter(|other| other != name);
    let own: Vec<String> = others.map(|other| format!("{}(8)", title(&other))).collect();
    let mut part = Roff::new();
    part.control("SH", ["SEE ALSO"]).text([roman(format!("{}, {}", own.join(", "), words::SEE_ALSO))]);
    part
}

fn add_examples(page: &mut Roff, examples: &[words::Example]) {
    page.control("SH", ["EXAMPLES"]);
    for (purpose, words) in examples {
        page.control("PP", []).text([roman(format!("{purpose}:"))]);
        page.control("PP", []).control("RS", ["4"]).control("nf", []);
        for line in words.lines() {
            page.text([bold(line)]);
        }
        page.control("fi", []).control("RE", []);
    }
}

fn add_list(page: &mut Roff, heading: &str, rows: &[words::Row]) {
    page.control("SH", [heading]);
    for (term, meaning) in rows {
        page.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
    }
}
