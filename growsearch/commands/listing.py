"""List command: what there is of spaces, devices, kinds, transforms and more, one line each."""

from __future__ import annotations

from typing import Annotated

import typer

from growsearch.commands import completion
from growsearch.commands.examples import examples
from growsearch.errors import UsageError

EPILOG = examples("growsearch list spaces")
_LISTS = ", ".join(completion.LISTS)


def list_names(
    what: Annotated[
        str,
        typer.Argument(
            help=f"One of: {_LISTS}.", show_default=False, autocompletion=completion.lists
        ),
    ],
) -> None:
    """List what there is, one line each."""
    lines = _listing(what)
    width = max(map(len, lines))
    for name, description in lines.items():
        typer.echo(f"{name:<{width}}  {description}".rstrip())


def _listing(what: str) -> dict[str, str]:
    if what == "spaces":
        from search_spaces import SEARCH_SPACES

        return {name: space.description for name, space in SEARCH_SPACES.items()}
    if what == "devices":
        from growsearch.commands.devices import device_lines

        return device_lines()
    if what == "transforms":
        from growsearch.transforms import DESCRIPTIONS

        return dict(DESCRIPTIONS)
    if what in ("distributions", "updaters"):
        from growsearch.sparsity import MASK_UPDATERS, SPARSITY_DISTRIBUTIONS

        registry = SPARSITY_DISTRIBUTIONS if what == "distributions" else MASK_UPDATERS
        return dict.fromkeys(registry, "")
    if what == "tickets":
        from growsearch.tickets import TICKET_SCHEMES

        return {name: scheme.description for name, scheme in TICKET_SCHEMES.items()}
    if what == "datasets":
        from growsearch.datasets import DESCRIPTIONS as DATASET_DESCRIPTIONS

        return dict(DATASET_DESCRIPTIONS)
    if what == "augmentations":
        from growsearch.datasets import AUGMENTATIONS, augmentation_values

        return {name: augmentation_values(name) for name in AUGMENTATIONS}
    if what == "samplers":
        from growsearch.search.samplers.registry import AUTO, SAMPLERS

        return dict.fromkeys((AUTO, *SAMPLERS), "")
    raise UsageError(f"list: unknown {what!r}; valid: {_LISTS}")
