"""Recurrent language models: their size, their state, and groups of strided gates."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from search_spaces import SEARCH_SPACES, SearchSpaceError, channel_groups, resize
from search_spaces.channel_groups import Member, is_consumed, named_tensors, set_tensors
from search_spaces.families.recurrent import CELLS, RecurrentSpace
from search_spaces.group_builder import GroupBuilder

every_cell = pytest.mark.parametrize("cell", CELLS)
GATES = {"gru": 3, "lstm": 4, "rnn": 1}


def tiny(cell: str = "lstm", **changes) -> RecurrentSpace:
    settings = {
        "name": "tiny",
        "description": "for tests",
        "cell": cell,
        "embedding": 5,
        "hidden": (4, 3),
        "input_shape": (6,),
        "num_classes": 9,
    }
    return RecurrentSpace(**{**settings, **changes})


def network(space: RecurrentSpace) -> nn.Module:
    torch.manual_seed(0)
    return space.build(space.largest()).eval()


TOKENS = torch.tensor([[0, 3, 8, 1, 1, 2], [5, 5, 0, 7, 4, 6]])


def test_the_lstm_for_penn_treebank_has_the_published_66_million_parameters():
    space = SEARCH_SPACES["lstm-ptb"]
    with torch.device("meta"):
        full = space.build(space.largest())
        grown = space.build(space.with_widths(space.largest(), {"hidden0": 310, "hidden1": 275}))
    words, layer = 10_000 * 1500, 4 * 1500 * (1500 + 1500) + 2 * 4 * 1500
    assert parameters(full) == words + 2 * layer + (words + 10_000) == 66_034_000
    # arXiv 2007.15353 finds 310 and 275 hidden units and states 31.2 % of the weights.
    assert parameters(grown) / parameters(full) == pytest.approx(0.312, abs=1e-3)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@every_cell
def test_parameters_are_those_counted_by_hand(cell):
    gates = GATES[cell]
    first, second = gates * (4 * (5 + 4) + 2 * 4), gates * (3 * (4 + 3) + 2 * 3)
    assert parameters(network(tiny(cell))) == 9 * 5 + first + second + 9 * 3 + 9


@every_cell
def test_reading_in_two_pieces_is_reading_at_once(cell):
    model = network(tiny(cell))
    whole = model(TOKENS)
    start, state = model.step(TOKENS[:, :2], None)
    rest, _ = model.step(TOKENS[:, 2:], state)
    torch.testing.assert_close(torch.cat([start, rest], dim=1), whole)
    assert [len(layer) for layer in state] == [2 if cell == "lstm" else 1] * 2
    assert [layer[0].shape for layer in state] == [(1, 2, 4), (1, 2, 3)]


@every_cell
def test_no_word_is_read_before_its_turn(cell):
    model = network(tiny(cell))
    changed = TOKENS.clone()
    changed[:, 3:] = 0
    torch.testing.assert_close(model(TOKENS)[:, :3], model(changed)[:, :3], rtol=0, atol=0)
    assert not torch.allclose(model(TOKENS)[:, 3:], model(changed)[:, 3:])


def test_dropout_leaves_the_kept_share_of_activations_between_layers():
    model = network(tiny(keep_probability=0.65))
    assert model.dropout.p == pytest.approx(0.35)
    assert torch.equal(model(TOKENS), model(TOKENS))
    model.train()
    assert not torch.equal(model(TOKENS), model(TOKENS))
    assert [layer.dropout for layer in model.layers] == [0.0, 0.0]


@every_cell
def test_all_gates_of_a_unit_and_all_its_readers_are_in_its_group(cell):
    model = network(tiny(cell))
    found = {(m.tensor, m.axis, m.blocks) for g in channel_groups(model)[:1] for m in g.members}
    gates = GATES[cell]
    assert [group.name for group in channel_groups(model)] == ["hidden0", "hidden1"]
    assert found == {
        ("layers.0.weight_ih_l0", 0, gates),
        ("layers.0.weight_hh_l0", 0, gates),
        ("layers.0.bias_ih_l0", 0, gates),
        ("layers.0.bias_hh_l0", 0, gates),
        ("layers.0.weight_hh_l0", 1, 1),
        ("layers.1.weight_ih_l0", 1, 1),
    }


def test_the_embedding_is_a_group_where_it_grows():
    model = network(tiny(grow_embedding=True))
    groups = channel_groups(model)
    assert [(group.name, group.size) for group in groups] == [
        ("embedding", 5), ("hidden0", 4), ("hidden1", 3),
    ]  # fmt: skip
    made, read = groups[0].members
    assert (made.tensor, made.axis) == ("embedding.weight", 1)
    assert not is_consumed(model, made)
    assert (read.tensor, read.axis) == ("layers.0.weight_ih_l0", 1)
    assert is_consumed(model, read)


@every_cell
def test_a_resized_network_runs_on_its_new_weights(cell):
    model = network(tiny(cell, grow_embedding=True))
    resize(model, {"embedding": 2, "hidden0": 6, "hidden1": 1})
    model.initialise()
    built = tiny(cell, grow_embedding=True)
    twin = built.build(
        built.with_widths(built.largest(), {"embedding": 2, "hidden0": 6, "hidden1": 1})
    )
    twin.load_state_dict(model.state_dict())
    assert repr(twin) == repr(model)
    torch.testing.assert_close(model(TOKENS), twin.eval()(TOKENS), rtol=0, atol=0)
    before = model(TOKENS)
    with torch.no_grad():
        model.layers[1].weight_hh_l0.zero_()
    assert not torch.equal(model(TOKENS), before)
    torch.testing.assert_close(copy.deepcopy(model)(TOKENS), model(TOKENS))


@every_cell
def test_a_network_without_some_units_is_the_one_in_which_they_are_silent(cell):
    """Gathering the entries of units by `Member.entries` cuts whole units out, gate by gate."""
    model = network(tiny(cell))
    kept = torch.tensor([0, 3])
    silent = copy.deepcopy(model)
    with torch.no_grad():
        silent.layers[0].weight_hh_l0[:, [1, 2]] = 0
        silent.layers[1].weight_ih_l0[:, [1, 2]] = 0
    values = {}
    (group, _) = channel_groups(model)
    tensors = named_tensors(model)
    for member in group.members:
        value = values.get(member.tensor, tensors[member.tensor].detach())
        values[member.tensor] = value.index_select(member.axis, member.entries(kept, 4))
    resize(model, {"hidden0": 2})
    set_tensors(model, values)
    torch.testing.assert_close(model(TOKENS), silent(TOKENS))


@given(
    size=st.integers(1, 6),
    repeat=st.integers(1, 3),
    blocks=st.integers(1, 4),
    data=st.data(),
)
def test_entries_are_the_channels_of_every_block_in_order(size, repeat, blocks, data):
    channels = data.draw(st.lists(st.integers(0, size - 1), unique=True).map(sorted))
    member = Member(tensor="t", axis=0, repeat=repeat, blocks=blocks)
    axis = [(b, c, r) for b in range(blocks) for c in range(size) for r in range(repeat)]
    expected = [entry for entry in axis if entry[1] in channels]
    chosen = member.entries(torch.tensor(channels, dtype=torch.long), size)
    assert [axis[position] for position in chosen.tolist()] == expected
    assert len(axis) == size * member.entries_per_channel


def test_an_axis_that_is_not_whole_blocks_is_refused():
    model = network(tiny())
    model.layers[0].weight_ih_l0 = nn.Parameter(torch.zeros(15, 5))
    with pytest.raises(SearchSpaceError, match="15 entries on axis 0, expected 4 x 4"):
        channel_groups(model)


@pytest.mark.parametrize("settings", [{"num_layers": 2}, {"bidirectional": True}, {"proj_size": 2}])
def test_only_single_layers_of_one_direction_make_a_group(settings):
    layer = nn.LSTM(3, 4, **settings)
    with pytest.raises(SearchSpaceError, match="one recurrent layer of one direction"):
        GroupBuilder(layer).recurrent("hidden", layer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "sru"}, "unknown cell 'sru'; valid: gru, lstm, rnn"),
        ({"keep_probability": 0.0}, r"keep_probability = 0\.0 is not in \(0, 1\]"),
        ({"hidden": ()}, "hidden is empty"),
        ({"embedding_bound": 0.0}, r"embedding_bound = 0\.0 is not above 0"),
    ],
)
def test_a_space_that_cannot_be_built_is_refused(changes, message):
    with pytest.raises(SearchSpaceError, match=message):
        tiny(**changes)


def test_recurrent_networks_refuse_images():
    space = SEARCH_SPACES["lstm-ptb-small"].for_data((3, 32, 32), 10)
    with pytest.raises(SearchSpaceError, match="tokens"):
        space.build(space.largest())


@pytest.mark.parametrize("bound", [0.1, 1.0])
def test_fresh_weights_lie_within_their_bounds(bound):
    model = network(tiny(embedding=100, embedding_bound=bound))
    assert model.embedding.weight.abs().max() <= bound
    assert model.embedding.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert model.decoder.weight.abs().max() <= 0.1
    assert torch.equal(model.decoder.bias, torch.zeros(9))
    assert model.layers[0].weight_ih_l0.abs().max() <= 4**-0.5
