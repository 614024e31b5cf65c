"""Schema command: the keys of a study as JSON Schema, for editors."""

from __future__ import annotations

import json

import typer

from growsearch.commands.examples import examples

EPILOG = examples("growsearch schema > study.schema.json")


def schema() -> None:
    """Print the keys of a study as JSON Schema, with which an editor completes and checks them.

    With the file beside a study, this as the study's first line is enough for editors that have the
    YAML language server (VS Code's YAML extension is one):

    # yaml-language-server: $schema=study.schema.json
    """
    from growsearch.search.config.schema import study_schema

    typer.echo(json.dumps(study_schema(), indent=2, ensure_ascii=False))
