"""Command line: one command a task, a file each; heavy imports wait for it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from growsearch.commands import compare as compare_command
from growsearch.commands import devices as devices_command
from growsearch.commands import doctor as doctor_command
from growsearch.commands import evaluate as evaluate_command
from growsearch.commands import grow as grow_command
from growsearch.commands import listing as listing_command
from growsearch.commands import profile as profile_command
from growsearch.commands import prune as prune_command
from growsearch.commands import report as report_command
from growsearch.commands import search as search_command
from growsearch.commands import select as select_command
from growsearch.commands import submit as submit_command
from growsearch.commands.examples import examples
from growsearch.commands.last_boundary import DEBUG, run_to_exit
from growsearch.commands.live import status as status_command
from growsearch.commands.live import watch as watch_command
from growsearch.commands.one_network import export as export_command
from growsearch.commands.one_network import finish as finish_command
from growsearch.commands.one_network import predict as predict_command
from growsearch.commands.studies import init as init_command
from growsearch.commands.studies import schema as schema_command

app = typer.Typer(
    name="growsearch",
    help="Which network should I train for this budget on this hardware?",
    epilog=examples(
        "growsearch doctor", "growsearch init", "growsearch search examples/digits.yaml"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("init", epilog=init_command.EPILOG)(init_command.init)
app.command("search", epilog=search_command.EPILOG)(search_command.search)
app.command("report", epilog=report_command.EPILOG)(report_command.report)
app.command("status", epilog=status_command.EPILOG)(status_command.status)
app.command("watch", epilog=watch_command.EPILOG)(watch_command.watch)
app.command("select", epilog=select_command.EPILOG)(select_command.select)
app.command("export", epilog=export_command.EPILOG)(export_command.export)
app.command("predict", epilog=predict_command.EPILOG)(predict_command.predict)
app.command("list", epilog=listing_command.EPILOG)(listing_command.list_names)
app.command("compare", epilog=compare_command.EPILOG)(compare_command.compare)
app.command("devices", epilog=devices_command.EPILOG)(devices_command.devices)
app.command("doctor", epilog=doctor_command.EPILOG)(doctor_command.doctor)
app.command("evaluate", epilog=evaluate_command.EPILOG)(evaluate_command.evaluate)
app.command("finish", epilog=finish_command.EPILOG)(finish_command.finish)
app.command("grow", epilog=grow_command.EPILOG)(grow_command.grow)
app.command("profile", epilog=profile_command.EPILOG)(profile_command.profile)
app.command("prune", epilog=prune_command.EPILOG)(prune_command.prune)
app.command("schema", epilog=schema_command.EPILOG)(schema_command.schema)
app.command("submit", epilog=submit_command.EPILOG)(submit_command.submit)


def _version(wanted: bool) -> None:
    if wanted:
        from growsearch import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run the command line; a problem is one line and an exit code, no traceback."""
    run_to_exit(app)
