"""Loading of exported networks: to be trained on, or with torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from growsearch.errors import UsageError
from growsearch.export.sparse_weights import read_weights
from growsearch.kinds import Network
from growsearch.reading import read_json, reading
from search_spaces.code_origin import FOUND_HERE, CodeNames, CodeOfRun

ARCHITECTURE_FILE, WEIGHTS_FILE = "architecture.json", "weights.safetensors"
_MAX_BYTES = 16 * 2**20


def load_network(folder: Path | str, code: Path | str | CodeNames | None = None) -> nn.Module:
    """Return the module of an export's or a trial's folder, in eval mode, its zeros in place.

    Args:
        folder: holds architecture.json and weights.safetensors.
        code: the folder of a network of your own code, which is imported from there if it is what
            it was, or what decides about its names; by default only code that this process has
            named before is imported.

    Raises:
        UsageError: if a file is missing, cannot be read or is of another network, or names code
            that may not be imported.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> import safetensors.torch
        >>> import torch
        >>> from growsearch.export import load_network
        >>> from search_spaces import search_space
        >>> space, folder = search_space("mlp-digits"), Path("network")
        >>> folder.mkdir()
        >>> network = {
        ...     "format": 1,
        ...     **space.largest().to_json(),
        ...     "input_shape": [1, 8, 8],
        ...     "num_classes": 10,
        ...     "transform": None,
        ... }
        >>> _ = (folder / "architecture.json").write_text(json.dumps(network))
        >>> state = space.build(space.largest()).state_dict()
        >>> _ = safetensors.torch.save_file(state, folder / "weights.safetensors")
        >>> load_network(folder)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return load_built(read_network(folder, code), Path(folder) / WEIGHTS_FILE)


def read_network(folder: Path | str, code: Path | str | CodeNames | None = None) -> Network:
    """Return the network that an export's or a trial's folder describes; see `load_network`.

    Raises:
        UsageError: if architecture.json is missing, cannot be read, or names code that may not be
            imported.
    """
    path = Path(folder) / ARCHITECTURE_FILE
    if code is None:
        names = FOUND_HERE
    else:
        names = CodeOfRun(Path(code)) if isinstance(code, str | Path) else code
    try:
        data = read_json(path, "run the trial again", most_bytes=_MAX_BYTES)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UsageError(
                f"{path} is missing; run the trial again to get its network"
            ) from error
        raise
    if not isinstance(data, dict):
        raise UsageError(f"{path} holds no network; run the trial again")
    return Network.from_json(data, names)


def load_built(network: Network, weights: Path) -> nn.Module:
    """Return the network with the weights of a file, in evaluation mode.

    Its sizes are compared with the file's before it or they take memory. Others' code may do with
    tensors what needs memory: of that only the weights are compared.

    Raises:
        UsageError: if the file is missing, not readable, or of another network.
    """
    state = read_weights(weights, None if network.own_code else network.shapes())
    return load_weights(network.build(), state, weights)


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> nn.Module:
    """Put the weights of ``source`` into a module, in evaluation mode.

    Raises:
        UsageError: if they are of another network.
    """
    with reading(f"{source}, which holds the weights of another network,", "run the trial again"):
        module.load_state_dict(state)
    return module.eval()
