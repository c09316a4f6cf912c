"""The options of calls, for annotations: ``def mine(**options: Unpack[silkmill.options.FetchOptions])``.

They have the names of the options of the ``silkmill`` command, and mean the same; ``silkmill fetch --help`` says what.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict, Union

#: A path, as the functions of this package take it.
StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class ReplaceOptions(TypedDict, total=False):
    """The options of :func:`silkmill.replace`."""

    #: OLD is a regex, and NEW a template with ``$1`` and ``${name}``.
    regex: bool
    #: Letters of different case are equal.
    ignore_case: bool
    #: They are, unless OLD has an upper-case letter.
    smart_case: bool
    #: Whole words only.
    word: bool
    #: Also other styles of names: ``old_name``, ``OldName``, ``OLD_NAME``.
    preserve_case: bool
    #: A regex may match across lines.
    multiline: bool
    #: Many texts in one pass: a mapping of OLD to NEW, or a ``.tsv``, ``.csv`` or ``.json`` file.
    pairs: Mapping[str, str] | StrPath | None
    #: The most matches that are replaced in each file.
    max_count: int | None
    #: Files and directories, beside those of the call. An empty list is none of them, and not the current directory.
    paths: StrPath | Iterable[StrPath] | None
    #: Only files that match, or, with a leading "!", that do not.
    glob: str | Iterable[str] | None
    #: Only files of these types, such as ``py``.
    type: str | Iterable[str] | None
    #: Also hidden files.
    hidden: bool
    #: Also files that ``.gitignore`` and ``.ignore`` exclude.
    no_ignore: bool
    #: How files without a byte order mark are read, such as ``latin1``; ``bytes`` edits bytes.
    encoding: str | None
    #: What to do with a file that has a NUL.
    binary: Literal["skip", "edit"] | None
    #: Larger files are left alone: bytes, or a text such as "10M".
    max_file_size: int | str | None
    #: Unchanged lines around each change of a diff (3).
    context: int | None
    #: Also the names of files and directories.
    rename: bool
    #: Only these names.
    rename_only: bool
    #: Refuse the run unless it makes exactly this many replacements.
    expect: int | None
    #: Refuse the run if any file cannot be read.
    strict: bool
    #: What to do with a file that has several names.
    hard_links: Literal["keep", "split", "refuse"] | None
    #: Do not keep the originals.
    no_undo: bool
    #: Do not force the new files to disk.
    no_sync: bool
    #: Threads that read and write.
    workers: int | None


class FieldOptions(TypedDict, total=False):
    """Which fields :func:`silkmill.scrape` and :func:`silkmill.extract` read."""

    #: XPath 1.0: a mapping of names to expressions, or texts as "NAME=EXPR".
    xpath: Mapping[str, str] | Iterable[str] | str | None
    #: CSS selectors: a mapping of names to selectors, or texts as "NAME=SELECTOR"; ``SELECTOR@attr`` gives an attribute.
    css: Mapping[str, str] | Iterable[str] | str | None
    #: Regexes over the text: a mapping of names to regexes, or texts as "NAME=RE"; the first group, or the whole match.
    regex: Mapping[str, str] | Iterable[str] | str | None
    #: JSONPath (RFC 9535) in JSON, or in the JSON scripts of a page: a mapping of names to paths, or texts as "NAME=PATH".
    jsonpath: Mapping[str, str] | Iterable[str] | str | None


class RequestOptions(TypedDict, total=False):
    """The options that :func:`silkmill.fetch`, :func:`silkmill.scrape` and :func:`silkmill.crawl` have in common."""

    #: Threads of the engine, each of which requests one URL at a time (64).
    workers: int | None
    #: Requests to one host at once; 0 is no limit (8).
    per_host: int | None
    #: Seconds between the starts of two requests to one host.
    delay: float | None
    #: Seconds for one attempt, redirects and body included (30).
    timeout: float | None
    #: Seconds to look up a host, and again to connect to it (10).
    connect_timeout: float | None
    #: Seconds from the connection to the first byte of the response.
    first_byte_timeout: float | None
    #: Retries after a transient failure (2).
    retries: int | None
    #: Rows of a host that end without a response, one after the other, before its other rows are errors at once; 0 is never (30).
    max_host_errors: int | None
    #: Redirects to follow (10).
    max_redirects: int | None
    #: Bytes of a body to read, or a text such as "10M" (10 MiB).
    max_body: int | str | None
    #: Headers to send: a mapping, or texts as "Name: value".
    header: Mapping[str, str] | Iterable[str] | str | None
    #: The User-Agent to send.
    user_agent: str | None
    #: Refuse all private, loopback and link-local addresses.
    deny_private: bool
    #: The proxy to use, instead of those that the environment names.
    proxy: str | None
    #: Use no proxy, whatever the environment says.
    no_proxy: bool
    #: Files with certificates to trust besides the system's.
    cacert: StrPath | Iterable[StrPath] | None
    #: Accept every certificate.
    insecure: bool
    #: Files with cookies to send, in Netscape's format.
    cookies: StrPath | Iterable[StrPath] | None
    #: The file to write all cookies to when the run has ended.
    cookie_jar: StrPath | None
    #: Archive every request and response: a file that ends in ".warc.gz" or ".warc", or a folder of files.
    warc: StrPath | None
    #: A folder of responses that are used again, as a browser's cache does.
    cache: StrPath | None
    #: Archives, or folders of them, that answer the run instead of servers.
    replay: StrPath | Iterable[StrPath] | None


class ListOptions(RequestOptions, total=False):
    """The options that :func:`silkmill.fetch` and :func:`silkmill.scrape` have in common."""

    #: Retry also what may do something twice then.
    retry_post: bool
    #: Take Refresh headers and elements for redirects.
    follow_refresh: bool
    #: Obey robots.txt.
    robots: bool
    #: The method of the requests.
    method: str | None
    #: The body of every request.
    data: str | bytes | None
    #: The URLs of sitemaps, indexes or feeds: the pages that they list are requested after those of ``urls``.
    sitemap: Iterable[str] | str | None
    #: Leave out pages of sitemaps that were changed last before this date, as "2026-11-28".
    since: str | None
    #: Only the part of the list that is ``"I/N"``: all URLs of a host are in one part. ``row.index`` is that of the whole list.
    shard: str | None
    #: Hand on the rows in the order of the URLs.
    ordered: bool


class FetchOptions(ListOptions, total=False):
    """The options of :func:`silkmill.fetch`."""

    #: A folder for the bodies, each a file that is named by the index of its row.
    save: StrPath | None


class ScrapeOptions(ListOptions, FieldOptions, total=False):
    """The options of :func:`silkmill.scrape`."""


class CrawlOptions(RequestOptions, FieldOptions, total=False):
    """The options of :func:`silkmill.crawl`."""

    #: Which links are followed: to paths below that of a URL given, to their hosts, to their registrable domains, or all ("host").
    scope: Literal["prefix", "host", "domain", "any"] | None
    #: Follow only links whose URL matches the regex, or one of several.
    include: Iterable[str] | str | None
    #: Follow no link whose URL matches the regex, or one of several.
    exclude: Iterable[str] | str | None
    #: End with this many rows. A later call with a larger number goes on.
    max_pages: int | None
    #: Follow at most this many links from a URL given to a page.
    max_depth: int | None
    #: Ask no host for more than this many rows.
    max_pages_per_host: int | None
    #: "auto": the sitemaps that robots.txt names, and /sitemap.xml; "off"; or the URLs of sitemaps.
    sitemap: Iterable[str] | str | None
    #: Leave out pages of sitemaps that were changed last before this date, as "2026-11-28".
    since: str | None
    #: Write every link of every page to this file (.jsonl or .csv). It is for a crawl with an output.
    links: StrPath | None
    #: Ask once for the status of what is linked and not followed, too: :attr:`silkmill.Crawl.broken_links`.
    check: bool
    #: Check links, and whether pages have what the #fragments of links point to.
    check_fragments: bool
    #: The delay of a host is the time to its first byte divided by this; 0 is off (1).
    auto_throttle: float | None
    #: Obey neither robots.txt nor nofollow.
    no_robots: bool
    #: The file for the rows, beside which the job lies. The same call goes on.
    output: StrPath | None
    #: The format of the output, where its extension does not say it.
    format: Literal["text", "jsonl", "csv", "sqlite"] | None
    #: Begin anew: overwrite the output and remove its job.
    force: bool
