"""Lists on real local clusters of Dask, Ray and Spark. They take their time, and run with SILKMILL_LONG=1."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

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


def descendants(of: int | None = None) -> dict[int, str]:
    """The processes that this one has started, and those they have, with their command lines."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            # The name may have blanks, and ends with the last bracket.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(folder.name))
    found: dict[int, str] = {}
    waiting = [of or os.getpid()]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            waiting.append(child)
            with contextlib.suppress(OSError):
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ").strip()
    return found


@pytest.fixture
def hosts() -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server()) for _ in range(5)]


@pytest.fixture
def urls(hosts: list[Server]) -> list[str]:
    return [f"{host.address}/slow/20/{page}" for page in range(PAGES) for host in hosts]


class Cluster(NamedTuple):
    """A cluster on this machine."""

    #: Scrapes a list of URLs, and returns the records of its rows.
    scrape: Callable[..., list[dict[str, Any]]]
    #: Returns the processes that run tasks.
    workers: Callable[[], list[int]]


@contextlib.contextmanager
def dask(folder: Path) -> Iterator[Cluster]:
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

        yield Cluster(scrape, lambda: [worker.process.pid for worker in cluster.workers.values()])


@contextlib.contextmanager
def ray(folder: Path) -> Iterator[Cluster]:
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
            rows = silkmill.ray.scrape(dataset, folder=str(folder), buckets=4, **options)
            return rows.take_all()  # type: ignore[no-any-return]

        def workers() -> list[int]:
            # A node ends with its agents, which have names of the same form.
            tasks = [it for it in descendants().items() if it[1].startswith("ray::MapBatches")]
            return [child for child, _line in tasks]

        yield Cluster(scrape, workers)
    finally:
        ray.shutdown()


@contextlib.contextmanager
def spark(folder: Path, speculation: str = "false") -> Iterator[Cluster]:
    sql, pyarrow = needed("pyspark.sql"), needed("pyarrow")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(Path(silkmill.__file__).parent.parent)
    session = (
        # A task may fail three times. By default a local one may not even once.
        sql.SparkSession.builder.master("local[2,4]")
        .config("spark.speculation", speculation)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    try:

        def scrape(urls: list[str], **options: Any) -> list[dict[str, Any]]:
            table = pyarrow.table({"url": urls, "place": range(len(urls))})
            frame = session.createDataFrame(table)
            rows = silkmill.spark.scrape(frame, folder=str(folder), buckets=4, **options)
            assert rows.count() == len(urls)  # A second action finds the rows where they are.
            return [row.asDict() for row in rows.collect()]

        def workers() -> list[int]:
            # Spark forks them from a daemon, which stays.
            found = descendants()
            daemons = [child for child, line in found.items() if "pyspark.daemon" in line]
            return [child for daemon in daemons for child in descendants(daemon)]

        yield Cluster(scrape, workers)
    finally:
        session.stop()


CLUSTERS = [dask, ray, spark]


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda it: it.__name__)
def test_every_url_has_one_row_and_no_host_more_than_its_limit(
    cluster: Any, hosts: list[Server], urls: list[str], tmp_path: Path
) -> None:
    with cluster(tmp_path / "rows") as (scrape, _workers):
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


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda it: it.__name__)
def test_a_worker_that_is_killed_loses_no_row_and_repeats_none(
    cluster: Any, hosts: list[Server], urls: list[str], tmp_path: Path
) -> None:
    with cluster(tmp_path / "rows") as (scrape, workers):
        killed: list[int] = []

        def kill() -> None:
            while not any(host.open for host in hosts):
                time.sleep(0.005)
            for worker in workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
                    break

        killer = threading.Thread(target=kill)
        killer.start()
        records = scrape(urls, per_host=PER_HOST)
        killer.join()
    assert killed
    assert sorted(record["input_place"] for record in records) == list(range(len(urls)))
    assert all(record["status"] == 200 for record in records)
    assert sum(host.total for host in hosts) >= len(urls)


def test_spark_is_refused_where_it_runs_a_task_twice(tmp_path: Path) -> None:
    with spark(tmp_path / "rows", speculation="true") as (scrape, _workers):
        with pytest.raises(ValueError, match="speculation"):
            scrape(["http://127.0.0.1:1/"])


def blocks(language: str) -> list[str]:
    """The commands of the page about clusters."""
    page = Path(__file__).parent.parent.parent / "docs" / "clusters.md"
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def rows_of(folder: Path) -> list[str]:
    files = sorted(folder.glob("rows-*.jsonl"))
    assert len(files) > 4
    return [json.loads(line)["url"] for file in files for line in file.read_text().splitlines()]


@pytest.mark.parametrize("how", ["parallel", "slurm", "kubernetes"])
def test_the_commands_of_the_page_give_one_row_for_each_line(
    how: str, hosts: list[Server], tmp_path: Path
) -> None:
    urls = [f"{host.address}/{page}" for page in range(20) for host in hosts]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    if shutil.which("silkmill", path=path) is None:
        pytest.skip("the command is not installed beside this Python")

    def run(script: str, **env: str) -> None:
        words = ["bash", "-c", script]
        # Parallel wants a home that it can write to, and may ask for a citation there.
        env = {**os.environ, "PATH": path, "HOME": str(tmp_path), **env}
        subprocess.run(words, cwd=tmp_path, env=env, check=True, timeout=300)

    parallel, slurm = blocks("sh")
    if how == "parallel":
        if shutil.which("parallel") is None:
            pytest.skip("GNU parallel is not installed")
        run(parallel)
    elif how == "slurm":
        for part in range(32):
            run(slurm, SLURM_ARRAY_TASK_ID=str(part))
    else:
        (job,) = blocks("yaml")
        (script,) = re.findall(r'args: \["(.*)"\]', job)
        for part in range(32):
            # A pod that is started again goes on, and requests nothing that it has.
            for _ in range(2 if part == 3 else 1):
                run(script.replace("/rows/", f"{tmp_path}/"), JOB_COMPLETION_INDEX=str(part))
    assert sorted(rows_of(tmp_path)) == sorted(urls)
    assert sum(host.total for host in hosts) == len(urls)
