"""Importances of networks that concatenate: each channel is judged where it lies now."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from growsearch.datasets import from_tensors
from growsearch.growth.budget.structures import Structures
from growsearch.growth.surgery.surgeon import Surgeon
from growsearch.pruning import IMPORTANCES
from growsearch.pruning.importance.importance import Judged, PruneTask
from growsearch.training import Recipe, task_of
from search_spaces import ChannelGroup, Member
from search_spaces.axes.axis_parts import Part

IMAGE, SIDE = 2, 2
LOOKING = ("taylor", "fisher", "group-l2", "batchnorm")
IMAGES = torch.randn(
    30, IMAGE, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.double
)
LABELS = torch.arange(30) % 3
# Batches are given; of the task only the loss counts.
TASK = task_of(from_tensors(torch.zeros(30, 1), LABELS))


class Dense(nn.Module):
    """Layers that each read some of what came before, side by side; groups are declared by hand.

    ``reads`` has, by layer, the earlier layers in the order of concatenation; -1 is the image. The
    head reads all of the last entry with pixels flattened, so that a channel has four entries.
    """

    def __init__(self, widths: tuple[int, ...], reads: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.reads = reads
        wide = {-1: IMAGE, **dict(enumerate(widths))}
        inputs = [sum(wide[each] for each in some) for some in reads]
        self.layers = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(inputs[:-1], widths, strict=True)
        )
        # Every second layer has a norm.
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[::2])
        self.head = nn.Linear(inputs[-1] * SIDE**2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = {-1: x}
        for place, layer in enumerate(self.layers):
            y = layer(torch.cat([made[each] for each in self.reads[place]], 1))
            made[place] = torch.relu(y if place % 2 else self.norms[place // 2](y))
        return self.head(torch.cat([made[each] for each in self.reads[-1]], 1).flatten(1))

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        return tuple(self._group(place) for place in range(len(self.layers)))

    def _group(self, place: int) -> ChannelGroup:
        members = [Member(tensor=f"layers.{place}.{leaf}", axis=0) for leaf in ("weight", "bias")]
        if not place % 2:
            leaves = "weight", "bias", "running_mean", "running_var"
            members += [Member(tensor=f"norms.{place // 2}.{leaf}", axis=0) for leaf in leaves]
        for reader, some in enumerate(self.reads):
            head = reader == len(self.layers)
            repeat = SIDE**2 if head else 1
            parts = tuple(self._part(each, repeat) for each in some)
            tensor = "head.weight" if head else f"layers.{reader}.weight"
            members += [
                Member(tensor=tensor, axis=1, repeat=repeat, parts=parts, place=at)
                for at, each in enumerate(some)
                if each == place
            ]
        size = self.layers[place].out_channels
        return ChannelGroup(name=f"group{place}", size=size, members=tuple(members))

    def _part(self, each: int, repeat: int) -> Part:
        if each < 0:
            return Part(size=IMAGE, repeat=repeat)
        size = self.layers[each].out_channels
        return Part(group=f"group{each}", size=size, repeat=repeat)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Dense, list[int], torch.Tensor]:
    """A network whose every layer is read, those that may shrink, and what is left of them."""
    widths = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=4)))
    reads = [(-1,)]
    for place in range(1, len(widths) + 1):
        order = draw(st.permutations(range(-1, place)))
        reads.append(tuple(order[: draw(st.integers(1, len(order)))]))
    read = {each for some in reads for each in some}
    reads[-1] += tuple(place for place in range(len(widths)) if place not in read)
    torch.manual_seed(draw(st.integers(0, 99)))
    network = Dense(widths, tuple(reads)).double()
    for norm in network.norms:
        nn.init.uniform_(norm.weight, 0.5, 2.0)
    going = draw(st.lists(st.sampled_from(range(len(widths))), min_size=1, unique=True))
    live = []
    for width in (widths[place] for place in sorted(going)):
        part = draw(st.lists(st.booleans(), min_size=width, max_size=width))
        part[draw(st.integers(0, width - 1))] = True
        live += part
    return network, sorted(going), torch.tensor(live)


def some(network: Dense, places: list[int]) -> tuple[ChannelGroup, ...]:
    groups = network.channel_groups()
    return tuple(groups[place] for place in places)


def judged(module: Dense, groups: tuple[ChannelGroup, ...], live: torch.Tensor) -> Judged:
    return Judged(
        module=module.eval(),
        structures=Structures.of(groups),
        groups=groups,
        units=(),
        live=live,
        task=TASK,
        batches=[(IMAGES[:6], LABELS[:6])],
    )


def scores(name: str, given: Judged) -> torch.Tensor:
    task = PruneTask(
        projection=None,
        recipe=Recipe(epochs=1),
        epochs=1,
        steps_per_epoch=1,
        generator=torch.Generator(),
    )
    return IMPORTANCES[name](task).scores(given)


@settings(max_examples=20, deadline=None)
@given(drawn=networks())
def test_a_pruned_network_is_judged_as_one_built_afresh_at_its_widths(
    drawn: tuple[Dense, list[int], torch.Tensor],
) -> None:
    network, going, live = drawn
    groups = some(network, going)
    Surgeon(network, groups).seed(live)
    fresh = Dense(tuple(layer.out_channels for layer in network.layers), network.reads).double()
    fresh.load_state_dict(network.state_dict())
    there = some(fresh, going)
    everything = torch.ones(int(live.sum()), dtype=torch.bool)
    for name in LOOKING:
        found = scores(name, judged(network, groups, live))
        torch.testing.assert_close(found[live], scores(name, judged(fresh, there, everything)))
        assert bool((found[~live] == 0).all()), name


def test_sums_of_a_reader_are_those_of_its_columns_now() -> None:
    network = Dense((2, 3), ((-1,), (-1,), (0, 1, -1)))
    nn.init.zeros_(network.head.weight)
    groups = network.channel_groups()
    live = torch.tensor([False, True, True, False, True])
    Surgeon(network, groups).seed(live)
    # Of a channel of the first layer, two of the second and the image there are five by four.
    network.head.weight.data = torch.arange(60.0).view(3, 20)
    given = judged(network, groups, live)
    found = given.sums({"head.weight": network.head.weight}, last_norms=False)
    # Four columns in three rows: 12 times their mean, which is that of columns 0 to 3 in row 1.
    assert found.tolist() == [0.0, 12 * 21.5, 12 * 25.5, 0.0, 12 * 29.5]
