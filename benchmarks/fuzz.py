"""Does anything that others wrote get further than a message? Thousands of hostile inputs say.

Studies as files and as mappings, run folders, weights, latency profiles and data, each spoilt from
its own seed, are read as the commands read them. What must not be is counted: tracebacks, files
written outside the input's folder, code of an input that ran, values read as others than written,
control codes that came through, and waits without an end. All must be 0.

    python benchmarks/fuzz.py --inputs 3000
    python benchmarks/fuzz.py --kinds run resume --inputs 200 --start 5000
    python benchmarks/fuzz.py --only run:5017
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzz_targets import SHARES, TARGETS, Finding, try_input, write_sound
from rich.console import Console
from rich.table import Table

from growsearch.files import write_json

RESULTS = Path(__file__).parent / "results"
# What a process may take, beyond what it has when it starts: no input is worth more.
_MEMORY_BYTES = 12 * 2**30
_CHUNK = 250
_WHAT = (
    "traceback",
    "written outside",
    "code run",
    "changed in silence",
    "control code",
    "formula",
    "more than a line",
    "hung",
    "crashed",
)
Job = tuple[str, int]


def jobs_of(count: int, start: int, kinds: Sequence[str]) -> list[Job]:
    """Return kind and seed of every input, the kinds in their shares."""
    whole = sum(SHARES[kind] for kind in kinds)
    return [
        (kind, start + place)
        for kind in kinds
        for place in range(round(count * SHARES[kind] / whole))
    ]


def work(jobs: list[Job], sound: str, answers: Connection) -> None:
    """Try inputs in this process; send each one's findings as it ends."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    # What libraries print of a spoilt file is no part of the table.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    for kind, seed in jobs:
        answers.send(try_input(kind, seed, Path(sound)))
    answers.close()


def tried(jobs: list[Job], sound: Path) -> Iterator[list[Finding]]:
    """Yield the findings of each input; a process that dies is one, and the rest goes on."""
    context = multiprocessing.get_context("spawn")
    while jobs:
        chunk, jobs = jobs[:_CHUNK], jobs[_CHUNK:]
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(chunk, str(sound), theirs))
        process.start()
        theirs.close()
        done = 0
        while done < len(chunk):
            try:
                found = ours.recv()
            except EOFError:
                kind, seed = chunk[done]
                died = Finding(what="crashed", kind=kind, seed=seed, where="the process died")
                yield [died]
                jobs = chunk[done + 1 :] + jobs
                break
            yield found
            done += 1
        process.join()


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return a row a kind of input, and one of all."""
    table = Table(title="Hostile inputs, and what must not come of them")
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "kind" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


def rows_of(counts: Counter[str], findings: list[Finding]) -> list[dict[str, Any]]:
    """Return the figures of each kind of input, and of all."""
    rows = []
    for kind in (*counts, "all"):
        found = Counter(f.what for f in findings if kind in ("all", f.kind))
        inputs = counts.total() if kind == "all" else counts[kind]
        rows.append({"kind": kind, "inputs": inputs, **{what: found[what] for what in _WHAT}})
    return rows


def run(jobs: list[Job], console: Console) -> tuple[Counter[str], list[Finding]]:
    """Try every input; show what is found as it is found."""
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="growsearch-fuzz-sound-") as place:
        write_sound(Path(place))
        for (kind, _), found in zip(jobs, tried(list(jobs), Path(place)), strict=True):
            counts[kind] += 1
            for each in found:
                line = f"{each.kind}:{each.seed} {each.what}: {each.where}"
                console.print(line, markup=False, soft_wrap=True)
            findings += found
    return counts, findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--kinds", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--only", metavar="KIND:SEED", help="one input, for who mends it")
    parser.add_argument("--out", type=Path, default=RESULTS / "fuzz.json")
    chosen = parser.parse_args()
    console = Console(width=160, highlight=False)
    if chosen.only:
        kind, _, seed = chosen.only.partition(":")
        _, findings = run([(kind, int(seed))], console)
        sys.exit(bool(findings))
    started = time.monotonic()
    jobs = jobs_of(chosen.inputs, chosen.start, chosen.kinds)
    counts, findings = run(jobs, console)
    seconds = time.monotonic() - started
    rows = rows_of(counts, findings)
    console.print(table_of(rows))
    console.print(f"{counts.total()} inputs in {seconds:.0f} s, {len(findings)} findings")
    settings = {"inputs": chosen.inputs, "start": chosen.start, "kinds": chosen.kinds}
    found = {"rows": rows, "seconds": round(seconds), "found": [asdict(f) for f in findings]}
    write_json(chosen.out, {"settings": settings, **found})
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
