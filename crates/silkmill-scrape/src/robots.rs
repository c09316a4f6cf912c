//! The rules of a `robots.txt` (RFC 9309). Pure: bytes in, a decision out. `fetch` requests the
//! file, and `robots::cache` decides what a missing one means.

pub(crate) mod cache;

use std::time::Duration;

use memchr::memmem;

/// The most bytes of a file that are read, which is the least that the standard requires.
pub const FILE_BYTES_MAX: usize = 500 * 1024;
/// The longest pause between two requests that a file may ask for; a longer one is cut to this.
pub const CRAWL_DELAY_MAX: Duration = Duration::from_secs(60);

/// The most sitemaps that a file may name; the others are not looked at.
const SITEMAPS_MAX: usize = 1000;

/// The rules of one file for one crawler.
///
/// ```
/// use silkmill_scrape::robots::Rules;
///
/// let file = b"User-agent: *\nDisallow: /private\nAllow: /private/door$";
/// let rules = Rules::parse(file, "silkmill");
/// assert!(rules.allows("/public") && rules.allows("/private/door"));
/// assert!(!rules.allows("/private/door/key"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
    crawl_delay: Option<Duration>,
    sitemaps: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allows: bool,
    /// A path as paths are compared, with `*` for anything, and `$` for the end when it comes last.
    pattern: Box<[u8]>,
}

impl Rules {
    /// Returns rules that allow everything.
    pub fn all() -> Rules {
        Rules::default()
    }

    /// Reads the groups of a file that are for `product`, or those for all crawlers where it is not
    /// named. `product` is the first word of a user agent, as [`product`] finds it; case does not
    /// matter. Lines that are no rules are skipped, and so is everything past [`FILE_BYTES_MAX`].
    pub fn parse(file: &[u8], product: &str) -> Rules {
        let file = &file[..file.len().min(FILE_BYTES_MAX)];
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let (mut ours, mut everybodys) = (Rules::default(), Rules::default());
        let mut sitemaps = Vec::new();
        let mut is_named = false;
        // The crawlers that the lines are for, and whether a rule has come since they were named:
        // the next name then begins another group.
        let (mut for_us, mut for_everybody, mut in_rules) = (false, false, false);
        for (key, value) in file.split(|byte| b"\r\n".contains(byte)).filter_map(key_and_value) {
            if key.eq_ignore_ascii_case(b"user-agent") {
                if in_rules {
                    (for_us, for_everybody, in_rules) = (false, false, false);
                }
                if value.first() == Some(&b'*') {
                    for_everybody |= value.get(1).is_none_or(u8::is_ascii_whitespace);
                } else if first_word(value).eq_ignore_ascii_case(product.as_bytes()) {
                    (for_us, is_named) = (true, true);
                }
                continue;
            }
            if key.eq_ignore_ascii_case(b"sitemap") && sitemaps.len() < SITEMAPS_MAX {
                // They are for all crawlers, wherever they stand.
                sitemaps.push(String::from_utf8_lossy(value).into_owned());
            }
            let is_rule = [&b"allow"[..], b"disallow", b"crawl-delay"]
                .iter()
                .any(|name| key.eq_ignore_ascii_case(name));
            if !is_rule {
                continue;
            }
            in_rules = true;
            for (wanted, rules) in [(for_us, &mut ours), (for_everybody, &mut everybodys)] {
                if wanted {
                    rules.add(key, value);
                }
            }
        }
        Rules { sitemaps, ..if is_named { ours } else { everybodys } }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        if key.eq_ignore_ascii_case(b"crawl-delay") {
            self.crawl_delay = self.crawl_delay.max(crawl_delay(value));
        } else if !value.is_empty() {
            // An empty pattern means nothing: everything is allowed.
            let allows = key.eq_ignore_ascii_case(b"allow");
            self.rules.push(Rule { allows, pattern: comparable(value).into() });
        }
    }

    /// Tells whether the path, with its query, may be requested. The longest pattern that matches
    /// decides, and of two as long the one that allows.
    pub fn allows(&self, path: &str) -> bool {
        let path = comparable(path.as_bytes());
        if path == b"/robots.txt" {
            return true;
        }
        let matching = self.rules.iter().filter(|rule| matches(&rule.pattern, &path));
        matching.max_by_key(|rule| (rule.pattern.len(), rule.allows)).is_none_or(|rule| rule.allows)
    }

    /// Returns the least time between two requests, if the file sets one. That is not in the
    /// standard, but in use.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// Returns the URLs of the sitemaps that the file names, as they are written.
    pub fn sitemaps(&self) -> &[String] {
        &self.sitemaps
    }

    /// Returns the bytes that the rules take in memory.
    pub(crate) fn bytes(&self) -> usize {
        let patterns: usize = self.rules.iter().map(|rule| rule.pattern.len()).sum();
        let sitemaps: usize = self.sitemaps.iter().map(|url| url.len() + size_of::<String>()).sum();
        patterns + sitemaps + self.rules.len() * size_of::<Rule>()
    }
}

/// Returns the word of a user agent that files know it by: `silkmill` of `silkmill/0.1.0`.
pub fn product(user_agent: &str) -> &str {
    let length = first_word(user_agent.as_bytes()).len();
    &user_agent[..length]
}

fn first_word(text: &[u8]) -> &[u8] {
    let is_word = |byte: &u8| byte.is_ascii_alphabetic() || b"-_".contains(byte);
    let end = text.iter().position(|byte| !is_word(byte)).unwrap_or(text.len());
    &text[..end]
}

/// Splits a line at its colon, without comment and white space.
fn key_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.split(|&byte| byte == b'#').next()?;
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
}

fn crawl_delay(value: &[u8]) -> Option<Duration> {
    let seconds: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // NaN is not greater than 0, either.
    (seconds > 0.0).then(|| {
        Duration::try_from_secs_f64(seconds)
            .map_or(CRAWL_DELAY_MAX, |delay| delay.min(CRAWL_DELAY_MAX))
    })
}

/// Returns a path as paths are compared: without escapes that are not needed, and with those that
/// are, in capitals.
fn comparable(path: &[u8]) -> Vec<u8> {
    const HEX: &[u8] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(path.len());
    let escape = |out: &mut Vec<u8>, byte: u8| {
        out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    };
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = (byte == b'%').then(|| after.get(..2).and_then(hex_byte)).flatten();
        match escaped {
            Some(byte) => {
                rest = &after[2..];
                let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                if plain { out.push(byte) } else { escape(&mut out, byte) }
            }
            None if byte.is_ascii_graphic() => out.push(byte),
            None => escape(&mut out, byte),
        }
    }
    out
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()
}

/// Tells whether a pattern matches the start of a path, or all of it when it ends in `$`.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (pattern, to_end) = match pattern.strip_suffix(b"$") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        // The first position that fits leaves the most for the pieces after it. The last piece of a
        // pattern that must reach the end is compared below.
        if let Some(piece) = last.replace(piece) {
            match memmem::find(rest, piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
    }
    match last {
        None => !to_end || rest.is_empty(),
        Some(last) if to_end => rest.ends_with(last),
        Some(last) => memmem::find(rest, last).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(file: &str, path: &str) -> bool {
        Rules::parse(file.as_bytes(), "silkmill").allows(path)
    }

    /// Asserts that the file allows the first paths and forbids the second.
    fn check(file: &str, allowed: &[&str], forbidden: &[&str]) {
        for path in allowed {
            assert!(allows(file, path), "{path} should be allowed by {file:?}");
        }
        for path in forbidden {
            assert!(!allows(file, path), "{path} should be forbidden by {file:?}");
        }
    }

    #[test]
    fn nothing_said_is_allowed() {
        for file in
            ["", "User-agent: *\nDisallow:", "User-agent: silkmill", "Disallow: /", "what?", ":"]
        {
            check(file, &["/", "/a", "/a?b"], &[]);
        }
    }

    #[test]
    fn the_group_that_names_us_is_ours_and_no_other() {
        let file = "User-agent: *\nDisallow: /\n\nUser-agent: other\nDisallow: /o\n\n\
                    User-Agent: SilkMill/1.0 (x)\nDisallow: /s\n";
        check(file, &["/", "/o"], &["/s"]);
        check("User-agent: silk\nDisallow: /\nUser-agent: silkmillx\nDisallow: /", &["/"], &[]);
    }

    #[test]
    fn groups_of_one_name_are_one_group() {
        let file = "user-agent: silkmill\ndisallow: /a\n\nuser-agent: x\ndisallow: /b\n\nuser-agent: silkmill\n\
                    disallow: /c";
        check(file, &["/b"], &["/a", "/c"]);
        // Two groups for all crawlers count together, too; and lines that are no rules do not
        // separate groups.
        let file =
            "user-agent: *\nsitemap: x\nuser-agent: y\ndisallow: /a\nuser-agent: * x\ndisallow: /b";
        check(file, &["/c"], &["/a", "/b"]);
    }

    #[test]
    fn one_group_may_have_many_names() {
        let file = "User-agent: a\nUser-agent: silkmill\nUser-agent: b\nDisallow: /x\nUser-agent: c\nDisallow: /y";
        check(file, &["/y"], &["/x"]);
    }

    #[test]
    fn a_name_with_nothing_to_follow_is_still_ours() {
        check("User-agent: silkmill\nDisallow:\nUser-agent: *\nDisallow: /", &["/"], &[]);
    }

    /// The examples of RFC 9309, section 5, in other words.
    #[test]
    fn the_standards_examples_hold() {
        let file = "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\
                    User-Agent: foobot\nDisallow: /\nAllow: /example/page.html\nAllow: /example/allowed.gif\n\
                    User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\
                    User-Agent: quxbot\n";
        let allows = |product, path| Rules::parse(file.as_bytes(), product).allows(path);
        for (product, path, allowed) in [
            ("foobot", "/example/page.html", true),
            ("foobot", "/example/allowed.gif", true),
            ("foobot", "/example/", false),
            ("foobot", "/", false),
            ("barbot", "/example/page.html", false),
            ("bazbot", "/example/page.html", false),
            ("bazbot", "/example/", true),
            ("quxbot", "/example/page.html", true),
            ("otherbot", "/a/b.gif", false),
            ("otherbot", "/a/b.gif?c", true),
            ("otherbot", "/example/x", false),
            ("otherbot", "/publications/", true),
        ] {
            assert_eq!(allows(product, path), allowed, "{product} {path}");
        }
        let longest =
            "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif";
        let rules = Rules::parse(longest.as_bytes(), "foobot");
        assert!(rules.allows("/example/page/") && !rules.allows("/example/page/disallowed.gif"));
    }

    /// Google's documentation of paths: each pattern with paths that it matches and paths that it
    /// does not.
    #[test]
    fn patterns_match_as_google_documents_it() {
        for (pattern, matching, not_matching) in [
            (
                "/fish",
                "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.php?id=a",
                "/Fish.asp /catfish /?id=fish /desert/fish",
            ),
            (
                "/fish*",
                "/fish /fish.html /fish/salmon.html /fishheads /fish.php?id=a",
                "/Fish.asp /catfish /?id=fish",
            ),
            (
                "/fish/",
                "/fish/ /fish/?id=a /fish/salmon.htm",
                "/fish /fish.html /animals/fish/ /Fish/Salmon.asp",
            ),
            (
                "/*.php",
                "/index.php /filename.php /folder/filename.php /folder/filename.php?x /folder/any.php.file /f/filename.php/",
                "/ /windows.PHP",
            ),
            (
                "/*.php$",
                "/filename.php /folder/filename.php",
                "/filename.php?x /filename.php/ /filename.php5 /windows.PHP",
            ),
            ("/fish*.php", "/fish.php /fishheads/catfish.php?x", "/Fish.PHP"),
            ("/", "/ /any/path?x", ""),
            ("/*", "/ /any/path", ""),
            ("/$", "/", "/page /?x"),
            ("*", "/ /any", ""),
            ("/a$b", "/a$b /a$bc", "/a /ab"),
            ("/a*b*c$", "/abc /axbxc /abcbc", "/abcd /acb /ab"),
            ("/a*a$", "/aa /axa", "/a /ab"),
        ] {
            let file = format!("User-agent: *\nDisallow: {pattern}");
            let split = |list: &'static str| list.split_whitespace().collect::<Vec<_>>();
            check(&file, &split(not_matching), &split(matching));
        }
    }

    /// Google's documentation of two rules that both match.
    #[test]
    fn the_longest_pattern_decides_and_allowing_wins_a_tie() {
        for (rules, path, allowed) in [
            ("allow: /p\ndisallow: /", "/page", true),
            ("allow: /folder\ndisallow: /folder", "/folder/page", true),
            ("disallow: /folder\nallow: /folder", "/folder/page", true),
            ("allow: /page\ndisallow: /*.htm", "/page.htm", false),
            ("allow: /page\ndisallow: /*.ph", "/page.php5", true),
            ("allow: /$\ndisallow: /", "/", true),
            ("allow: /$\ndisallow: /", "/page.htm", false),
            ("disallow: /x/\nallow: /x", "/x/page", false),
            ("disallow: /x/page.html\nallow: /x/", "/x/page.html", false),
            ("disallow:\nallow: /x", "/x", true),
        ] {
            let file = format!("user-agent: silkmill\n{rules}");
            assert_eq!(allows(&file, path), allowed, "{rules:?} {path}");
        }
    }

    #[test]
    fn escapes_are_compared_by_what_they_stand_for() {
        for (pattern, path) in [
            ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
            ("/foo/bar/ツ", "/foo/bar/%E3%83%84"),
            ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84"),
            ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
            ("/foo/bar/baz", "/foo/bar/%62%61%7a"),
            ("/a%2fb", "/a%2Fb"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
        ] {
            check(&format!("User-agent: *\nDisallow: {pattern}"), &["/foo"], &[path]);
        }
        check("User-agent: *\nDisallow: /a/b", &["/a%2Fb"], &["/a/b"]);
    }

    #[test]
    fn a_file_may_be_written_in_many_ways() {
        for file in [
            "\u{feff}User-agent: *\nDisallow: /x",
            "USER-AGENT:*\r\nDISALLOW:/x\r\n",
            "user-agent : *\rdisallow : /x\r",
            "# a comment\nuser-agent: * # all\n\n\ndisallow: /x # this\n",
            "  User-agent:\t*\n\tDisallow: /x  \n",
            "User-agent: *\nCrawl-delay: 5\nUnknown: y\nDisallow: /x",
        ] {
            check(file, &["/y"], &["/x", "/x/y"]);
        }
    }

    #[test]
    fn the_file_itself_may_always_be_read() {
        check("User-agent: *\nDisallow: /", &["/robots.txt"], &["/robots.txt?x", "/"]);
    }

    #[test]
    fn what_comes_after_the_bound_does_not_count() {
        let filler = "# filler\n".repeat(FILE_BYTES_MAX / 9 + 1);
        check(&format!("User-agent: *\nDisallow: /a\n{filler}Disallow: /b"), &["/b"], &["/a"]);
    }

    #[test]
    fn a_crawl_delay_is_a_number_of_seconds_to_a_bound() {
        let delay = |value| {
            let file = format!("User-agent: *\nCrawl-delay: {value}\nDisallow: /x");
            Rules::parse(file.as_bytes(), "silkmill").crawl_delay()
        };
        for (value, seconds) in
            [("2", 2.0), ("0.5", 0.5), ("1e3", 60.0), ("inf", 60.0), ("1e300", 60.0)]
        {
            assert_eq!(delay(value), Some(Duration::from_secs_f64(seconds)), "{value}");
        }
        for value in ["", "0", "-1", "soon", "NaN"] {
            assert_eq!(delay(value), None, "{value}");
        }
    }

    #[test]
    fn our_name_in_files_is_the_first_word_of_the_user_agent() {
        assert_eq!(product("silkmill/0.1.0"), "silkmill");
        assert_eq!(product("My_Own-Bot 2.0"), "My_Own-Bot");
        assert_eq!(product("5"), "");
    }
}
