//! Turns the arguments that `fetch` and `scrape` share into the options of a run.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use silkmill_scrape::{Method, Options, OptionsBuilder};

use crate::args::UrlListArgs;
use crate::cmd::url_list::cookies::Cookies;
use crate::cmd::url_list::proxies::environment_proxies;
use crate::messages::reason;

pub(in crate::cmd) fn options_of(
    options: OptionsBuilder,
    cookies: &Cookies,
    args: &UrlListArgs,
) -> Result<Options> {
    let mut options = options
        .workers(args.workers as usize)
        .per_host(args.per_host)
        .delay(args.delay)
        .timeout(args.timeout)
        .connect_timeout(args.connect_timeout)
        .retries(args.retries)
        .host_errors_max(args.max_host_errors)
        .redirects_max(args.max_redirects)
        .body_bytes_max(args.max_body)
        .retry_post(args.retry_post)
        .follow_refresh(args.follow_refresh)
        .ordered(args.ordered)
        .robots(args.robots)
        .deny_private(args.deny_private)
        .insecure(args.insecure)
        .measure_cpu(args.stats);
    if let Some(timeout) = args.first_byte_timeout {
        options = options.first_byte_timeout(timeout);
    }
    for file in &args.cacert {
        options = options.trust_file(file);
    }
    if let Some(method) = &args.method {
        options = options.method(Method::parse(method)?);
    }
    if let Some(data) = &args.data {
        options = options.data(data_of(data, args)?);
    }
    if let Some(jar) = cookies.jar() {
        options = options.cookie_jar(jar);
    }
    if !args.no_proxy {
        options = environment_proxies(options, args.proxy.as_deref());
    }
    for header in &args.header {
        options = options.header(header);
    }
    if let Some(path) = &args.warc {
        options = options.warc(path);
    }
    if let Some(folder) = &args.cache {
        options = options.cache(folder);
    }
    for path in &args.replay {
        options = options.replay(path);
    }
    if let Some(name) = &args.user_agent {
        options = options.user_agent(name);
    }
    Ok(options.build()?)
}

/// Returns the body of the requests: the text that was given, or the bytes of a file.
fn data_of(data: &str, args: &UrlListArgs) -> Result<Vec<u8>> {
    let Some(file) = data.strip_prefix('@') else { return Ok(data.into()) };
    let read = match file {
        "-" => {
            let is_taken = args.input.as_deref() == Some(Path::new("-"));
            ensure!(!is_taken, "failed to read the data from stdin: the URLs come from there");
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        file => fs::read(file),
    };
    read.map_err(|error| anyhow!("failed to read the data from {file:?}: {}", reason(&error)))
}
