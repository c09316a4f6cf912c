//! Programs that people write in Python for the same jobs. Each takes a list of URLs and a file for
//! its rows, and reads the title, or with a third word the title and five fields.

use std::path::Path;
use std::process::Command;

/// The fields, as XPath. The real pages have them, and so have the made-up ones.
pub(super) const FIELDS: [&str; 5] = [
    "//h1",
    "//*[contains(@class, 'price')]",
    "//a/@href",
    "count(//p)",
    "//*[contains(@class, 'product')]//p[1]",
];

/// Finds the title and the fields in a page, and makes a row of them.
const READ: &str = "
import sys
from lxml import html
FIELDS = [E] if len(sys.argv) > 3 else []
def text(found):
    if isinstance(found, list):
        return ' | '.join(f if isinstance(f, str) else f.xpath('string()') for f in found)
    return str(found)
def row(body):
    tree = html.fromstring(body)
    return [tree.findtext('.//title').strip()] + [text(tree.xpath(field)) for field in FIELDS]
urls = open(sys.argv[1]).read().split()
out = open(sys.argv[2], 'w')
";

/// The client `requests`, and a pool of 32 threads with a session each.
const THREADS: &str = "
import threading
from concurrent.futures import ThreadPoolExecutor
import requests
local = threading.local()
def read(url):
    if not hasattr(local, 'session'): local.session = requests.Session()
    return url, row(local.session.get(url, timeout=30).content)
with ThreadPoolExecutor(32) as pool:
    for url, cells in pool.map(read, urls):
        print(url, *cells, sep='\\t', file=out)
";

/// The client `aiohttp`, with 64 requests at once.
const ASYNC: &str = "
import asyncio, aiohttp
async def main():
    todo = iter(urls)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        async def work():
            for url in todo:
                async with session.get(url) as response:
                    print(url, *row(await response.read()), sep='\\t', file=out)
        await asyncio.gather(*[work() for _ in range(64)])
asyncio.run(main())
";

/// Scrapy, with 64 requests at once.
const SCRAPY: &str = "
import scrapy
from scrapy.crawler import CrawlerProcess
class Spider(scrapy.Spider):
    name = 'bench'
    async def start(self):
        for url in urls: yield scrapy.Request(url, dont_filter=True)
    def parse(self, response):
        print(response.url, *row(response.body), sep='\\t', file=out)
process = CrawlerProcess({'LOG_ENABLED': False, 'CONCURRENT_REQUESTS': 64,
    'CONCURRENT_REQUESTS_PER_DOMAIN': 64, 'ROBOTSTXT_OBEY': False, 'DOWNLOAD_DELAY': 0,
    'TELNETCONSOLE_ENABLED': False, 'RETRY_ENABLED': False})
process.crawl(Spider)
process.start()
";

/// Parses the pages of a folder and reads the fields, five times, and prints the nanoseconds a byte
/// of the fastest time.
pub(super) const PARSE: &str = "
import glob, sys, time
from lxml import html
pages = [open(path, 'rb').read() for path in sorted(glob.glob(sys.argv[1] + '/*'))]
best = None
for _ in range(5):
    started = time.process_time()
    for page in pages:
        tree = html.fromstring(page)
        tree.findtext('.//title')
        for field in [E]: tree.xpath(field)
    took = time.process_time() - started
    best = took if best is None else min(best, took)
print(best * 1e9 / sum(map(len, pages)))
";

/// The fields of feeds, as XPath.
pub(super) const FEED_FIELDS: [&str; 5] = [
    "//item/title",
    "//item/link",
    "//item/guid/@isPermaLink",
    "count(//item)",
    "//item[category = 'silk']/pubDate",
];

/// The same as [`PARSE`] for feeds, with the expressions compiled once.
pub(super) const PARSE_XML: &str = "
import glob, sys, time
from lxml import etree
pages = [open(path, 'rb').read() for path in sorted(glob.glob(sys.argv[1] + '/*'))]
fields = [etree.XPath(field) for field in [E]]
best = None
for _ in range(5):
    started = time.process_time()
    for page in pages:
        tree = etree.fromstring(page)
        for field in fields: field(tree)
    took = time.process_time() - started
    best = took if best is None else min(best, took)
print(best * 1e9 / sum(map(len, pages)))
";

/// The peers: name, the module that it needs, and program.
pub(super) const PEERS: [(&str, &str, &str); 3] = [
    ("Python: requests + lxml, 32 threads", "requests", THREADS),
    ("Python: aiohttp + lxml, 64 at once", "aiohttp", ASYNC),
    ("Python: Scrapy, 64 at once", "scrapy", SCRAPY),
];

pub(super) fn has_module(module: &str) -> bool {
    let import = format!("import lxml, {module}");
    let output = Command::new("python3").args(["-c", &import]).output();
    let yes = output.is_ok_and(|output| output.status.success());
    if !yes {
        println!("not measured beside Python's {module}: python3 -m pip install lxml {module}");
    }
    yes
}

/// Makes the command that runs a peer over a list.
pub(super) fn command(program: &str, urls: &Path, rows: &Path, with_fields: bool) -> Command {
    let mut command = Command::new("python3");
    let program = with_expressions(&format!("{READ}{program}"), &FIELDS);
    command.arg("-c").arg(program).arg(urls).arg(rows);
    if with_fields {
        command.arg("fields");
    }
    command
}

/// Puts the fields where the program has `[E]`.
pub(super) fn with_expressions(program: &str, fields: &[&str]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| format!("\"{field}\"")).collect();
    program.replace("[E]", &format!("[{}]", fields.join(", ")))
}
