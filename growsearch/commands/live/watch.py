"""Watch command: the report page of a run, following it while it goes on, on loopback alone."""

from __future__ import annotations

import signal
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples

EPILOG = examples(
    "growsearch watch runs/digits",
    "growsearch watch runs/digits --port 8470 --open",
)


def watch(
    run: Annotated[
        Path,
        typer.Argument(
            help="The run's folder; it need not be there yet.",
            show_default=False,
            autocompletion=completion.run_folders,
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen; 0 is any that is free.")
    ] = 0,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in your browser.")] = False,
) -> None:
    """Serve the report page of a run, which follows it while it goes on, until Ctrl-C.

    For this machine alone, behind a token in the address; nothing is written to the run. From
    another machine: ssh -L PORT:127.0.0.1:PORT HOST, and open the address there.
    """
    from growsearch.commands.live.browser import shown_in_browser
    from growsearch.commands.terminal import say
    from growsearch.report.live.server import served
    from growsearch.report.live.status import check_is_run

    if run.exists():
        check_is_run(run)
    # Also where a shell started it in the background, and for what stops a job.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with served(run, port) as address:
        say(f"Watching {run}; end with Ctrl-C. Open:")
        # On a line of its own: it is copied whole.
        typer.echo(address)
        try:
            with shown_in_browser(address) if open_page else nullcontext(True) as found:
                if not found:
                    say("No browser was found here; open the address by hand.")
                threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo()
