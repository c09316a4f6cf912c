//! The arguments of `silkmill fetch` and `silkmill scrape`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::args::field::FieldArgs;
use crate::args::shard::Shard;
use crate::args::sitemap::SitemapArgs;
use crate::args::units::{bytes, delay, seconds};
use crate::args::when::When;

/// More threads than this are a typing error.
const WORKERS_MAX: i64 = 10_000;

/// Request every URL and print its status, one row per URL.
///
/// Every line of the input gives exactly one row: STATUS<TAB>URL, or ERR<TAB>URL<TAB>kind: message.
/// A response that failed after its head has ERR STATUS in the first column.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silkmill fetch https://example.com/ https://example.org/
  silkmill fetch -i urls.txt -o rows.jsonl
  silkmill fetch -i urls.txt -o rows.db --resume
  silkmill fetch -i urls.txt -o rows.db --resume --retry-errors
  silkmill fetch -i shop.csv --input-format csv --url-column link -o rows.csv
  silkmill fetch -i urls.txt --shard 0/4 -o rows-0.jsonl
  silkmill fetch --sitemap https://example.com/sitemap.xml --since 2026-11 -o rows.jsonl
  silkmill fetch -i urls.txt -o rows.jsonl --warc pages.warc.gz
  grep -o 'https://[^\"]*' page.html | silkmill fetch -i - --ordered

Exit status: 0 every row has a response, 1 some rows are errors, 2 an error of usage, set-up, list \
or output, 130 interrupted. When the reader closes our output, the run ends quietly, with 0.")]
pub(crate) struct FetchArgs {
    /// Save every body to a file in DIR, which must be empty or not exist. A file is named after
    /// the index of its row: 00000042
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) sitemaps: SitemapArgs,

    #[command(flatten)]
    pub(crate) url_list: UrlListArgs,
}

/// Request every URL and print the title and fields of its page, one row per URL.
///
/// Every line of the input gives exactly one row: STATUS<TAB>URL<TAB>TITLE and one more column for
/// each field, in the order given, or ERR<TAB>URL<TAB>kind: message. A response that failed after
/// its head has ERR STATUS in the first column. Several values of a field are separated by " | ",
/// and white space in them is collapsed; --format jsonl keeps it.
///
/// Titles, XPath and CSS are read from HTML, and from XML by XML's own rules: names match in every
/// namespace, a title is one of XHTML or SVG as in a browser (a feed has none: --xpath
/// /rss/channel/title), and of what is not well-formed everything before the mistake is kept, with
/// an error in the row. Regexes are looked for in the text of anything, JSONPath in JSON.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silkmill scrape -i urls.txt
  silkmill scrape -i urls.txt -o rows.jsonl --css 'link=a@href' \\
    --xpath 'price=//p[@class=\"price\"]/text()'
  silkmill scrape --sitemap https://example.com/sitemap.xml -o rows.csv --css price=.price
  silkmill scrape -i shops.txt -o rows.jsonl --jsonpath 'price=$..offers.price' \\
    --regex 'sku=SKU: (\\d+)' --css 'links=a@abs:href'
  silkmill scrape -i urls.txt -o rows.jsonl --css 'price=.price' --replay pages.warc.gz

Exit status: 0 every row has a response, 1 some rows are errors, 2 an error of usage, set-up, list \
or output, 130 interrupted. When the reader closes our output, the run ends quietly, with 0.")]
pub(crate) struct ScrapeArgs {
    #[command(flatten)]
    pub(crate) fields: FieldArgs,

    #[command(flatten)]
    pub(crate) sitemaps: SitemapArgs,

    #[command(flatten)]
    pub(crate) url_list: UrlListArgs,
}

/// The arguments that both commands share: which URLs, how to request them, and where the rows go.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("list").args(["urls", "input"]).required(true).multiple(true)))]
pub(crate) struct UrlListArgs {
    /// The URLs to request; a host without a scheme is asked by https, and by http if that fails
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,

    /// Read URLs from FILE, one a line; "-" is stdin. Blank lines and lines that start with # are
    /// skipped. A URL ends at a tab; in rows of fetch and scrape it is the second column. UTF-16 is
    /// read by its byte order mark
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// What the input is made of. With csv and jsonl the other columns of each URL come with its
    /// row: under "input" in JSON, as columns input_NAME in CSV and SQLite; text has none
    #[arg(long, value_name = "FORMAT", default_value = "lines", requires = "input")]
    pub(crate) input_format: InputFormat,

    /// The column, or the key, that has the URLs [default: url, in capitals or not]
    #[arg(long, value_name = "NAME", requires = "input")]
    pub(crate) url_column: Option<String>,

    /// Request only the lines of shard I of N, from 0: all lines of a host are in one shard, by a
    /// hash that does not change (docs/shards.md). Rows have the index of their line in the whole
    /// list
    #[arg(long, value_name = "I/N", value_parser = Shard::parse)]
    pub(crate) shard: Option<Shard>,

    /// Threads, each of which requests one URL at a time
    #[arg(short = 'j', long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    pub(crate) workers: u32,

    /// Concurrent requests to one host; 0 means no limit, for a host of your own. A host is a name
    /// or an address, with a port. A list of one host is requested by at most this many threads
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) per_host: usize,

    /// Seconds between the starts of two requests to one host
    #[arg(long, value_name = "SECS", default_value = "0", value_parser = delay)]
    pub(crate) delay: Duration,

    /// Seconds for one attempt, redirects and body included
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Seconds to look up a host's address, and again to connect to it
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,

    /// Seconds from the connection to the first byte of the response [default: what --timeout
    /// leaves]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) first_byte_timeout: Option<Duration>,

    /// Retries when the connection failed, when it ended or the time was up before the first byte
    /// of a response, or when the status was 429, 502, 503 or 504 (of robots.txt, too). A response
    /// that takes too long once it has begun is not retried. The pause before each retry is the one
    /// in Retry-After, up to a minute, or one that doubles; meanwhile the thread does other work. A
    /// request with --data, or with a method that does something each time (POST, PATCH), is only
    /// retried when it was not sent
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) retries: u32,

    /// Retry every request, also one that may do something twice then
    #[arg(long)]
    pub(crate) retry_post: bool,

    /// Give a host up after N rows in a row that ended, all retries spent, without a response or
    /// with status 429, 502, 503 or 504: its other rows are errors of the kind "host" at once. Any
    /// other answer, a 500 too, starts the count anew; 0 means never
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) max_host_errors: u32,

    /// Redirects to follow; with 0 the redirect itself is the response
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) max_redirects: u32,

    /// Take Refresh headers and <meta http-equiv=refresh> for redirects, if they lead to another
    /// page within a minute; they are not waited for
    #[arg(long)]
    pub(crate) follow_refresh: bool,

    /// Bytes of a body to read, after decompression; K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES", default_value = "10M", value_parser = bytes)]
    pub(crate) max_body: u64,

    /// A header to send, as "Name: value"; Authorization, Cookie, Host and Proxy-Authorization are
    /// not sent to another host after a redirect [repeatable]
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// The User-Agent to send [default: silkmill/VERSION]
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,

    /// Obey the robots.txt of every host, with its Crawl-delay (RFC 9309)
    #[arg(long)]
    pub(crate) robots: bool,

    /// Refuse all private, loopback and link-local addresses, also those that a name or a redirect
    /// leads to; without it, only those that a public server redirects to are refused
    #[arg(long)]
    pub(crate) deny_private: bool,

    /// The proxy to use: http://, https:// (over TLS), socks5:// or, to let the proxy look up
    /// names, socks5h://, with USER:PASSWORD@ if it needs them. Hosts in NO_PROXY, which commas or
    /// spaces separate, are requested directly [default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Use no proxy, whatever the environment says
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) no_proxy: bool,

    /// Trust the certificates in FILE (PEM) besides the system's [repeatable]
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Vec<PathBuf>,

    /// Accept every certificate, without checking it
    #[arg(long)]
    pub(crate) insecure: bool,

    /// The method of the requests [default: GET, or POST with --data]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// Send DATA as the body of every request, or the bytes of a file with @FILE; "@-" is stdin. It
    /// is a form unless -H says another Content-Type
    #[arg(long, value_name = "DATA|@FILE")]
    pub(crate) data: Option<String>,

    /// Send the cookies in FILE (in Netscape's format, as browsers' extensions and curl write it),
    /// and keep those that servers set for the whole run [repeatable]
    #[arg(short = 'b', long, value_name = "FILE")]
    pub(crate) cookies: Vec<PathBuf>,

    /// Write all cookies to FILE at the end of the run, and keep them for the whole run; without -b
    /// and -c they are kept along the redirects of one URL
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) cookie_jar: Option<PathBuf>,

    /// Archive every request and response in FILE (.warc.gz, or .warc), or in files in a folder if
    /// the name has another ending: WARC 1.1, with the cookies and passwords that were sent. What
    /// is in it stays, and a record that a killed run has torn is cut off
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "replay")]
    pub(crate) warc: Option<PathBuf>,

    /// Use responses again that are stored in DIR, as a browser's cache does (RFC 9111): without a
    /// request as long as they are fresh, and else if the server says that nothing has changed. DIR
    /// has WARC files and an index
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    pub(crate) cache: Option<PathBuf>,

    /// Answer every request from a WARC file, or those in a folder, and make no connection: the
    /// latest response to it, or else an error of the kind "archive" [repeatable]
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) replay: Vec<PathBuf>,

    /// Write the rows to FILE, which must not exist unless it is a pipe or a device; "-" is stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Continue the output file, if it exists: rows that it has are not requested again, and a row
    /// that was torn when a run was killed is repaired. The list and the fields must be the same
    #[arg(long, requires = "output", conflicts_with = "force")]
    pub(crate) resume: bool,

    /// With --resume: request the URLs again whose rows are errors, and replace these rows; in a
    /// file of lines the new ones come last
    #[arg(long, requires = "resume")]
    pub(crate) retry_errors: bool,

    /// Overwrite the output file
    #[arg(long, requires = "output")]
    pub(crate) force: bool,

    /// The format of the rows [default: by the output's extension (.jsonl, .ndjson, .json, .csv,
    /// .db, .sqlite), else text]. Rows as lines are compressed into a .gz or .zst file, as in
    /// rows.jsonl.gz
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Write the rows in the order of the input; otherwise each is written when it is ready. Up to
    /// 16 rows per worker wait for an earlier one; then no more lines are read. However the run
    /// ends, its rows are the beginning of the list, and --resume continues after them
    #[arg(long)]
    pub(crate) ordered: bool,

    /// Show on stderr how far the run is, and how long the rest will take; auto: on a terminal,
    /// after half a second, and not between rows on a terminal or in a pipe
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,

    /// Print nothing on stderr but errors of the run: no progress, and no line at the end with the
    /// number of rows, the errors of each kind, and how to go on
    #[arg(short, long, conflicts_with_all = ["verbose", "stats"])]
    pub(crate) quiet: bool,

    /// Print on stderr the first error of each kind
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Print on stderr how long each phase took, how the threads spent their time, and whether more
    /// of them would help
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// One URL a line
    Lines,
    /// The first line names the columns
    Csv,
    /// One JSON object a line
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, separated by tabs
    Text,
    /// One JSON object a line
    Jsonl,
    /// A JSON array of the same objects
    Json,
    /// Every column from the first row on; several values of a field are a JSON array
    Csv,
    /// A database with a table "rows" and an index on its url
    Sqlite,
}
