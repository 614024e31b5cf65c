import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from search_spaces import SearchSpaceError
from search_spaces.own_networks.plain_weights import check_plain_weights, reparametrised


class Doubled(nn.Linear):
    """A layer whose weight is no parameter: it is made of one."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        raw = self.weight
        del self.weight
        self.raw = raw

    @property
    def weight(self):
        return 2 * self.raw


class Half(nn.Module):
    def forward(self, weight):
        return weight / 2


def parametrised(tensor: str) -> nn.Module:
    layer = nn.BatchNorm1d(4)
    parametrize.register_parametrization(layer, tensor, Half())
    return layer


REMOVE = "torch.nn.utils.parametrize.remove_parametrizations"


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("make", "name", "by", "remedy"),
    [
        (lambda: parametrizations.weight_norm(nn.Linear(4, 4)), "1.weight", "WeightNorm", REMOVE),
        (
            lambda: parametrizations.spectral_norm(nn.Conv2d(1, 2, 3)),
            "1.weight",
            "SpectralNorm",
            REMOVE,
        ),
        (lambda: parametrizations.orthogonal(nn.Linear(4, 4)), "1.weight", "Orthogonal", REMOVE),
        (lambda: parametrised("bias"), "1.bias", "Half", REMOVE),
        (
            lambda: weight_norm(nn.LSTM(3, 4), "weight_hh_l0"),
            "1.weight_hh_l0",
            "weight_norm",
            "torch.nn.utils.remove_weight_norm",
        ),
        (
            lambda: spectral_norm(nn.Linear(4, 4)),
            "1.weight",
            "spectral_norm",
            "torch.nn.utils.remove_spectral_norm",
        ),
        (
            lambda: prune.l1_unstructured(nn.Linear(4, 4), "weight", 0.5),
            "1.weight",
            "torch.nn.utils.prune",
            "torch.nn.utils.prune.remove",
        ),
        (lambda: prune.identity(nn.Linear(4, 4), "bias"), "1.bias", "prune", "prune.remove"),
        (Doubled, "1.weight", "Doubled", "make it a parameter of the layer"),
    ],
)
def test_a_reparametrised_tensor_is_refused_by_name_with_what_undoes_it(make, name, by, remedy):
    network = nn.Sequential(nn.Linear(4, 4), make())
    (found,) = reparametrised(network)
    assert (found.name, by in found.by, remedy in found.remedy) == (name, True, True)
    with pytest.raises(SearchSpaceError, match=rf"Sequential: {name} is re-parametrised by .*{by}"):
        check_plain_weights(network)


def test_the_remedies_work():
    normed = parametrizations.weight_norm(nn.Linear(4, 4))
    pruned = prune.l1_unstructured(nn.Linear(4, 4), "weight", 0.5)
    parametrize.remove_parametrizations(normed, "weight")
    prune.remove(pruned, "weight")
    check_plain_weights(nn.Sequential(normed, pruned))


def test_plain_layers_of_every_kind_pass():
    fixed = nn.Conv2d(1, 1, 3)
    weight = fixed.weight.detach()
    del fixed.weight
    fixed.register_buffer("weight", torch.ones_like(weight))
    encoder = nn.TransformerEncoderLayer(8, 2)
    check_plain_weights(nn.Sequential(fixed, encoder, nn.LSTM(3, 4), nn.LazyLinear(3)))
