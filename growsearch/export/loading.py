"""Loader of an exported network: with torch alone, or to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from growsearch.export.trained import load_trained
from growsearch.trial.network import build_network


def load_network(folder: Path | str) -> nn.Module:
    """Return the module of an export's folder, in eval mode, its zeros in place.

    Raises:
        UsageError: if a file is missing, cannot be read or is of another network.
    """
    return load_trained(Path(folder), build_network)


def loader_script(input_shape: Sequence[int], *, tokens: bool = False) -> str:
    """return a script of at most ten lines that runs the program of the folder that it lies in."""
    shape = ", ".join(map(str, (1, *input_shape)))
    inputs = f"torch.zeros({shape}, dtype=torch.long)" if tokens else f"torch.randn({shape})"
    return f'''"""Run this network with torch alone: python load.py"""

from pathlib import Path

import torch

model = torch.export.load(Path(__file__).parent / "program.pt2").module()
inputs = {inputs}  # yours, normalised as MODEL_CARD.md says
print(model(inputs).argmax(1))
'''
