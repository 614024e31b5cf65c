"""Networks that take several inputs by name and put out a dataclass, through all readers."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

import cost_models
from cost_models.executors.onnx_export import onnx_bytes
from growsearch.errors import UsageError
from growsearch.growth.budget.traced_macs import traced_mac_terms
from growsearch.kinds.checking.program import program_bytes
from growsearch.sparsity import Masks, Timetable, macs_per_weight
from growsearch.transforms import SparseSettings, sparse_plan, transform
from search_spaces import SearchSpaceError, channel_groups
from search_spaces.trace_groups import declare_traced_groups, trace_groups
from search_spaces.traced_space import own_space


@dataclasses.dataclass
class Outputs:
    scores: Tensor
    states: tuple[Tensor, ...] | None = None
    loss: Tensor | None = None


class Reader(nn.Module):
    """Reads token ids and a mask, keyword only, as networks of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.first = nn.Embedding(20, 8), nn.Linear(8, 16)
        self.second, self.head = nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, *, input_ids=None, attention_mask=None, labels=None):
        hidden = self.words(input_ids) * attention_mask.unsqueeze(-1)
        state = self.second(torch.relu(self.first(hidden)))
        pooled = state.sum(1) / attention_mask.sum(1, keepdim=True)
        return Outputs(scores=self.head(pooled), states=(state,))


class Dictionary(Reader):
    """Its outputs are a dict with attributes, one in another, and it may be called by position."""

    class Found(dict):
        __getattr__ = dict.__getitem__

    def forward(self, input_ids, attention_mask):
        out = super().forward(input_ids=input_ids, attention_mask=attention_mask)
        return self.Found(scores=out.scores, inner=self.Found(states=out.states), cache=None)


INPUTS = {
    "input_ids": torch.tensor([[1, 2, 3], [4, 5, 0]]),
    "attention_mask": torch.tensor([[1.0, 1, 1], [1, 1, 0]]),
}
both = pytest.mark.parametrize("kind", [Reader, Dictionary])
MACS = 3 * (8 * 16 + 16 * 8) + 8 * 3


def made(kind):
    torch.manual_seed(0)
    return kind()


@both
def test_macs_are_counted_by_name_and_the_network_stays_as_it_was(kind):
    network = made(kind)
    before = dict(vars(network))
    work = cost_models.trace(network, INPUTS)
    assert (work.dense_macs, work.batch) == (MACS, 2)
    assert [layer.name for layer in work.layers] == ["first", "second", "head"]
    assert vars(network) == before
    assert macs_per_weight(network, INPUTS) == {
        "first.weight": 3,
        "second.weight": 3,
        "head.weight": 1,
    }
    assert vars(network) == before


@both
def test_channel_groups_are_found_and_the_network_is_called_as_before(kind):
    network = made(kind)
    expected = network(**INPUTS)
    declare_traced_groups(network, INPUTS)
    assert {g.name: g.size for g in channel_groups(network)} == {"words": 8, "first": 16}
    found = network(**INPUTS)
    assert torch.equal(getattr(found, "scores", None), getattr(expected, "scores", None))
    terms = traced_mac_terms(network, channel_groups(network), INPUTS)
    assert terms.exact([8, 16]) == MACS
    assert terms.exact([2, 5]) == 3 * (2 * 5 + 5 * 8) + 8 * 3


@both
@pytest.mark.parametrize("name", ["sparse_wide", "sparse_parallel", "sparse_factorized"])
def test_transforms_keep_macs_and_the_way_it_is_called(kind, name):
    done = transform(made(kind), name, sparsity=0.5, example_inputs=INPUTS)
    assert cost_models.trace(done.module, INPUTS).effective_macs == done.match.macs
    assert done.match.relative_error == pytest.approx(0, abs=0.02)
    assert done.module(**INPUTS).scores.shape == (2, 3)
    assert "forward" not in vars(done.module)
    assert copy.deepcopy(done.module)(**INPUTS).scores.shape == (2, 3)


def test_a_plan_of_masks_takes_inputs_by_name():
    plan = sparse_plan(
        made(Reader),
        SparseSettings(sparsity=0.5),
        INPUTS,
        timetable=Timetable(steps=10),
        generator=torch.Generator().manual_seed(0),
    )
    assert Masks.of(plan.module).density == pytest.approx(0.5)
    assert plan.module(**INPUTS).scores.shape == (2, 3)


class Scores(Reader):
    def forward(self, input_ids, attention_mask):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask).scores


@pytest.mark.parametrize("named", [True, False])
def test_programs_take_several_inputs(named, tmp_path):
    network = made(Scores).eval()
    inputs = INPUTS if named else tuple(INPUTS.values())
    (tmp_path / "program.pt2").write_bytes(program_bytes(network, inputs))
    program = torch.export.load(tmp_path / "program.pt2").module()
    smaller = {name: each[:1] for name, each in INPUTS.items()}
    found = program(**smaller) if named else program(*smaller.values())
    assert torch.allclose(found, network(**smaller), atol=1e-6)


@pytest.mark.parametrize("named", [True, False])
def test_onnx_names_several_inputs_by_their_arguments(named):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = made(Scores).eval()
    inputs = INPUTS if named else tuple(INPUTS.values())
    session = onnxruntime.InferenceSession(onnx_bytes(network, inputs, any_batch=True))
    assert [each.name for each in session.get_inputs()] == ["input_ids", "attention_mask"]
    smaller = {name: each[:1] for name, each in INPUTS.items()}
    (found,) = session.run(None, {name: each.numpy() for name, each in smaller.items()})
    assert torch.allclose(torch.tensor(found), network(**smaller), atol=1e-5)


def test_what_is_no_tensor_is_refused_by_every_reader_of_inputs():
    network = made(Reader)
    with pytest.raises(cost_models.CostModelError, match=r"example_inputs is dict: must be .* map"):
        cost_models.trace(network, {"input_ids": [1, 2]})
    with pytest.raises(SearchSpaceError, match="example_inputs is dict: give a tuple"):
        trace_groups(network, {"input_ids": None})
    with pytest.raises(UsageError, match=r"example_inputs"):
        transform(network, "sparse_parallel", sparsity=0.5)


class Hooking(nn.Module):
    """Installs hooks on its layers at its first call, as transformers' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.seen = False

    def forward(self, x):
        if not self.seen:
            self.seen = True
            self.layer.register_forward_hook(lambda _, __, out: out + 1)
            self.head.register_forward_pre_hook(lambda _, inputs: inputs)
            self.register_forward_hook(lambda *_: None)
            self.layer.weight.requires_grad_(False)
        return self.head(self.layer(x))


def test_a_network_that_installs_hooks_while_it_is_counted_is_left_without_them():
    network = Hooking()
    fresh = copy.deepcopy(network)
    assert cost_models.trace(network, (torch.zeros(1, 4),)).dense_macs == 24
    for part, other in zip(network.modules(), fresh.modules(), strict=True):
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
        assert part.training == other.training
    assert not network.seen
    assert network.layer.weight.requires_grad
    network(torch.zeros(1, 4))
    hooks = len(network.layer._forward_hooks)
    cost_models.trace(network, (torch.zeros(1, 4),))
    assert (hooks, len(network.layer._forward_hooks)) == (1, 1)


class Rest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, *args):
        return self.layer(sum(args))


def test_inputs_that_go_to_a_forwards_rest_are_exported_for_any_batch(tmp_path):
    (tmp_path / "program.pt2").write_bytes(program_bytes(Rest(), (torch.ones(3, 4),) * 2))
    program = torch.export.load(tmp_path / "program.pt2").module()
    assert program(torch.ones(5, 4), torch.ones(5, 4)).shape == (5, 2)


class Overwriting(nn.Module):
    """Writes over what the backward pass of its sigmoid reads: it has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        y = torch.sigmoid(self.first(x))
        y += 1
        return self.second(y)


def test_channels_of_a_network_without_gradients_are_found_by_what_is_heard():
    (group,) = trace_groups(Overwriting(), (torch.zeros(2, 4),)).groups
    assert (group.name, group.size, group.kept) == ("first", 6, "")


class Slow(nn.Module):
    trace_seconds = 1e-4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))

    def forward(self, x):
        return self.layers(x)


def test_a_trace_that_takes_too_long_ends_with_what_to_do():
    with pytest.raises(SearchSpaceError, match=r"^Slow: .* 0\.0001 s .*trace_seconds.*declare"):
        trace_groups(Slow(), (torch.zeros(2, 8),))
    assert len(trace_groups(Slow(), (torch.zeros(2, 8),), trace_seconds=60).groups) == 3
    with pytest.raises(SearchSpaceError, match="trace_seconds: 0 is no number of seconds above 0"):
        trace_groups(Slow(), (torch.zeros(2, 8),), trace_seconds=0)


def test_a_network_of_several_inputs_is_told_that_data_give_one():
    space = own_space(f"{__name__}:Scores")
    with pytest.raises(SearchSpaceError, match=r"takes 2 inputs \(input_ids, attention_mask\)"):
        space.for_data((3,), 3).full_widths()
