//! Other crawlers, each in its fastest form: many requests at once, no delay, no robots.txt, and
//! nothing kept beyond what it cannot do without.

use std::process::Command;

use super::{Bench, Side, WORKERS};
use crate::bench::is_installed;

/// Scrapy with the title of each page, as a row of ours has it. Its queue and its filter are in
/// memory, which is its default and its fastest form.
const SCRAPY: &str = "
import sys
import scrapy
from scrapy.crawler import CrawlerProcess
out = open(sys.argv[2], 'w')
class Spider(scrapy.Spider):
    name = 'bench'
    start_urls = [sys.argv[1]]
    def parse(self, response):
        title = response.xpath('//title/text()').get()
        print(response.url, response.status, title, sep='\\t', file=out)
        for link in response.xpath('//a/@href').getall():
            yield scrapy.Request(response.urljoin(link))
process = CrawlerProcess({'LOG_ENABLED': False, 'CONCURRENT_REQUESTS': 64,
    'CONCURRENT_REQUESTS_PER_DOMAIN': 64, 'ROBOTSTXT_OBEY': False, 'DOWNLOAD_DELAY': 0,
    'TELNETCONSOLE_ENABLED': False, 'RETRY_ENABLED': False, 'COOKIES_ENABLED': False})
process.crawl(Spider)
process.start()
";

/// Returns the peers that are installed.
pub(super) fn sides(bench: &Bench) -> Vec<Side> {
    let (seed, folder) = (bench.seed(), bench.path("peer"));
    let mut sides = Vec::new();
    if has_scrapy() {
        let mut command = Command::new("python3");
        command.args(["-c", SCRAPY, &seed]).arg(folder.join("rows.txt"));
        sides.push(Side::new("Scrapy, 64 at once", command));
    }
    if is_installed("spider", "cargo install spider_cli") {
        let mut command = Command::new("spider");
        command.args(["--url", &seed, "--delay", "0", "crawl", "-o"]);
        sides.push(Side::new("spider", command));
    }
    if is_installed("wget2", "apt install wget2") {
        let mut command = Command::new("wget2");
        command.args(["-r", "-l", "0", "-q", "--no-robots", "--max-threads", WORKERS]);
        command.arg("-P").arg(&folder).arg(&seed);
        sides.push(Side::new("wget2, 64 threads", command));
    }
    if is_installed("wget", "apt install wget") {
        let mut command = Command::new("wget");
        command.args(["-r", "-l", "inf", "-q", "-e", "robots=off", "-P"]).arg(&folder).arg(&seed);
        sides.push(Side::new("wget -r", command));
    }
    sides
}

fn has_scrapy() -> bool {
    let output = Command::new("python3").args(["-c", "import scrapy"]).output();
    let yes = output.is_ok_and(|output| output.status.success());
    if !yes {
        println!("not measured beside Scrapy: python3 -m pip install scrapy");
    }
    yes
}
