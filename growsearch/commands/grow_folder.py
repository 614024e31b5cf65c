"""What does a grown network's folder hold? Settings, history, checkpoint, export and result."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from growsearch.errors import GrowsearchError, UsageError
from growsearch.files import append_line, write_json, write_text
from growsearch.growth import STRUCTURES, GrowthRecord, structure_line
from growsearch.search.ledger.run_folder import RunFolder, provenance
from growsearch.training import differences

_DURATION = "duration_s"


@dataclass(frozen=True, slots=True)
class GrowFolder:
    """The paths of one growing run."""

    path: Path

    @property
    def settings(self) -> Path:
        """What the run was asked for, and where it was started."""
        return self.path / "settings.json"

    @property
    def history(self) -> Path:
        """One line an epoch."""
        return self.path / "history.csv"

    @property
    def structures(self) -> Path:
        """What every epoch left of every channel and unit, a line of JSON each."""
        return self.path / f"{STRUCTURES}.jsonl"

    @property
    def checkpoint(self) -> Path:
        """All that is needed to go on after the last finished epoch."""
        return self.path / "checkpoint.safetensors"

    @property
    def export(self) -> Path:
        """The grown network, ready to use."""
        return self.path / "export"

    @property
    def result(self) -> Path:
        """The finished run in figures."""
        return self.path / "result.json"

    def locked(self) -> AbstractContextManager[None]:
        """Keep a second process out; the lock goes with the process."""
        return RunFolder(self.path).locked()

    def read_settings(self) -> dict[str, Any] | None:
        """Return the settings of the run that lives here, or None.

        Raises:
            UsageError: if the folder holds something else.
        """
        if not self.settings.exists():
            if self.path.exists() and {f.name for f in self.path.iterdir()} - {"run.lock"}:
                raise UsageError(
                    f"{self.path} holds other files and no settings.json; choose another --out"
                )
            return None
        try:
            settings = json.loads(self.settings.read_text(encoding="utf-8"))["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GrowsearchError(
                f"{self.settings} is damaged ({error}); choose another --out"
            ) from error
        return dict(settings)

    def open(self, settings: Mapping[str, Any]) -> None:
        """Write the settings of a new run, or check that the one here has the same.

        Until an epoch is finished there is nothing to lose, and new settings replace the old.

        Raises:
            UsageError: if a setting differs; the message names the innermost one.
        """
        before = self.read_settings()
        if before is None or not self.checkpoint.exists():
            write_json(self.settings, {"settings": dict(settings), "provenance": provenance()})
            return
        for key, old, new in differences(before, json.loads(json.dumps(dict(settings)))):
            raise UsageError(
                f"{self.path} holds a run with other settings: {key} was {old!r} and is {new!r} "
                "now; use the old value, or choose another --out"
            )


class History:
    """The files of one line an epoch: numbers and widths as a table, structures as JSON."""

    def __init__(self, folder: GrowFolder) -> None:
        self._path, self._structures = folder.history, folder.structures
        self.durations: list[float] = []

    def start(self, records: Sequence[GrowthRecord]) -> None:
        """Write the files anew, with the epochs of a run that goes on; their durations stay."""
        known = _read_durations(self._path)
        self.durations = [known.get(record.epoch, 0.0) for record in records]
        lines = [
            _line(_row(record, duration).values())
            for record, duration in zip(records, self.durations, strict=True)
        ]
        header = [_line(_row(records[0], 0.0))] if records else []
        write_text(self._path, "".join(line + "\n" for line in (*header, *lines)))
        write_text(self._structures, "".join(_structures(record) + "\n" for record in records))

    def append(self, record: GrowthRecord, duration_s: float) -> None:
        """Add one epoch."""
        self.durations.append(duration_s)
        row = _row(record, duration_s)
        if record.epoch == 1:
            write_text(self._path, _line(row) + "\n")
            write_text(self._structures, "")
        append_line(self._path, _line(row.values()))
        append_line(self._structures, _structures(record))


def _row(record: GrowthRecord, duration_s: float) -> dict[str, object]:
    numbers = {
        field.name: value
        for field in dataclasses.fields(record)
        if isinstance(value := getattr(record, field.name), (int, float))
    }
    widths = {f"width.{group}": width for group, width in record.widths.items()}
    return {**numbers, _DURATION: round(duration_s, 3), **widths}


def _structures(record: GrowthRecord) -> str:
    return json.dumps(structure_line(record), allow_nan=False, separators=(",", ":"))


def _line(values: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def _read_durations(path: Path) -> dict[int, float]:
    """Return seconds by epoch; lines that a crash cut short are passed over."""
    found = {}
    if path.exists():
        for row in csv.DictReader(path.read_text(errors="replace").splitlines()):
            try:
                found[int(row["epoch"])] = float(row[_DURATION])
            except (KeyError, TypeError, ValueError):
                continue
    return found
