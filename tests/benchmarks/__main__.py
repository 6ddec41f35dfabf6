"""`python -m tests.benchmarks`: measures Starferry on this machine and says which of the design's numbers it holds.

It starts what it needs, with a durable embedded PostgreSQL. Ratios are to partners in the same run, for absolute
figures don't travel between machines; the load and the cores that others used say how far to trust a row.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.benchmarks import (
    append_batches,
    append_single,
    delivery,
    importing,
    ingest_api,
    ingest_files,
    lag,
    latency,
    load,
    long_streams,
    machine,
    queries,
    queue,
    rebuild,
    startup,
    zip_download,
)
from tests.benchmarks.installation import Installation
from tests.benchmarks.report import Row, one_line, table
from tests.benchmarks.session import Session

BENCHMARKS: dict[str, Callable[[Session], Iterator[Row]]] = {
    "append_batches": append_batches.run,
    "append_single": append_single.run,
    "load": load.run,
    "rebuild": rebuild.run,
    "lag": lag.run,
    "queries": queries.run,
    "ingest_api": ingest_api.run,
    "ingest_files": ingest_files.run,
    "latency": latency.run,
    "delivery": delivery.run,
    "queue": queue.run,
    "long_streams": long_streams.run,
    "import": importing.run,
    "zip_download": zip_download.run,
    "startup": startup.run,
}


def main() -> int:
    """Run what was asked for; 0 when every benchmark ran, whether goals were reached or not."""
    options = _options()
    unknown = set(options.only) - BENCHMARKS.keys()
    if unknown:
        raise SystemExit(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
    folder = options.data.absolute() if options.data else Path(tempfile.mkdtemp(prefix="starferry-bench-"))
    installation = Installation(folder)
    rows: list[Row] = []
    failed: list[str] = []
    try:
        session = Session(installation, options.frames, options.generator, options.client)
        session.say(f"{os.cpu_count()} cores, {platform.platform()}, load {machine.load():.1f}, data in {folder}")
        for name in options.only or BENCHMARKS:
            try:
                for row in _run(name, session):
                    rows.append(row)
                    session.say(one_line(row))
            except Exception:
                traceback.print_exc()
                failed.append(name)
    finally:
        installation.close_database()
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{table(rows)}")
    if options.out:
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    if failed:
        print(f"\nDidn't run to the end: {', '.join(failed)}")
    return 1 if failed else 0


def _run(name: str, session: Session) -> Iterator[Row]:
    """A benchmark's rows, each with the machine's load before the benchmark and now."""
    before = machine.load()
    session.say(f"{name} (load {before:.1f})")
    roots = {"postgres": session.installation.postmaster()}
    meter = machine.Meter(roots)
    for row in BENCHMARKS[name](session):
        meter.stop()
        row.load_before, row.load_after, row.foreign = before, machine.load(), meter.foreign
        yield row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--frames", type=int, default=500_000, help="frames in the archive (default %(default)s)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="NAME,…")
    parser.add_argument("--data", type=Path, help="a data folder to use and keep; default: a temporary one")
    parser.add_argument("--out", type=Path, help="write the rows as JSON too")
    parser.add_argument("--generator", type=Path, help="a file with another generator's class Gen")
    parser.add_argument("--client", type=Path, help="another load client to run against the server of the queries")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
