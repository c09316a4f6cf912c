//! The arguments `--xpath`, `--css`, `--regex` and `--jsonpath`. Their common order is the order of
//! the columns.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// A field, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldSpec {
    XPath(String),
    Css(String),
    Regex(String),
    JsonPath(String),
}

/// The fields in the order in which they were typed. Derived options would lose that order.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldArgs(pub(crate) Vec<FieldSpec>);

impl Args for FieldArgs {
    fn augment_args(command: Command) -> Command {
        let xpath = Arg::new("xpath")
            .long("xpath")
            .value_name("[NAME=]EXPR")
            .action(ArgAction::Append)
            .help(
                "A field: an XPath 1.0 expression, with re:test(), re:match(), re:replace(), \
                 has-class() and resolve-uri(). NAME starts with a letter or \"_\" and has only \
                 letters, digits, \"_\", \"-\" and \".\"; any other \"=\" belongs to EXPR \
                 [repeatable]",
            );
        let css = Arg::new("css")
            .long("css")
            .value_name("[NAME=]SELECTOR")
            .action(ArgAction::Append)
            .help(
                "A field: a CSS selector, which gives the text of each match. SELECTOR@attr or \
                 SELECTOR::attr(NAME) gives an attribute, SELECTOR@abs:href a link made absolute, \
                 SELECTOR::text each text in it alone, SELECTOR@html its markup, \
                 SELECTOR@inner-html that of its contents [repeatable]",
            );
        let regex =
            Arg::new("regex").long("regex").value_name("[NAME=]RE").action(ArgAction::Append).help(
                "A field: every match of a regex in the text of any response, or its first group \
                 where it has one [repeatable]",
            );
        let jsonpath = Arg::new("jsonpath")
            .long("jsonpath")
            .value_name("[NAME=]EXPR")
            .action(ArgAction::Append)
            .help(
                "A field: a JSONPath (RFC 9535) into a response that is JSON, or into every script \
                 of a page that is (application/ld+json) [repeatable]",
            );
        command.arg(xpath).arg(css).arg(regex).arg(jsonpath)
    }

    fn augment_args_for_update(command: Command) -> Command {
        FieldArgs::augment_args(command)
    }
}

impl FromArgMatches for FieldArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<FieldArgs, clap::Error> {
        let mut typed = with_positions(matches, "xpath", FieldSpec::XPath);
        typed.extend(with_positions(matches, "css", FieldSpec::Css));
        typed.extend(with_positions(matches, "regex", FieldSpec::Regex));
        typed.extend(with_positions(matches, "jsonpath", FieldSpec::JsonPath));
        typed.sort_by_key(|(position, _)| *position);
        Ok(FieldArgs(typed.into_iter().map(|(_, spec)| spec).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = FieldArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Returns the values of one option with their positions on the command line.
fn with_positions(
    matches: &ArgMatches,
    id: &str,
    spec: fn(String) -> FieldSpec,
) -> Vec<(usize, FieldSpec)> {
    let positions = matches.indices_of(id).into_iter().flatten();
    let values = matches.get_many::<String>(id).into_iter().flatten();
    positions.zip(values).map(|(position, value)| (position, spec(value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_the_order_in_which_they_were_typed() {
        let command = FieldArgs::augment_args(Command::new("test"));
        let words =
            ["test", "--css", "a", "--xpath=//b", "--jsonpath", "$.d", "--regex=e", "--css=c"];

        let fields = FieldArgs::from_arg_matches(&command.get_matches_from(words)).unwrap();

        let (css, xpath) =
            (|s: &str| FieldSpec::Css(s.into()), |s: &str| FieldSpec::XPath(s.into()));
        let (path, regex) = (FieldSpec::JsonPath("$.d".into()), FieldSpec::Regex("e".into()));
        assert_eq!(fields.0, [css("a"), xpath("//b"), path, regex, css("c")]);
    }
}
