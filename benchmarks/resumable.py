"""How does a long benchmark keep what is done? Every finished run is written down at once."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from growsearch.files import write_json

Record = dict[str, Any]


class RunTable:
    """The finished runs of one benchmark, in a JSON file that only settings like these resume."""

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        summarise: Callable[[list[Record]], list[Record]],
    ) -> None:
        self._path, self._settings, self._summarise = path, dict(settings), summarise
        self.runs: list[Record] = []
        if path.exists():
            data = json.loads(path.read_text())
            if data["settings"] == json.loads(json.dumps(self._settings)):
                self.runs = data["runs"]

    def has(self, **key: Any) -> bool:
        """Say whether a run with these values is finished."""
        return bool(self.where(**key))

    def where(self, **key: Any) -> list[Record]:
        """Return the runs with these values."""
        return [run for run in self.runs if all(run[name] == key[name] for name in key)]

    def add(self, run: Record) -> None:
        """Write one more finished run down."""
        self.runs.append(run)
        rows = self._summarise(self.runs)
        write_json(self._path, {"settings": self._settings, "rows": rows, "runs": self.runs})

    def add_missing(self, runs: Iterable[Record], names: Sequence[str]) -> Iterator[Record]:
        """Write down the runs that differ from all finished ones in ``names``; yield those."""
        for run in runs:
            if not self.has(**{name: run[name] for name in names}):
                self.add(run)
                yield run

    def rows(self) -> list[Record]:
        """Return the summary."""
        return self._summarise(self.runs)


def run_parallel(
    function: Callable[[Any], Record], arguments: Sequence[Any], workers: int
) -> Iterator[Record]:
    """Call ``function`` in so many fresh processes; yield results as they come."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(function, argument) for argument in arguments]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            # One that failed must not wait for hours of others.
            pool.shutdown(cancel_futures=True)


def with_deviation(values: Sequence[float], *, percent: bool = True) -> str:
    """Write mean ± standard deviation."""
    import statistics

    if not values:
        return "-"
    scale = 100 if percent else 1
    text = f"{scale * statistics.mean(values):.2f}" + (" %" if percent else "")
    return text + (f" ± {scale * statistics.stdev(values):.2f}" if len(values) > 1 else "")
