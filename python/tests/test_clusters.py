"""Lists on real local clusters of Dask and Ray. They take their time, and run with SILKMILL_LONG=1."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Server

import silkmill

pytestmark = pytest.mark.skipif(
    os.environ.get("SILKMILL_LONG") != "1", reason="clusters start with SILKMILL_LONG=1 alone"
)

#: A limit of every host over all workers.
PER_HOST = 2
PAGES = 30


def needed(name: str) -> Any:
    return pytest.importorskip(name)


@pytest.fixture
def hosts() -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server()) for _ in range(5)]


@pytest.fixture
def urls(hosts: list[Server]) -> list[str]:
    return [f"{host.address}/slow/20/{page}" for page in range(PAGES) for host in hosts]


@contextlib.contextmanager
def dask(folder: Path) -> Iterator[Callable[..., Any]]:
    distributed, pyarrow = needed("distributed"), needed("pyarrow")
    parquet = needed("pyarrow.parquet")
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):

        def scrape(urls: list[str], **options: Any) -> list[dict[str, Any]]:
            table = pyarrow.table({"url": urls, "place": range(len(urls))})
            paths = silkmill.dask.scrape(table, client, folder=str(folder), buckets=4, **options)
            return [record for path in paths for record in parquet.read_table(path).to_pylist()]

        def workers() -> list[int]:
            return [worker.process.pid for worker in cluster.workers.values()]

        scrape.workers = workers  # type: ignore[attr-defined]
        yield scrape


@contextlib.contextmanager
def ray(folder: Path) -> Iterator[Callable[..., Any]]:
    ray, pyarrow = needed("ray"), needed("pyarrow")
    needed("ray.data")
    package = str(Path(silkmill.__file__).parent.parent)
    ray.init(
        num_cpus=3,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": package}},
    )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False

        def scrape(urls: list[str], **options: Any) -> list[dict[str, Any]]:
            table = pyarrow.table({"url": urls, "place": range(len(urls))})
            dataset = ray.data.from_arrow(table)
            return silkmill.ray.scrape(dataset, folder=str(folder), buckets=4, **options).take_all()  # type: ignore[no-any-return]

        yield scrape
    finally:
        ray.shutdown()


CLUSTERS = [dask, ray]


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda it: it.__name__)
def test_every_url_has_one_row_and_no_host_more_than_its_limit(
    cluster: Any, hosts: list[Server], urls: list[str], tmp_path: Path
) -> None:
    with cluster(tmp_path / "rows") as scrape:
        records = scrape(urls, css={"price": ".price"}, per_host=PER_HOST)
        assert sorted(record["input_place"] for record in records) == list(range(len(urls)))
        for record in records:
            assert record["url"] == urls[record["input_place"]]
            assert record["status"] == 200 and list(record["price"])[-1] == "0"
        assert [host.total for host in hosts] == [PAGES] * len(hosts)
        assert all(host.at_once_max <= PER_HOST for host in hosts)
        assert len(list((tmp_path / "rows").glob("*.parquet"))) >= 2
        assert not list((tmp_path / "rows").glob("*.part"))

        again = scrape(urls, css={"price": ".price"}, per_host=PER_HOST)
        assert len(again) == len(urls)
        assert [host.total for host in hosts] == [PAGES] * len(hosts)

        with pytest.raises((TypeError, ValueError)):
            scrape(urls, worker=3)


def test_a_worker_that_is_killed_loses_no_row_and_repeats_none(
    hosts: list[Server], urls: list[str], tmp_path: Path
) -> None:
    with dask(tmp_path / "rows") as scrape:
        killed: list[int] = []

        def kill() -> None:
            while not all(host.total for host in hosts):
                time.sleep(0.01)
            killed.append(scrape.workers()[0])  # type: ignore[attr-defined]
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        records = scrape(urls, per_host=PER_HOST)
        killer.join()
    assert killed
    assert sorted(record["input_place"] for record in records) == list(range(len(urls)))
    assert all(record["status"] == 200 for record in records)
