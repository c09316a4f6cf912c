//! The words of `silkmill fetch` and `silkmill scrape`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::args::field::FieldArgs;
use crate::args::units::{bytes, delay, seconds};
use crate::args::when::When;

/// More threads than this are a slip of the finger.
const WORKERS_MAX: i64 = 10_000;

/// Ask for every URL and print its status, one row a URL.
///
/// Every line of the input gives exactly one row: STATUS<TAB>URL, or ERR<TAB>URL<TAB>kind: message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silkmill fetch https://example.com/ https://example.org/
  silkmill fetch -i urls.txt -o rows.jsonl
  silkmill fetch -i urls.txt -o rows.db --resume
  grep -o 'https://[^\"]*' page.html | silkmill fetch -i - --ordered

Exit: 0 every row has a response, 1 some rows are errors, 2 usage or set-up error, 130 interrupted.
A reader that closes our output ends the run quietly, with 0.")]
pub(crate) struct FetchArgs {
    /// Keep every body as a file of DIR, which must be empty or not exist. A file is named by the index of
    /// its row: 00000042
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) url_list: UrlListArgs,
}

/// Ask for every URL and print the title and fields of its page, one row a URL.
///
/// Every line of the input gives exactly one row: URL<TAB>TITLE and one more column for each field, in
/// the order given, or URL<TAB>ERR kind: message. Several values of a field are separated by " | ",
/// and white space in them is collapsed; --format jsonl keeps it.
///
/// Only HTML, XHTML and XML are read for a title and fields, and what comes without a Content-Type;
/// a PDF or JSON has neither.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  silkmill scrape -i urls.txt
  silkmill scrape --xpath 'price=//p[@class=\"price\"]/text()' --css 'link=a@href' -i urls.txt -o rows.jsonl

Exit: 0 every row has a response, 1 some rows are errors, 2 usage or set-up error, 130 interrupted.
A reader that closes our output ends the run quietly, with 0.")]
pub(crate) struct ScrapeArgs {
    #[command(flatten)]
    pub(crate) fields: FieldArgs,

    #[command(flatten)]
    pub(crate) url_list: UrlListArgs,
}

/// What to ask for, how, and where the rows go.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("list").args(["urls", "input"]).required(true).multiple(true)))]
pub(crate) struct UrlListArgs {
    /// What to ask for
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,

    /// One URL a line; "-" is stdin. Blank lines and lines starting with # are passed over
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Threads, each of which asks for one URL at a time
    #[arg(short = 'j', long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    pub(crate) workers: u32,

    /// Requests to one host at once; 0 is no limit, for a host that is yours. A host is a name or an
    /// address, with a port: a list of one host is read by so many threads, however many there are
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) per_host: usize,

    /// Seconds between the starts of two requests to one host
    #[arg(long, value_name = "SECS", default_value = "0", value_parser = delay)]
    pub(crate) delay: Duration,

    /// Seconds for one attempt, redirects and body included
    #[arg(long, value_name = "SECS", default_value = "30", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Seconds to find a host's address, and again to connect to it
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,

    /// Seconds from a connection to the first byte of the response [default: what --timeout leaves]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) first_byte_timeout: Option<Duration>,

    /// Attempts after the first, when there was no connection, no answer on it, or the status was
    /// 429, 502, 503 or 504; each after a pause, in which the thread does other work: that of
    /// Retry-After, up to a minute, or one that doubles
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) retries: u32,

    /// Redirects to follow; with 0 the redirect itself is the response
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) max_redirects: u32,

    /// Bytes of a body to read, after decompression; K, M and G are powers of 1024
    #[arg(long, value_name = "BYTES", default_value = "10M", value_parser = bytes)]
    pub(crate) max_body: u64,

    /// A header to send, as "Name: value"; Authorization, Cookie, Host and Proxy-Authorization are
    /// not sent on to another host [repeatable]
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Who to say that we are [default: silkmill/VERSION]
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,

    /// Obey the robots.txt of every host, with its Crawl-delay (RFC 9309)
    #[arg(long)]
    pub(crate) robots: bool,

    /// Refuse every private, loopback and link-local address, after names are looked up and for every
    /// redirect; without it only those that a public server redirects to are refused
    #[arg(long)]
    pub(crate) deny_private: bool,

    /// The proxy to use: http://, https:// (over TLS), socks5:// or, to let it look up names, socks5h://,
    /// with USER:PASSWORD@ if it wants them [default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY; but not for the hosts of NO_PROXY]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Trust the certificates of FILE, in PEM, besides the system's [repeatable]
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Vec<PathBuf>,

    /// Take every certificate, whoever it is of
    #[arg(long)]
    pub(crate) insecure: bool,

    /// How to ask
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET", ignore_case = true)]
    pub(crate) method: Method,

    /// Write the rows to FILE, which must not exist; "-" is stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Go on with the output file, if it exists: rows that are there are not asked for again, and one
    /// that was torn when the run was killed is repaired. The list and the fields must be the same
    #[arg(long, requires = "output", conflicts_with = "force")]
    pub(crate) resume: bool,

    /// Overwrite the output file
    #[arg(long, requires = "output")]
    pub(crate) force: bool,

    /// How to write rows [default: by the output's extension (.jsonl, .csv, .db, .sqlite), else text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,

    /// Keep the rows in the input's order; else each comes when it is ready. Up to 16 rows for each worker
    /// wait for an earlier one; then no more lines are read. However the run ends, its rows are the beginning
    /// of the list: --resume goes on behind them
    #[arg(long)]
    pub(crate) ordered: bool,

    /// Whether to show on stderr how far it is; auto: on a terminal, after half a second
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,

    /// Say nothing on stderr but what went wrong with the run
    #[arg(short, long, conflicts_with_all = ["verbose", "stats"])]
    pub(crate) quiet: bool,

    /// Say on stderr what it came to
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Say on stderr how long each phase took, what the threads did with their time, and whether more
    /// of them would help
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    #[value(name = "GET")]
    Get,
    #[value(name = "HEAD")]
    Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, separated by tabs
    Text,
    /// One JSON object a line
    Jsonl,
    /// Every column from the first row on; several values of a field are a JSON array
    Csv,
    /// A database with a table "rows" and an index on its url
    Sqlite,
}
