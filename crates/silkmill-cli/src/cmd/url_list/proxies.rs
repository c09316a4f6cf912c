//! Reads the proxies from the environment, by the usual variables.

use std::env;

use silkmill_scrape::OptionsBuilder;

/// Sets the proxies that the environment names by the usual variables, `HTTP_PROXY`, `HTTPS_PROXY`,
/// `ALL_PROXY` and `NO_PROXY`, or the one that is `given` instead.
pub fn environment_proxies(options: OptionsBuilder, given: Option<&str>) -> OptionsBuilder {
    set_from(options, given, |name| {
        let lower = env::var(name.to_ascii_lowercase());
        lower.or_else(|_| env::var(name)).ok().filter(|value| !value.is_empty())
    })
}

/// `read` returns the value of a variable, whose name may be in upper or lower case.
fn set_from(
    mut options: OptionsBuilder,
    given: Option<&str>,
    read: impl Fn(&str) -> Option<String>,
) -> OptionsBuilder {
    if let Some(proxy) = given {
        options = options.proxy(proxy);
    } else {
        // Desktops set this one for all programs, to proxies of kinds that not all of them know.
        let all = read("ALL_PROXY");
        options = options.environment_proxies(all.clone(), all);
        if let Some(proxy) = read("HTTP_PROXY") {
            options = options.proxy_for_http(proxy);
        }
        if let Some(proxy) = read("HTTPS_PROXY") {
            options = options.proxy_for_https(proxy);
        }
    }
    options.no_proxy(&read("NO_PROXY").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use silkmill_scrape::Options;

    use super::*;

    fn shown(given: Option<&str>, variables: &[(&str, &str)]) -> String {
        let read = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        format!("{:?}", set_from(Options::builder(), given, read).build().unwrap())
    }

    #[test]
    fn the_environment_names_proxies_unless_one_was_given() {
        let variables = [
            ("HTTP_PROXY", "http://one.test"),
            ("ALL_PROXY", "socks5://all.test"),
            ("NO_PROXY", "here.test"),
        ];

        let read = shown(None, &variables);
        assert!(
            read.contains("one.test") && read.contains("all.test") && read.contains("here.test")
        );
        let given = shown(Some("http://given.test"), &variables);
        assert!(given.contains("given.test") && given.contains("here.test"), "{given}");
        assert!(!given.contains("one.test") && !given.contains("all.test"), "{given}");
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error() {
        let read = |name: &str| (name == "HTTP_PROXY").then(|| "gopher://x".to_owned());
        assert!(set_from(Options::builder(), None, read).build().is_err());
    }

    #[test]
    fn the_proxy_of_all_programs_is_no_error_before_it_is_needed() {
        for name in ["socks://127.0.0.1:1", "socks4://127.0.0.1:1", "gopher://x"] {
            let read = |variable: &str| (variable == "ALL_PROXY").then(|| name.to_owned());
            assert!(set_from(Options::builder(), None, read).build().is_ok(), "{name}");
            assert!(set_from(Options::builder(), Some(name), |_| None).build().is_err(), "{name}");
        }
    }
}
