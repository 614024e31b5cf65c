"""Predict command: what a run's network, or an exported one, says of image files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from growsearch.commands.examples import examples
from growsearch.commands.network_options import CodeOption, TrialOption
from growsearch.errors import UsageError

if TYPE_CHECKING:
    from growsearch.datasets.preprocessing import Preprocessing
    from growsearch.export import Prediction, Predictor

EPILOG = examples(
    "growsearch predict runs/pets photo.png",
    "growsearch predict runs/pets photos/ 'more/*.jpg' --top 3",
    "growsearch predict runs/pets/export/3f2a91c0de photos/ --json",
)
# Fewer are done before a bar is read.
_MANY = 64
_WIDEST = 48
# Of labels that an image has or has not.
_LIKELY = 0.5
# Classes of pixels that are told without --top.
_USUAL_SHARES = 3
# Name and share, or probability.
_Row = tuple[str, float]


def predict(
    run: Annotated[
        Path, typer.Argument(help="The folder of a run or of an export.", show_default=False)
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="Images, folders of them, or patterns.", show_default=False
        ),
    ],
    trial: TrialOption = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Tell so many classes [default: the likeliest].")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the network runs: auto, cpu, cuda, cuda:1, mps, xpu.")
    ] = "auto",
    code: CodeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Name the class of image files, with its probability; exits with 1 if one is not read."""
    name, predictor = _predictor(run, trial, code, device)
    about = predictor.preprocessing
    _check_top(top, about)
    pictures = picture_files([str(file) for file in files])
    if predictor.images.order == "as in the data":
        _note("the data do not name their channels; files are read as red, green, blue")
    predictions = _followed(predictor.predict(pictures), len(pictures), quiet=not as_json)
    told = [_json(each, about, top) for each in predictions] if as_json else []
    failed = [each for each in told if "error" in each]
    if as_json:
        head = {"network": name, "outputs": about.outputs, "probabilities": about.probabilities}
        typer.echo(json.dumps({**head, "predictions": told}, indent=2, allow_nan=False))
        count = len(failed)
    else:
        count = _show(predictions, pictures, about, top)
    if count:
        _note(f"{count:,} of {len(pictures):,} files have no prediction")
        raise typer.Exit(1)


def picture_files(names: Sequence[str]) -> list[Path]:
    """Return the files that are meant: each as it is, those below a folder, those of a pattern.

    Below a folder what has no image's name is passed over; images of formats that are not read are
    not, so that they are told.

    Raises:
        UsageError: for a name that is nothing, or a folder or pattern without images.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        # `Path` raises for names that are too long for any file.
        if os.path.isdir(path):  # noqa: PTH112
            pictures = list(_below(path))
        elif has_magic(name) and not os.path.exists(path):  # noqa: PTH110
            # Path.glob takes no patterns from the root on.
            matches = map(Path, sorted(glob(name, recursive=True)))  # noqa: PTH207
            pictures = [each for match in matches for each in _pictures(match)]
        else:
            # What is wrong with a single file is told beside the others' classes.
            pictures = [path]
        if not pictures:
            raise UsageError(f"{name}: no images there; give PNG or JPEG files, or folders of them")
        found += pictures
    return found


def _pictures(path: Path) -> Iterator[Path]:
    yield from _below(path) if path.is_dir() else [path]


def _below(folder: Path) -> Iterator[Path]:
    """Yield the images below a folder in order; links are followed once, hidden ones not at all."""
    from growsearch.datasets.reading.image_files import is_image, is_left_behind

    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(root)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        pictures = (Path(root) / name for name in sorted(names) if not is_left_behind(name))
        yield from filter(is_image, pictures)


def _predictor(
    place: Path, trial: str | None, code: Path | None, device: str
) -> tuple[str, Predictor]:
    """Return the network's name, and the network behind its preprocessing."""
    from growsearch.export import load_predictor
    from search_spaces.code_origin import CodeOfRun

    names = CodeOfRun(code)
    if (place / "study.yaml").exists() or not (place / "architecture.json").exists():
        from growsearch.commands.one_network.chosen import chosen_trial
        from growsearch.search.study.trial_export import trial_predictor

        found = chosen_trial(place, trial)
        return found.id, trial_predictor(place, found, names, device)
    if trial is not None:
        raise UsageError(f"--trial: {place} is an export of one network; leave the option out")
    return place.resolve().name, load_predictor(place, names, device=device)


def _check_top(top: int | None, about: Preprocessing) -> None:
    if top is not None and about.outputs not in ("classes", "labels", "pixels"):
        raise UsageError(
            f"--top: {top} of classes, and this network gives {about.outputs}; leave it out"
        )


def _followed(
    predictions: Iterable[Prediction], total: int, *, quiet: bool
) -> Iterator[Prediction]:
    """Show a bar on the terminal while many files are read and nothing else tells of them."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    lines_follow = quiet and sys.stdout.isatty()
    if total < _MANY or lines_follow or not console.is_terminal:
        yield from predictions
        return
    with Progress(console=console, transient=True) as bar:
        yield from bar.track(predictions, total=total, description="images")


def _show(
    predictions: Iterable[Prediction], files: Sequence[Path], about: Preprocessing, top: int | None
) -> int:
    """Print a line a prediction; return how many files have none."""
    from growsearch.commands.terminal import say

    width = min(_WIDEST, max(len(str(file)) for file in files))
    names = max((len(name) for name in about.classes), default=0)
    failed = 0
    for each in predictions:
        if each.outputs is None:
            _note(each.error)
            failed += 1
            continue
        rows = _rows(each, about, top)
        if rows is None:
            say(f"{each.file!s:<{width}}  {_numbers(each)}")
            continue
        for number, (name, share) in enumerate(rows):
            file = "" if number else str(each.file)
            say(f"{file:<{width}}  {name:<{names}}  {100 * share:5.1f} %")
        if not rows:
            say(f"{each.file!s:<{width}}  no label of at least {100 * _LIKELY:.0f} %")
    return failed


def _rows(found: Prediction, about: Preprocessing, top: int | None) -> list[_Row] | None:
    """Return names with probabilities, or shares of pixels; None of outputs that are numbers."""
    outputs, kind = found.outputs, about.outputs
    assert outputs is not None
    if kind == "pixels":
        best = outputs.argmax(dim=-1).flatten()
        shares = best.bincount(minlength=outputs.shape[-1]) / len(best)
        least, most = 0.0, top or _USUAL_SHARES
    elif kind == "labels":
        shares, least, most = outputs, _LIKELY if top is None else 0.0, top or len(outputs)
    elif kind == "classes":
        shares, least, most = outputs, 0.0, top or 1
    else:
        return None
    order = shares.argsort(descending=True, stable=True)[:most].tolist()
    word = about.class_name if kind != "labels" else "label {}".format
    told = [(word(place), float(shares[place])) for place in order]
    return [row for row in told if row[1] >= least and (kind != "pixels" or row[1] > 0)]


def _numbers(found: Prediction) -> str:
    assert found.outputs is not None
    values = found.outputs.flatten()
    if len(values) > _WIDEST:
        shape = " x ".join(map(str, found.outputs.shape))
        return f"{shape} numbers from {float(values.min()):.6g} to {float(values.max()):.6g}"
    return "  ".join(f"{float(value):.6g}" for value in values)


def _json(found: Prediction, about: Preprocessing, top: int | None) -> dict[str, Any]:
    """Return a prediction as plain data."""
    if found.outputs is None:
        return {"file": str(found.file), "error": found.error}
    rows = _rows(found, about, top)
    if rows is None:
        return {"file": str(found.file), "outputs": found.outputs.tolist()}
    share = "share_of_pixels" if about.outputs == "pixels" else "probability"
    key = "labels" if about.outputs == "labels" else "classes"
    listed = [{"name": name, share: value} for name, value in rows]
    if about.outputs != "classes":
        return {"file": str(found.file), key: listed}
    first = {"class": rows[0][0], "probability": rows[0][1]}
    return {"file": str(found.file), **first, **({} if top is None else {key: listed})}


def _note(text: str) -> None:
    from growsearch.shown_text import shown

    typer.echo(shown(text), err=True)
