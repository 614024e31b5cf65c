"""Ticket: masks over pretrained weights, in a file that later trials can start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from growsearch.errors import GrowsearchError, MachineError, UsageError
from growsearch.reading import reading
from growsearch.sparsity import Masks
from growsearch.tickets.backbone import weights_hash
from growsearch.tickets.granularity import Granularity, check_granularity
from growsearch.training import Checkpoint, read_checkpoint, write_checkpoint

_KIND = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A sub-network f(.; m * theta_pre) of a pretrained network (arXiv 2304.11834, section 2).

    Attributes:
        masks: m, by parameter name, True where a weight is active; not of the classifier.
        scheme: how it was drawn, a key of TICKET_SCHEMES.
        granularity: which weights went together.
        sparsity: the share of zeros that was asked for.
        theta: the hash of the weights that the masks lie on, as `weights_hash` has it.
        source: what theta_pre is: the pretraining's settings.

    Example:
        >>> import torch
        >>> from growsearch.tickets import Ticket, weights_hash
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Linear(2, 2))
        >>> ticket = Ticket(
        ...     masks={"0.weight": torch.tensor([[True, False, False, False]] * 2)},
        ...     scheme="omp",
        ...     granularity="unstructured",
        ...     sparsity=0.75,
        ...     theta=weights_hash(module, ["0.weight"]),
        ... )
        >>> ticket.zeros, ticket.apply(module).nonzeros()
        (6, {'0.weight': 2})
    """

    masks: Mapping[str, Tensor]
    scheme: str
    granularity: Granularity
    sparsity: float
    theta: str
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """The number of weights under the masks."""
        return sum(mask.numel() for mask in self.masks.values())

    @property
    def zeros(self) -> int:
        """The number of weights that the ticket leaves out."""
        return self.weights - sum(int(torch.count_nonzero(m)) for m in self.masks.values())

    def apply(self, model: nn.Module) -> Masks:
        """Give ``model``, which has the weights theta_pre, the ticket's masks; zeros in place.

        Raises:
            UsageError: if its weights are others than those that the ticket was drawn from.
        """
        parameters = dict(model.named_parameters(remove_duplicate=False))
        for name, mask in self.masks.items():
            own = parameters.get(name)
            if own is None or own.shape != mask.shape:
                raise UsageError(
                    f"ticket: {name} of shape {tuple(mask.shape)} does not fit "
                    f"{type(model).__name__}; use the space, and images of the number of channels, "
                    "that the ticket was drawn with"
                )
        found = weights_hash(model, self.masks)
        if found != self.theta:
            raise UsageError(
                f"ticket: it was drawn from weights {self.theta}, these are {found}; "
                "load the pretrained weights that belong to it, or draw another ticket"
            )
        return Masks.attach(model, self.masks)


def write_ticket(path: Path, ticket: Ticket, *, training_macs: int = 0, examples: int = 0) -> None:
    """Write one safetensors file in one atomic step, all but the masks in its header.

    ``training_macs`` and ``examples`` are what drawing it took.

    Raises:
        GrowsearchError: if the file cannot be written; an older one is untouched.

    Example:
        >>> from pathlib import Path
        >>> import torch
        >>> from growsearch.tickets import Ticket, read_ticket, write_ticket
        >>> ticket = Ticket(
        ...     masks={"0.weight": torch.tensor([[True, False], [False, False]])},
        ...     scheme="omp",
        ...     granularity="unstructured",
        ...     sparsity=0.75,
        ...     theta="0123456789abcdef",
        ... )
        >>> write_ticket(Path("ticket.safetensors"), ticket)
        >>> read_ticket(Path("ticket.safetensors")).zeros
        3
    """
    facts = {
        "kind": _KIND,
        "scheme": ticket.scheme,
        "granularity": ticket.granularity,
        "sparsity": ticket.sparsity,
        "zeros": ticket.zeros,
        "weights": ticket.weights,
        "theta": ticket.theta,
        "training_macs": training_macs,
        "examples": examples,
        "source": dict(ticket.source),
    }
    write_checkpoint(path, Checkpoint(tensors=dict(ticket.masks), facts=facts))


def read_ticket(path: Path) -> Ticket:
    """Read what `write_ticket` wrote.

    Raises:
        UsageError: if there is no such file, or it holds something else.
        GrowsearchError: if it is damaged.

    Example:
        >>> from pathlib import Path
        >>> from growsearch.errors import UsageError
        >>> from growsearch.tickets import read_ticket
        >>> try:
        ...     read_ticket(Path("none.safetensors"))
        ... except UsageError as error:
        ...     print(error)
        ticket: none.safetensors is no file
    """
    return read_ticket_and_facts(path)[0]


def read_ticket_and_facts(path: Path) -> tuple[Ticket, Mapping[str, Any]]:
    """Read a ticket and all that its header says; errors are those of `read_ticket`."""
    if not path.is_file():
        raise UsageError(f"ticket: {path} is no file")
    try:
        checkpoint = read_checkpoint(path)
    except MachineError:
        raise
    except GrowsearchError as error:
        raise GrowsearchError(f"ticket: {path} cannot be read; draw it again ({error})") from error
    facts = checkpoint.facts
    if facts.get("kind") != _KIND:
        raise UsageError(f"ticket: {path} holds no ticket; give a file that a draw has written")
    with reading(f"ticket: {path}", "it is damaged: draw it again", GrowsearchError):
        check_granularity(facts["granularity"])
        ticket = Ticket(
            masks=checkpoint.tensors,
            scheme=str(facts["scheme"]),
            granularity=facts["granularity"],
            sparsity=float(facts["sparsity"]),
            theta=str(facts["theta"]),
            source=dict(facts["source"]),
        )
    _check(path, ticket, facts)
    return ticket, facts


def _check(path: Path, ticket: Ticket, facts: Mapping[str, Any]) -> None:
    for name, mask in ticket.masks.items():
        if mask.dtype != torch.bool:
            raise GrowsearchError(f"ticket: {path}: the mask of {name} is {mask.dtype}, not bool")
    found = (ticket.zeros, ticket.weights)
    if found != (facts.get("zeros"), facts.get("weights")):
        raise GrowsearchError(
            f"ticket: {path} has {found[0]} zeros in {found[1]} weights, its header says "
            f"{facts.get('zeros')} in {facts.get('weights')}; draw it again"
        )
