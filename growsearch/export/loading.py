"""How is an exported network loaded again: with torch alone, or to be trained on?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from growsearch.errors import UsageError
from growsearch.export.sparse_weights import read_weights
from growsearch.trial.network import Network
from search_spaces.own_code import add_code_folder


def load_network(folder: Path | str, code: Path | str | None = None) -> nn.Module:
    """Return the module of an export's folder, in eval mode, its zeros in place.

    Args:
        folder: holds architecture.json and weights.safetensors.
        code: where the modules of a network of your own are; they are imported.

    Raises:
        UsageError: if a file is missing, cannot be read or is of another network.
    """
    folder = Path(folder)
    if code is not None:
        add_code_folder(Path(code))
    try:
        network = json.loads((folder / "architecture.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / 'architecture.json'} cannot be read ({error})") from error
    module = Network.from_json(network).build()
    try:
        module.load_state_dict(read_weights(folder / "weights.safetensors"))
    except RuntimeError as error:
        raise UsageError(f"{folder}: weights of another network: {error}") from error
    return module.eval()


def loader_script(input_shape: Sequence[int], *, tokens: bool = False, program: bool = True) -> str:
    """Return a script of at most ten lines that runs the network of the folder that it lies in.

    It needs torch alone where there is a ``program``, and growsearch where there is none.
    """
    shape = ", ".join(map(str, (1, *input_shape)))
    inputs = f"torch.zeros({shape}, dtype=torch.long)" if tokens else f"torch.randn({shape})"
    if not program:
        return f'''"""Run this network: python load.py [FOLDER of the network's own code]"""

import sys
from pathlib import Path
import torch
from growsearch.export import load_network

model = load_network(Path(__file__).parent, *sys.argv[1:2])
inputs = {inputs}  # yours, normalised as MODEL_CARD.md says
print(model(inputs).argmax(1))
'''
    return f'''"""Run this network with torch alone: python load.py"""

from pathlib import Path

import torch

model = torch.export.load(Path(__file__).parent / "program.pt2").module()
inputs = {inputs}  # yours, normalised as MODEL_CARD.md says
print(model(inputs).argmax(1))
'''
