"""Networks that cannot be trained, each in its own way; what is wrong shows in a trial alone.

They are found by name, "fault_networks:Diverging", so that workers import them too.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

SHAPE, CLASSES = (1, 8, 8), 10
# A check before a search takes a step with so many examples; a trial's batches are larger.
CHECKED = 2


class Sound(nn.Module):
    """A network with nothing wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(64, 16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.inner(x.flatten(1))))


class Unreached(Sound):
    """Has a layer that the loss does not reach: RigL has no gradient to grow by."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(16, 16)


class FrozenLater(Sound):
    """Freezes a masked layer while it is trained: RigL has no gradient there either."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > CHECKED:
            self.inner.weight.requires_grad_(False)
        return super().forward(x)


class Diverging(Sound):
    """Overflows where it is trained."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found * torch.inf if self.training else found


class Unbuilt(Sound):
    """Cannot be made with the seed of a trial; checks before a search have others."""

    def __init__(self) -> None:
        if 1000 < torch.initial_seed() < 2**31:
            raise ValueError("an unlucky draw")
        super().__init__()


class TooLargeForTheGpu(Sound):
    """Stands for a network whose batches an accelerator's memory does not hold."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > CHECKED:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")
        return super().forward(x)


class Uncounted(Sound):
    """Ends with work that is not counted once it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
        elif int(self.seen):
            x = torch.fft.fft(x).real
        return super().forward(x)


class Slow(Sound):
    """Takes longer than it is given."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            time.sleep(1.0)
        return super().forward(x)


class Broken(Sound):
    """Has a bug that a batch of a trial shows."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found @ found if self.training and len(x) > CHECKED else found


# What a trial of each must say.
WRONG: dict[str, str] = {
    "Unreached": r"UsageError: .*the loss of step \d+ does not reach unused\.weight",
    "FrozenLater": r"UsageError: .*the loss of step \d+ does not reach inner\.weight",
    "Diverging": "DivergedError: ",
    "Unbuilt": "SearchSpaceError: .*an unlucky draw",
    "TooLargeForTheGpu": "OutOfMemoryError: CUDA out of memory",
    "Uncounted": "UnsupportedLayerError: ",
    "Slow": "TimeLimitError: ",
    "Broken": "RuntimeError: mat1 and mat2 .*, 4 times",
}
