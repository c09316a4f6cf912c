"""URLs in, rows out: :func:`fetch`, :func:`scrape` and :func:`crawl`, and :func:`extract` and :func:`title` for a page that is here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Union, cast, overload

from silkmill._silkmill import Row, RowError, RunBase, Table, extract_page, host_buckets

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TypeVar

    from typing_extensions import Unpack

    from silkmill.options import CrawlOptions, FetchOptions, FieldOptions, ScrapeOptions

    _R = TypeVar("_R", bound="Run")

__all__ = [
    "BrokenLink",
    "Crawl",
    "CrawlTotals",
    "Fields",
    "Progress",
    "Row",
    "RowError",
    "Run",
    "Summary",
    "Table",
    "crawl",
    "extract",
    "fetch",
    "host_bucket",
    "scrape",
    "title",
]

#: One value of a field: the text of a node, or what an XPath has computed.
Value = Union[str, float, bool]

#: How many rows an asynchronous loop takes before it lets others run.
_ROWS_AT_ONCE = 64


class Progress(NamedTuple):
    """How far a run is."""

    #: The rows that the engine has handed on.
    rows: int
    #: Those of them that have an error.
    errors: int
    #: The URLs that were taken and have no row yet.
    in_flight: int
    #: Whether the run has ended.
    is_over: bool


class Summary(NamedTuple):
    """What came of a run."""

    #: The rows that the engine has handed on.
    rows: int
    #: Those of them that have an error.
    errors: int
    #: The time from the start of the run to its end, in seconds.
    elapsed: float
    #: Whether the run was ended before its list was.
    interrupted: bool


class CrawlTotals(NamedTuple):
    """What came of a crawl in all its runs: those of earlier calls with the same output count."""

    #: The rows of the crawl.
    rows: int
    #: Those of them that have an error.
    errors: int
    #: Whether every page was reached. If not, a limit has ended the crawl, or it was interrupted.
    is_complete: bool
    #: How many links were not followed, by the name of the reason, such as ``scope`` or ``robots``.
    refusals: dict[str, int]


class BrokenLink(NamedTuple):
    """A link that leads nowhere."""

    #: The URL that it leads to.
    url: str
    #: A status, the kind of failure and its message, or ``no such fragment``.
    why: str
    #: The pages that have it, ten at most.
    pages: list[str]
    #: How many pages have it.
    pages_count: int


class Run(RunBase):
    """A run of :func:`fetch` or :func:`scrape`. It starts when its first row is asked for.

    Iterate over it with ``for`` or ``async for``, or :meth:`collect` the rows into a :class:`Table`; or give it to whatever reads
    Arrow streams (``polars.DataFrame(run)``, ``pyarrow.table(run)``, ``duckdb.sql("from run")``), which reads it once. URLs are
    pulled from their iterable by the thread that takes the rows. As a context manager a run is closed at the end of the block, and
    one that nobody refers to any more is cancelled.
    """

    def __iter__(self: _R) -> _R:
        self._is_fresh()
        return self

    def _is_fresh(self) -> None:
        if self._is_over():
            raise RuntimeError(
                "the rows of this run have been taken, or it was closed; collect() keeps them for more than one reader"
            )

    def collect(self) -> Table:
        """Returns all rows as a table. After ^C, or another exception, a second call returns the rows there were until then."""
        return self._collect()

    def close(self) -> None:
        """Ends the run: requests are broken off, and no row is handed on any more. Waits half a second at most."""
        self._close()

    @property
    def summary(self) -> Summary | None:
        """What came of the run, once it has ended."""
        rows, errors, _, ended = self._figures()
        return None if ended is None else Summary(rows, errors, *ended)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        rows, errors, in_flight, ended = self._figures()
        return Progress(rows, errors, in_flight, ended is not None)

    def __enter__(self: _R) -> _R:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self: _R) -> _R:
        self._is_fresh()
        return self

    async def __anext__(self) -> Row:
        import asyncio

        taken = self.__dict__["_taken"] = self.__dict__.get("_taken", 0) + 1
        if taken % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        while True:
            row = self._next_now()
            if row is None:
                raise StopAsyncIteration
            if row is not False:
                return cast("Row", row)
            await self._something()

    async def _something(self) -> None:
        """Waits until there is something to do. No other thread calls into the loop: it listens to a descriptor."""
        import asyncio

        loop = asyncio.get_running_loop()
        descriptor = self._descriptor()
        called = loop.create_future()
        if self._arm():
            return
        loop.add_reader(descriptor, _settle, called)
        try:
            await called
        finally:
            loop.remove_reader(descriptor)

    async def __aenter__(self: _R) -> _R:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<silkmill.Run: {self.progress.rows} rows so far>"


class Crawl(Run):
    """A run of :func:`crawl`. It is a :class:`Run` in everything, and ends where no link is left to follow, or at a limit."""

    @property
    def totals(self) -> CrawlTotals | None:
        """What came of the crawl in all its runs, once this one has ended."""
        totals = self._totals()
        return None if totals is None else CrawlTotals(*totals)

    @property
    def broken_links(self) -> list[BrokenLink] | None:
        """The broken links that ``check`` or ``check_fragments`` found, 100,000 at most, once the crawl has ended."""
        broken = self._broken_links()
        return None if broken is None else [BrokenLink(*link) for link in broken]

    def __repr__(self) -> str:
        return f"<silkmill.Crawl: {self.progress.rows} rows so far>"


def _settle(future: Any) -> None:
    if not future.done():
        future.set_result(None)


class Fields(dict[str, "list[Value]"]):
    """The fields of a page, and what else was found out about it."""

    #: The title of the page, as a browser shows it.
    title: str | None
    #: The name of the encoding in which the page was read.
    charset: str | None
    #: Whether a bound cut the tree of the page, or the values of a field.
    truncated: bool
    #: Where XML or JSON breaks its rules, in words; None where it keeps them, and for HTML, which has none that could be broken.
    flaw: str | None


def fetch(
    urls: Iterable[str] | Any = (),
    *,
    url: str | None = None,
    keep: bool = False,
    progress: Callable[[Progress], object] | bool | None = None,
    **options: Unpack[FetchOptions],
) -> Run:
    """Requests every URL, and gives one :class:`Row` for each, whatever the servers do.

    ``urls`` is any iterable of texts, or a table of Arrow's (polars, pyarrow, pandas, DuckDB), of which ``url`` names the column;
    with ``keep=True`` the other columns come back as ``input_NAME`` in :meth:`Run.collect`. A URL that is None, or none at all, has
    a row with an error. Rows come as they are ready, ``row.index`` is the place in ``urls``; with ``ordered=True`` they come in
    order.

    >>> import silkmill
    >>> for row in silkmill.fetch(["no URL", "ftp://example.com/"], ordered=True):
    ...     print(row.index, row.status, row.error)
    0 None url: it does not begin with http:// or https://
    1 None url: only http and https are known, not "ftp"

    With ``sitemap`` the pages that sitemaps list come after ``urls``, which may then be left out. They are read before the first row; one
    that cannot be read ends the run with a RuntimeError.

    ``progress`` is called on this thread with a :class:`Progress` while rows are taken, ten times a second at most; True shows a
    line on a terminal, or in a notebook.

    The options are those of the command, and mean the same; :class:`silkmill.options.FetchOptions` lists them. What they cannot
    be is a TypeError or a ValueError here, before any request.
    """
    return Run("fetch", _aligned(urls), options, url=url, keep=keep, progress=_told(progress))


def scrape(
    urls: Iterable[str] | Any = (),
    *,
    url: str | None = None,
    keep: bool = False,
    progress: Callable[[Progress], object] | bool | None = None,
    **options: Unpack[ScrapeOptions],
) -> Run:
    """Requests every URL, and gives one :class:`Row` for each, with the title of its page and the fields that are wanted.

    Fields are found by ``xpath``, ``css``, ``regex`` and ``jsonpath``: mappings of names to expressions, or texts as ``"NAME=EXPR"``.
    ``row.fields["NAME"]`` has all values. Everything else is as with :func:`fetch`.

    >>> import silkmill
    >>> run = silkmill.scrape([], xpath={"price": "//p[@class='price']"}, css={"links": "a@href"})
    >>> run.collect().column_names[4:7]
    ['title', 'price', 'links']
    """
    return Run("scrape", _aligned(urls), options, url=url, keep=keep, progress=_told(progress))


def crawl(
    urls: str | Iterable[str],
    *,
    progress: Callable[[Progress], object] | bool | None = None,
    **options: Unpack[CrawlOptions],
) -> Crawl:
    """Requests ``urls``, follows the links of their pages, and gives one :class:`Row` for each page, with its title and fields.

    Links are followed within ``scope``: ``"host"``, or ``"prefix"``, ``"domain"`` or ``"any"``. A row has also ``depth``, ``parent`` (the
    index of the row of the page that led there), ``links`` and ``canonical``. robots.txt is obeyed, and each host is asked as fast as
    it answers, unless ``no_robots`` and ``auto_throttle=0`` say otherwise.

    With ``output`` the rows go to that file, too, by its extension (``.jsonl``, ``.csv``, ``.db``), and the job lies beside it. However the
    run ends, the same call goes on with the crawl, and so does the same command: it gives the rows that are left, and the file has one row
    for each page. A row that was given is given again if the process was killed before it was on disk. Without ``output`` a run that
    ends is over.

    >>> import silkmill
    >>> for row in silkmill.crawl("http://127.0.0.1:1/", max_pages=10, sitemap="off", retries=0):
    ...     print(row.depth, row.status, row.error.kind)
    0 None connect

    Everything else is as with :func:`scrape`; :class:`silkmill.options.CrawlOptions` lists the options. What they cannot be is an
    exception here. An output or a job that cannot be opened, or is of another crawl, is an OSError when the first row is asked for.
    """
    return Crawl("crawl", urls, options, progress=_told(progress))


def extract(
    html: bytes | bytearray | memoryview | str,
    *,
    content_type: str | None = None,
    url: str | None = None,
    **fields: Unpack[FieldOptions],
) -> Fields:
    """Reads fields from a page that is in memory, as :func:`scrape` reads them. Other threads run meanwhile.

    ``content_type`` is the header that came with the page. It says whether that is HTML, XML or JSON, which otherwise the page shows
    itself, and may name the charset of bytes. ``url`` is where the page came from: links are resolved against it by CSS
    (``a@abs:href``) and XPath (``resolve-uri(//a/@href)``), unless the page has a base of its own.

    >>> import silkmill
    >>> found = silkmill.extract("<title>Mills</title><p>silk<p>wool", xpath={"words": "//p", "n": "count(//p)"})
    >>> found
    {'words': ['silk', 'wool'], 'n': [2.0]}
    >>> found.title, found.truncated
    ('Mills', False)
    >>> silkmill.extract("<a href=b?c>", css="up=a@abs:href", url="https://example.com/a/")
    {'up': ['https://example.com/a/b?c']}

    Raises ValueError if a field does not parse or costs too much on this page, or if ``url`` is none.
    """
    found, title, charset, truncated, flaw = extract_page(html, fields, content_type, url)
    result = Fields(found)
    result.title, result.charset, result.truncated, result.flaw = title, charset, truncated, flaw
    return result


def title(html: bytes | bytearray | memoryview | str, *, content_type: str | None = None) -> str | None:
    """Returns the title of a page, as a browser shows it: None where the page has no title element.

    >>> import silkmill
    >>> silkmill.title(b"<title> Silk\\n mills </title>")
    'Silk mills'
    """
    return extract_page(html, {}, content_type)[1]


@overload
def host_bucket(urls: str, n: int) -> int: ...  # type: ignore[overload-overlap]
@overload
def host_bucket(urls: Iterable[str | None] | Any, n: int) -> list[int]: ...
def host_bucket(urls: Any, n: int) -> int | list[int]:
    """Returns the part, from 0 to ``n - 1``, that each URL is in when a list is divided by hosts into ``n`` parts.

    ``urls`` is one URL, or any iterable or Arrow array of them. It is the part that ``--shard I/N`` of the command takes, by a hash
    that does not change between versions: ``docs/shards.md``. What is no URL has the part of the empty host.

    >>> import silkmill
    >>> silkmill.host_bucket(["http://example.com/a", "https://example.com/b", "http://www.example.com/"], 10)
    [5, 5, 3]
    """
    if isinstance(urls, str):
        return host_buckets([urls], n)[0]
    urls = urls.to_pylist() if hasattr(urls, "to_pylist") else list(urls)
    return host_buckets(urls, n)


def _aligned(urls: Any) -> Any:
    """Returns a table of pyarrow's with its numbers where a processor wants them.

    One that came over a network, as between the workers of a cluster, may lie anywhere in a frame.
    """
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or not isinstance(urls, (pyarrow.Table, pyarrow.RecordBatch)):
        return urls
    for column in urls.columns:
        for chunk in getattr(column, "chunks", [column]):
            if any(buffer is not None and buffer.address % 8 for buffer in chunk.buffers()):
                return urls.take(pyarrow.array(range(urls.num_rows)))
    return urls


def _told(progress: Callable[[Progress], object] | bool | None) -> Callable[..., object] | None:
    if progress is None or progress is False:
        return None
    if progress is True:
        from silkmill.progress import shown

        return shown()
    tell = progress
    if not callable(tell):
        raise TypeError(f"progress is a function, True or False, and not {type(tell).__name__}")
    return lambda *figures: tell(Progress(*figures))
