//! The arguments of `silkmill crawl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::fetch::UrlListArgs;
use crate::args::field::FieldArgs;
use crate::args::units::{lease, throttle};

/// Request every page within a scope and write the title, fields and links of each, one row a page.
///
/// It begins at the URLs given and follows their links. The rows go to FILE, and everything that
/// the crawl needs in order to go on to FILE.crawl beside it. However the crawl ends, the same
/// command goes on with it: no page has two rows, and none is lost. Another command is refused.
///
/// A row is one of scrape, with the depth of the page, its parent (the index of the row of the page
/// that led there), its number of links and its canonical address. A redirect is a link: the page
/// that redirects has a row, and so has the page that it redirects to.
///
/// A link is an a, area, iframe, frame, a refresh, or a link (or Link header) to the next or
/// previous page. It is not followed when its URL is longer than 4,096 bytes, when a segment of its
/// path stands three times in a row, or when 10,000 links stand before it in the page; the last
/// line on stderr says how many links were not followed, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silkmill crawl https://example.com/ -o rows.jsonl
  silkmill crawl https://example.com/docs/ --scope prefix --max-pages 1000 -o rows.csv
  silkmill crawl https://example.com/ -o rows.jsonl --check --exclude '/archive/'
  silkmill crawl https://example.com/ -o rows.db --exclude '[?&]session=' --css 'price=.price'
  silkmill crawl https://example.com/ -o rows.jsonl --scope domain --links links.csv
  silkmill crawl https://example.com/ -o rows.jsonl --sitemap https://example.com/news.xml \\
    --since 2026-11 --max-depth 0
  silkmill crawl https://example.com/ -o rows.jsonl --warc site.warc.gz

Exit: 0 every row has a response, 1 some rows are errors, 2 usage or set-up error, 130 interrupted.
With --check: 0 no link is broken, 1 some are.")]
#[command(mut_arg("output", |arg| {
    arg.required(false).required_unless_present("frontier").help(OUTPUT)
}))]
#[command(mut_arg("urls", |arg| arg.required(true).help("The URLs to begin at")))]
#[command(mut_arg("force", |arg| arg.help("Begin anew: overwrite FILE and remove its job")))]
#[command(mut_arg("input", |arg| arg.hide(true)))]
#[command(mut_arg("robots", |arg| arg.hide(true)))]
#[command(mut_arg("resume", |arg| arg.hide(true)))]
#[command(mut_arg("ordered", |arg| arg.hide(true)))]
#[command(mut_arg("follow_refresh", |arg| arg.hide(true)))]
#[command(mut_arg("method", |arg| arg.hide(true)))]
#[command(mut_arg("data", |arg| arg.hide(true)))]
#[command(mut_arg("retry_post", |arg| arg.hide(true)))]
#[command(mut_arg("shard", |arg| arg.hide(true)))]
#[command(mut_arg("url_column", |arg| arg.hide(true)))]
#[command(mut_arg("input_format", |arg| arg.hide(true)))]
#[command(mut_arg("retry_errors", |arg| arg.hide(true)))]
pub(crate) struct CrawlArgs {
    #[command(flatten)]
    pub(crate) fields: FieldArgs,

    /// Which links are followed: prefix, to paths below that of a URL given; host, to their hosts,
    /// by http and https; domain, to their registrable domains (a.b.co.uk is of b.co.uk); any, to
    /// every host. Where a URL given redirects to is as if it had been given
    #[arg(long, value_name = "SCOPE", default_value = "host")]
    pub(crate) scope: ScopeArg,

    /// Follow only links whose URL matches the regex, or one of several [repeatable]
    #[arg(long, value_name = "REGEX")]
    pub(crate) include: Vec<String>,

    /// Follow and check no link whose URL matches the regex, whatever is included [repeatable]
    #[arg(long, value_name = "REGEX")]
    pub(crate) exclude: Vec<String>,

    /// End with this many rows. A later run with a larger number goes on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_pages: Option<u64>,

    /// Follow at most this many links from a URL given to a page; 0 requests those URLs alone
    #[arg(long, value_name = "N")]
    pub(crate) max_depth: Option<u32>,

    /// Ask no host for more than this many rows. A later run with a larger number goes on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_pages_per_host: Option<u64>,

    /// Read sitemaps for pages to begin at: auto, those that the robots.txt of a host given names
    /// and its /sitemap.xml; off, none; or those at URL [repeatable]. Indexes, feeds, plain lists
    /// and gzip are known. Their pages have depth 0, and must be in the scope
    #[arg(long, value_name = "auto|off|URL", default_value = "auto")]
    pub(crate) sitemap: Vec<String>,

    /// Leave out pages of sitemaps that say they were changed last before DATE: 2026-11-28,
    /// 2026-11, 2026, or 2026-11-28T10:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<String>,

    /// Write every link of every page to FILE (.jsonl or .csv): from, to, element, text, rel,
    /// whether it is followed, and why not
    #[arg(long, value_name = "FILE")]
    pub(crate) links: Option<PathBuf>,

    /// Check links: ask once for the status of what is linked and not followed, too (pages beyond
    /// the scope, images, scripts, styles), with HEAD and, where that says no, with GET. Print a
    /// line for each broken link on stdout: STATUS or ERR, URL, the pages that have it, and what is
    /// wrong. Exit with 1 if there are any
    #[arg(long)]
    pub(crate) check: bool,

    /// Check links, and whether pages within the scope have what the #fragments of links point to
    #[arg(long)]
    pub(crate) check_fragments: bool,

    /// Ask each host as fast as it answers: its delay follows the time to the first byte, divided
    /// by N; it doubles after 429, 503 and a time that was up, and is never less than --delay or
    /// the Crawl-delay. A run that goes on begins with what was learned. 0 is off. A host that
    /// answers within 5 ms has no such delay
    #[arg(long, value_name = "N", default_value = "1", value_parser = throttle)]
    pub(crate) auto_throttle: f64,

    /// Obey neither robots.txt and its Crawl-delay (RFC 9309) nor a nofollow of a link, a page or
    /// an X-Robots-Tag
    #[arg(long)]
    pub(crate) no_robots: bool,

    /// Share the crawl with other processes: keep its job and its rows in a PostgreSQL database,
    /// postgres://USER@HOST/DATABASE, where every process that is given the same words works on
    /// it. PGPASSWORD has the password. With -o, FILE gets all rows when the crawl is complete. A
    /// program that was built with the feature "postgres" has this
    #[arg(long, value_name = "URL")]
    pub(crate) frontier: Option<String>,

    /// The name of a crawl in the database: a schema, whose table "rows" has the rows
    #[arg(long, value_name = "NAME", default_value = "silkmill", requires = "frontier")]
    pub(crate) job: String,

    /// How long a host stays with a process of the crawl that has died, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = lease)]
    #[arg(requires = "frontier")]
    pub(crate) lease: Duration,

    #[command(flatten)]
    pub(crate) url_list: UrlListArgs,
}

const OUTPUT: &str = "Write the rows to FILE, by its extension (.jsonl, .csv, .db, .sqlite) or \
                      --format, and the job to FILE.crawl";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeArg {
    Prefix,
    Host,
    Domain,
    Any,
}
