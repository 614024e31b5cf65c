import pytest
import torch
from torch import nn
from torch.nn import functional as F

from growsearch.metrics import effective_gradient_flow, layer_gradient_norms, undisturbed


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 4, generator=generator), torch.arange(6) % 3


def test_one_linear_layer_by_hand():
    # Zero weights give equal logits: the gradient of class k is x (p_k - [k = label]).
    layer = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(layer.weight)
    inputs, labels = torch.tensor([[3.0, 4.0]]), torch.tensor([0])
    mask = torch.tensor([[True, False], [False, True]])
    norms = layer_gradient_norms(layer, inputs, labels, {"weight": mask})
    # [[-1.5, -2], [1.5, 2]] with -1.5 and 2 active
    assert norms == pytest.approx({"weight": 2.5})
    assert effective_gradient_flow(layer, inputs, labels, {"weight": ~mask}) == pytest.approx(2.5)


def test_full_masks_measure_the_dense_gradient(model, batch):
    masks = {n: torch.ones_like(p, dtype=torch.bool) for n, p in model.named_parameters()}
    flow = effective_gradient_flow(model, *batch, masks)
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    whole = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert flow == pytest.approx(float(whole.norm()), rel=1e-6)


def test_masked_weights_and_other_layers_do_not_count(model, batch):
    full = torch.ones(5, 4, dtype=torch.bool)
    half = full.clone()
    half[::2] = False
    flows = {
        name: effective_gradient_flow(model, *batch, {"0.weight": mask})
        for name, mask in {"full": full, "half": half, "rest": ~half}.items()
    }
    assert flows["half"] < flows["full"]
    assert flows["half"] ** 2 + flows["rest"] ** 2 == pytest.approx(flows["full"] ** 2)
    assert effective_gradient_flow(model, *batch, {"0.weight": ~full}) == 0.0


def test_stored_gradients_stay(model, batch):
    masks = {"0.weight": torch.ones(5, 4, dtype=torch.bool)}
    effective_gradient_flow(model, *batch, masks)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_text_has_a_target_at_every_place():
    # Equal logits of two words: (p - target) x, as above, averaged over four places.
    layer = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(layer.weight)
    inputs, labels = torch.tensor([[3.0, 4.0]]).expand(2, 2, 2), torch.zeros(2, 2).long()
    norms = layer_gradient_norms(layer, inputs, labels, {"weight": torch.ones(2, 2).bool()})
    assert norms["weight"] == pytest.approx(2**0.5 * 2.5)


def test_a_measurement_in_training_mode_leaves_no_trace(batch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
    model.eval()
    model[1].train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = torch.rand(3, generator=torch.Generator().set_state(torch.get_rng_state()))
    masks = {"0.weight": torch.ones(5, 4, dtype=torch.bool)}
    with undisturbed(model):
        layer_gradient_norms(model, *batch, masks)
        assert all(part.training for part in model.modules())
        assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [part.training for part in model] == [False, True, False, False]
    assert torch.equal(torch.rand(3), expected)
