"""Submit command: a search on a cluster from outside, sent as a Ray job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples

EPILOG = examples(
    "growsearch submit study.yaml --address http://127.0.0.1:8265 --out /shared/runs/digits"
)
_INTERRUPTED = 130


def submit(
    study: Annotated[
        Path,
        typer.Argument(
            help="The study, a YAML file.",
            show_default=False,
            autocompletion=completion.study_files,
        ),
    ],
    address: Annotated[
        str, typer.Option(help="The dashboard of the cluster's head, http://HOST:8265.")
    ],
    out: Annotated[Path, typer.Option(help="The run's folder there; every node must see it.")],
    trials: Annotated[int | None, typer.Option(min=1, help="Overrides the study.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew in a new folder.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    python: Annotated[
        str, typer.Option(help="The head's interpreter that has torch and the other libraries.")
    ] = "python",
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
) -> None:
    """Send a search to a Ray cluster, with our packages, and show its output to its end."""
    from growsearch.search.cluster.job import follow
    from growsearch.search.cluster.job import submit as send
    from growsearch.search.config.file import load_study
    from growsearch.search.ledger.run_folder import check_local

    check_local(out)
    options = ["--trials", str(trials)] if trials else []
    options += ["--fresh"] if fresh else []
    options += ["--retry-failed"] if retry_failed else []
    job = send(load_study(study), address=address, out=out, options=options, python=python)
    print(f"Job {job.name} runs on {address}, in {out}.", flush=True)
    if detach:
        print(f"Its output: ray job logs --follow --address {address} {job.name}")
        print(f"How far it is, on any node that sees the folder: growsearch status {out}")
        return
    try:
        follow(job, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        print(
            f"\nNo longer shown. The job goes on; stop it with: "
            f"ray job stop --address {address} {job.name}",
            file=sys.stderr,
        )
        raise typer.Exit(_INTERRUPTED) from None
