import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from growsearch.errors import UsageError
from growsearch.kinds.checking.network_checks import check_network

INPUTS = (torch.zeros(2, 1, 6, 6),)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def features(self, x):
        return torch.relu(self.norm(self.conv(x))).mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))


class Unused(Net):
    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(4, 3)


class Detached(Net):
    def forward(self, x):
        return self.head(self.features(x).detach())


class InPlace(Net):
    def forward(self, x):
        out = torch.sigmoid(self.conv(x))
        out.mul_(2)
        return self.head(out.mean((2, 3)))


class Auxiliary(Net):
    def forward(self, x):
        out = self.head(self.features(x))
        return (out, out) if self.training else out


class Spectrum(Net):
    def forward(self, x):
        return self.head(torch.fft.fft(self.features(x)).real)


class NoGradients(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Shifted(Net):
    def forward(self, x):
        return self.head(F.conv2d(x, self.conv.weight - 1).mean((2, 3)))


class Extra(Net):
    def get_extra_state(self):
        return {"epoch": 1}

    def set_extra_state(self, state):
        pass


class Locked(Net):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def frozen() -> nn.Module:
    return Net().requires_grad_(False)


def normed() -> nn.Module:
    network = Net()
    parametrizations.weight_norm(network.conv)
    return network


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (InPlace, "a step of training fails: RuntimeError: .*inplace operation"),
        (Auxiliary, "in training mode it gives a tuple"),
        (Spectrum, "its work cannot be counted: operator aten::fft_fft may do MACs"),
        (NoGradients, "nothing of it can be trained"),
        (frozen, "nothing of it can be trained"),
        (normed, r"conv\.weight is re-parametrised by WeightNorm"),
        (Shifted, r"conv\.weight: Conv2d computes with another weight"),
        (Extra, r"_extra_state is a dict: weights are kept as safetensors"),
        (Locked, r"lock cannot be copied \(copy\.deepcopy\): TypeError: .*lock"),
    ],
)
def test_a_network_that_no_trial_could_finish_is_refused_with_the_reason(make, message):
    with pytest.raises(UsageError, match=message):
        check_network(make(), INPUTS, masked=True)


@pytest.mark.parametrize(
    ("make", "unreached"),
    [
        (Net, ()),
        (Unused, ("aux.weight", "aux.bias")),
        (Detached, ("conv.weight", "conv.bias", "norm.weight", "norm.bias")),
    ],
)
def test_parameters_that_nothing_depends_on_are_named_and_the_network_is_left_alone(
    make, unreached
):
    network = make()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert check_network(network, INPUTS, masked=True) == unreached
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


class Checkpointed(Net):
    """Computes what is before the head, or the head alone, again in the backward pass."""

    def __init__(self, head) -> None:
        super().__init__()
        self.only_head = head

    def forward(self, x):
        if self.only_head:
            return checkpoint(self.head, self.features(x), use_reentrant=True)
        return self.head(checkpoint(self.features, x, use_reentrant=True))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_reentrant_checkpoints_are_checked_by_the_gradients_that_training_would_see():
    assert check_network(Checkpointed(head=True), INPUTS, masked=True) == ()
    # Inputs want no gradient, so that torch gives the parameters behind them none.
    lost = ("conv.weight", "conv.bias", "norm.weight", "norm.bias")
    assert check_network(Checkpointed(head=False), INPUTS, masked=True) == lost


def test_zeros_are_of_no_concern_where_there_are_no_masks():
    assert check_network(Shifted(), INPUTS, masked=False) == (
        "conv.bias",
        "norm.weight",
        "norm.bias",
    )
