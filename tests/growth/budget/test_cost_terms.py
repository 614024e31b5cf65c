import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from growsearch.growth.budget.cost_terms import CostTerms, mac_terms, parameter_terms
from search_spaces import SEARCH_SPACES, channel_groups


def test_a_cost_is_the_sum_of_products_of_group_sizes():
    terms = CostTerms(names=("a", "b"), terms=((9, (0, 1)), (2, (0,)), (5, ())))
    assert terms.exact([3, 4]) == 9 * 12 + 6 + 5
    assert terms.expected([0.5, 4.0]) == 18 + 1 + 5


def test_the_macs_of_a_small_resnet_agree_with_a_count_by_hand(space):
    model = space.build(space.largest())
    terms = mac_terms(model, channel_groups(model), space.example_inputs())
    # 6 x 6 = 36 positions in stage 0; stride 2 leaves 3 x 3 = 9 in stage 1.
    stem = 36 * 9 * 1 * 4
    stage0 = 2 * 36 * 9 * 4 * 4
    stage1 = 9 * 9 * 4 * 8 + 9 * 9 * 8 * 8 + 9 * 1 * 4 * 8
    classifier = 8 * 3
    assert terms.exact([4, 4, 8, 8]) == stem + stage0 + stage1 + classifier


def test_counting_macs_leaves_the_network_as_it_was(space):
    model = space.build(space.largest()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mac_terms(model, channel_groups(model), space.example_inputs())
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())


def _macs_of(model, inputs):
    """Count once more, independently: weights times output positions of the built network."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += layer.weight.numel() * output.numel() // layer.weight.shape[0]

    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    model.eval()(*inputs)
    return total


@settings(max_examples=12, deadline=None)
@given(data=st.data(), name=st.sampled_from(["resnet-digits", "mlp-digits", "mobilenetv2"]))
def test_costs_by_widths_equal_those_counted_in_the_built_network(data, name):
    space = SEARCH_SPACES[name].for_data((1, 8, 8), 10)
    full = space.build(space.largest())
    groups = channel_groups(full)
    widths = {g.name: data.draw(st.integers(1, min(g.size, 20)), label=g.name) for g in groups}
    model = space.build(space.with_widths(space.largest(), widths))
    inputs = space.example_inputs()
    sizes = list(widths.values())
    assert parameter_terms(full, groups).exact(sizes) == sum(p.numel() for p in model.parameters())
    assert mac_terms(full, groups, inputs).exact(sizes) == _macs_of(model, inputs)
