//! Turns the arguments that `fetch` and `scrape` share into the options of a run.

use anyhow::Result;
use silkmill_scrape::{self as scrape, Options, OptionsBuilder};

use crate::args::{Method, UrlListArgs};
use crate::cmd::url_list::proxies;

pub(super) fn options_of(options: OptionsBuilder, args: &UrlListArgs) -> Result<Options> {
    let mut options = options
        .workers(args.workers as usize)
        .per_host(args.per_host)
        .delay(args.delay)
        .timeout(args.timeout)
        .connect_timeout(args.connect_timeout)
        .retries(args.retries)
        .redirects_max(args.max_redirects)
        .body_bytes_max(args.max_body)
        .method(match args.method {
            Method::Get => scrape::Method::Get,
            Method::Head => scrape::Method::Head,
        })
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
    options = proxies::set(options, args.proxy.as_deref());
    for header in &args.header {
        options = options.header(header);
    }
    if let Some(name) = &args.user_agent {
        options = options.user_agent(name);
    }
    Ok(options.build()?)
}
