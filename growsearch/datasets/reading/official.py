"""Official files of data sets: where they lie, and what to do without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from growsearch.datasets.reading.boundary import shown
from growsearch.datasets.reading.regular_file import kind_of
from growsearch.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A published file and its published MD5."""

    file: str
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A folder below ``data_dir`` and the published files that fill it."""

    folder: str
    downloads: tuple[Download, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Official:
    """How a data set is published: the address of its page and its layouts, the preferred first."""

    name: str
    address: str
    layouts: tuple[Layout, ...]
    unpack: bool = True

    def locate(self, data_dir: Path | None) -> tuple[Path, Layout]:
        """Return the first layout's folder that exists; ``data_dir`` may be that folder itself.

        Raises:
            UsageError: if there is none, with what to download and where to put it.
        """
        if data_dir is None:
            raise UsageError(f"data_dir: {self.name} is read from a folder. {self.instructions}")
        for layout in self.layouts:
            if (data_dir / layout.folder).is_dir():
                return data_dir / layout.folder, layout
            if data_dir.is_dir() and data_dir.resolve().name == Path(layout.folder).name:
                return data_dir, layout
        folders = " or ".join(layout.folder for layout in self.layouts)
        raise UsageError(
            f"data_dir: {shown(data_dir)} holds no folder {folders}. {self.instructions}"
        )

    @property
    def instructions(self) -> str:
        """What to download from where, with checksums, and where to put it."""
        folders: dict[tuple[Download, ...], list[str]] = {}
        for layout in self.layouts:
            folders.setdefault(layout.downloads, []).append(f"{layout.folder}/")
        how = (
            "unpack it (tar -xzf) in data_dir, which makes"
            if self.unpack
            else "put into data_dir under"
        )
        ways = [f"{_listed(files)}, {how} {' or '.join(at)}" for files, at in folders.items()]
        return f"Get from {self.address}: {'; or '.join(ways)}."

    def require(self, folder: Path, files: Sequence[str]) -> list[Path]:
        """Return the paths of ``files``.

        Raises:
            UsageError: naming those that are missing, or one that is a folder, a pipe or the like.
        """
        missing = [name for name in files if not (folder / name).exists()]
        if missing:
            raise UsageError(
                f"{self.name}: {', '.join(missing)} missing in {shown(folder)}. {self.instructions}"
            )
        paths = [folder / name for name in files]
        for path in paths:
            if not path.is_file():
                raise UsageError(
                    f"{shown(path)}: {kind_of(path.stat().st_mode)}, where a regular file is due; "
                    "remove it"
                )
        return paths


def _listed(downloads: Sequence[Download]) -> str:
    return ", ".join(f"{download.file} (MD5 {download.md5})" for download in downloads)
