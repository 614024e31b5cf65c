"""A network ready for sparse training: its masks, its updater and its MACs over the whole run."""

import pytest
import torch
from torch import nn

from growsearch.datasets import Dataset
from growsearch.datasets.dataset import Split
from growsearch.errors import UsageError
from growsearch.sparsity import (
    MASK_UPDATERS,
    SALIENCIES,
    SPARSITY_DISTRIBUTIONS,
    Batch,
    Masks,
    NOfM,
    Timetable,
    macs_per_weight,
    parse_pattern,
    prunable_layers,
)
from growsearch.training import Recipe, TrainingOptions, train
from growsearch.transforms import (
    TRANSFORMS,
    MacProfile,
    SparseSettings,
    expand,
    sparse_plan,
)
from search_spaces.families.mlp import MLP
from search_spaces.families.resnet_cifar import ResNetCifar
from search_spaces.trace_groups import declare_traced_groups

BATCH = 8
EPOCHS = 5
EXAMPLES = 40
STEPS = EPOCHS * EXAMPLES // BATCH
RUN = Timetable(steps=STEPS, interval=3)
MASKED = [name for name in TRANSFORMS if name != "low_rank"]
SCHEDULED = ("granet", "gmp")


@pytest.fixture(scope="module")
def residual() -> nn.Module:
    torch.manual_seed(0)
    widths = {"stage0": 8, "stage0.block0": 8, "stage1": 16, "stage1.block0": 16}
    return ResNetCifar(widths, blocks=(1, 1), input_shape=(1, 6, 6), num_classes=5)


@pytest.fixture(scope="module")
def data() -> Dataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(EXAMPLES, 1, 6, 6, generator=generator)
    split = Split(inputs=inputs, labels=torch.arange(EXAMPLES) % 5)
    return Dataset(name="drawn", train=split, validation=split, test=split, num_classes=5)


INPUTS = (torch.zeros(1, 1, 6, 6),)


def batch() -> Batch:
    inputs = torch.randn(10, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    return Batch(inputs=inputs, labels=torch.arange(10) % 5)


def plan_of(module, timetable=RUN, **settings):
    return sparse_plan(
        module,
        SparseSettings(**{"sparsity": 0.75, **settings}),
        INPUTS,
        timetable=timetable,
        generator=torch.Generator().manual_seed(0),
        batch=batch(),
    )


def trained(plan, data):
    factors = macs_per_weight(plan.module, INPUTS)
    hook = plan.hook(factors)
    weights = dict(plan.module.named_parameters())
    macs = sum(int(torch.count_nonzero(weights[n])) * f for n, f in factors.items())
    recipe = Recipe(epochs=EPOCHS, batch_size=BATCH, learning_rate=0.05)
    options = TrainingOptions(hooks=(hook,))
    _, state = train(plan.module, data, recipe, seed=0, forward_macs=macs, options=options)
    return hook, state


@pytest.mark.parametrize(
    ("transform", "updater"),
    [*((name, "granet") for name in MASKED), *(("sparse_wide", name) for name in MASK_UPDATERS)],
)
def test_a_run_does_the_dense_networks_forward_macs(transform, updater, residual, data):
    plan = plan_of(residual, transform=transform, updater=updater)
    hook, state = trained(plan, data)
    dense = MacProfile.of(residual, INPUTS).dense_macs
    assert state.step == STEPS
    # Counted step by step while training; forward once, backward twice.
    forward, rest = divmod(state.training_macs - hook.dense_gradient_macs, 3 * BATCH)
    assert rest == 0
    assert forward == plan.match.macs * (STEPS // plan.match.steps)
    # Weights do 36 or 9 MACs each: half a weight, at every step or for one interval.
    steps = RUN.interval if updater in SCHEDULED else STEPS
    assert abs(forward - STEPS * dense) <= 9 / 2 * steps
    assert hook.updates == {"static": 0, "set": 6, "rigl": 6}.get(updater, 8)


def test_a_network_that_starts_denser_ends_sparser_than_the_mean(residual, data):
    plan = plan_of(residual, transform="sparse_doped", updater="gmp")
    dense = MacProfile.of(residual, INPUTS).dense_macs
    before = Masks.of(plan.module).zeros
    _, state = trained(plan, data)
    masks = Masks.of(plan.module)
    masks.check()
    assert masks.zeros > before
    assert state.forward_macs < dense
    assert all(count >= 1 for count in masks.nonzeros().values())


@pytest.mark.parametrize("distribution", SPARSITY_DISTRIBUTIONS)
def test_every_distribution_has_equal_macs(distribution):
    torch.manual_seed(0)
    module = MLP(12, {"hidden0": 16, "hidden1": 16, "hidden2": 16}, 4)
    positions = "saliency" if distribution in SALIENCIES else "random"
    inputs = torch.randn(8, 12)
    for updater in ("rigl", "granet"):
        plan = sparse_plan(
            module,
            SparseSettings(
                sparsity=0.6,
                transform="sparse_factorized",
                distribution=distribution,
                positions=positions,
                updater=updater,
            ),
            (inputs[:1],),
            timetable=RUN,
            generator=torch.Generator().manual_seed(0),
            batch=Batch(inputs=inputs, labels=torch.arange(8) % 4),
        )
        # Every weight does one MAC: exact, or half a weight for one interval of the run.
        late = RUN.interval / 2 if updater == "granet" else 0
        assert abs(plan.match.macs - plan.match.target_macs) <= late
        Masks.of(plan.module).check()


def test_saliency_positions_and_random_ones_have_the_same_ratios(residual):
    chosen, drawn = (
        plan_of(residual, transform="sparse_wide", distribution="snip", positions=positions)
        for positions in ("saliency", "random")
    )
    kept = [Masks.of(plan.module).nonzeros() for plan in (chosen, drawn)]
    assert kept[0] == kept[1]
    name = next(name for name, count in kept[0].items() if count > 10)
    assert not torch.equal(Masks.of(chosen.module)[name], Masks.of(drawn.module)[name])


def test_snip_positions_at_equal_macs_are_the_highest_scores_of_each_layer():
    """Positive weights and one input of ones through linear layers: a score can be read off."""
    first, second = nn.Linear(4, 8, bias=False), nn.Linear(8, 8, bias=False)
    module = nn.Sequential(first, second, nn.Linear(8, 2, bias=False))
    plan = sparse_plan(
        module,
        SparseSettings(
            sparsity=0.5,
            transform="sparse_parallel",
            activation=False,
            distribution="snip",
            positions="saliency",
        ),
        (torch.ones(1, 4),),
        timetable=RUN,
        generator=torch.Generator().manual_seed(0),
        batch=Batch(inputs=torch.ones(3, 4), labels=torch.zeros(3), loss=lambda out, _: out.sum()),
    )
    masks = Masks.of(plan.module)
    # Two branches of 64, at the MACs of one. dL/dw of (o, i) is the input i times what o does
    # to the sum of outputs, and both are the same for every branch.
    assert sum(masks.nonzeros().values()) == 64
    hidden = first(torch.ones(4)).detach()
    outward = module[2].weight.detach().sum(dim=0)
    torch.manual_seed(_seed_of(torch.Generator().manual_seed(0)))
    fresh = expand(module, "sparse_parallel", 0.5, activation=False)
    scores = torch.cat(
        [
            (branch.weight.detach() * outward[:, None] * hidden).abs().flatten()
            for branch in fresh[1].branches
        ]
    )
    kept = torch.cat([masks[name].flatten() for name in masks])
    assert kept.sum() == 64
    assert scores[kept].min() >= scores[~kept].max()


def _seed_of(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (1,), generator=generator))


def test_a_plan_for_another_run_is_refused(residual, data):
    plan = plan_of(
        residual,
        transform="sparse_wide",
        updater="granet",
        timetable=Timetable(steps=STEPS + 5, interval=3),
    )
    with pytest.raises(UsageError, match="planned for 30 steps and a mask update every 3"):
        trained(plan, data)


def test_a_run_without_a_mask_update_is_refused(residual):
    with pytest.raises(UsageError, match="no mask update"):
        plan_of(
            residual,
            transform="sparse_wide",
            updater="gmp",
            timetable=Timetable(steps=10, interval=10),
        )


def test_a_start_too_dense_for_the_mean_is_refused_and_the_usual_one_is_not(residual):
    # 0.95 nominal: dense weights do some twenty times the MACs.
    with pytest.raises(UsageError, match="start sparser"):
        plan_of(
            residual, transform="sparse_parallel", sparsity=0.95, updater="gmp", initial_sparsity=0
        )
    plan = plan_of(residual, transform="sparse_parallel", sparsity=0.95, updater="gmp")
    assert abs(plan.match.relative_error) < 1e-5


@pytest.mark.parametrize(("updater", "start"), [("granet", 0.4), ("gmp", 0.0)])
def test_without_a_transform_scheduled_updaters_end_at_the_sparsity(updater, start, residual, data):
    plan = plan_of(residual, sparsity=0.8, updater=updater)
    weights = sum(layer.weights for layer in prunable_layers(residual))
    assert plan.match is None
    assert Masks.of(plan.module).zeros == round(weights * start)
    trained(plan, data)
    assert Masks.of(plan.module).zeros == round(weights * 0.8)


def test_the_given_network_is_not_changed(residual):
    before = {name: value.clone() for name, value in residual.state_dict().items()}
    plan_of(residual, updater="set")
    plan_of(residual, transform="sparse_wide", updater="set")
    assert len(Masks.of(residual)) == 0
    assert all(torch.equal(before[n], value) for n, value in residual.state_dict().items())


@pytest.mark.parametrize(
    ("transform", "updater", "pattern"),
    [
        ("none", "static", "2:4"),
        ("none", "set", "1:4-t"),
        ("none", "rigl", "4x2"),
        ("sparse_wide", "rigl", "2:4"),
        ("sparse_wide", "static", "1:4-t"),
        ("sparse_parallel", "set", "4x2"),
    ],
)
def test_patterns_hold_from_the_first_to_the_last_step(transform, updater, pattern, residual, data):
    found = parse_pattern(pattern)
    sparsity = 1 - found.density if isinstance(found, NOfM) else 0.6
    plan = plan_of(residual, transform=transform, sparsity=sparsity, pattern=found, updater=updater)
    start = Masks.of(plan.module).nonzeros()
    hook, _ = trained(plan, data)
    masks = Masks.of(plan.module)
    assert masks.nonzeros() == start
    assert hook.updates == (0 if updater == "static" else 6)
    for name in masks:
        matrix = masks[name].flatten(1)
        if isinstance(found, NOfM):
            assert (matrix.view(len(matrix), -1, found.m).sum(-1) == found.n).all()
        else:
            rows, columns = matrix.shape
            blocks = matrix.view(rows // 4, 4, columns // 2, 2)
            assert (blocks == blocks[:, :1, :, :1]).all()


def test_blocks_of_a_transformed_network_come_nearest_to_the_dense_macs(residual):
    plan = plan_of(residual, transform="sparse_wide", sparsity=0.75, pattern=parse_pattern("4x2"))
    profile = MacProfile.of(plan.module, INPUTS)
    block = 8 * min(profile.per_weight[name] for name in Masks.of(plan.module))
    assert abs(plan.match.macs - plan.match.target_macs) <= block / 2


def test_widths_follow_the_pattern_and_the_structure_is_rebuilt(residual):
    plan = plan_of(residual, transform="sparse_wide", sparsity=0.5, pattern=NOfM(4, 8, True))
    # 8 and 16 times 1.41 are 11.3 and 22.6: the nearest multiples of 8.
    assert plan.sizes.multiple == 8
    shapes = [tuple(layer.shape) for layer in prunable_layers(plan.module)]
    assert {shape[0] for shape in shapes[:-1]} == {8, 24}
    again = expand(residual, "sparse_wide", 0.5, sizes=plan.sizes)
    assert [tuple(layer.shape) for layer in prunable_layers(again)] == shapes
    assert not plan.match.within_tolerance


def test_layers_that_a_pattern_does_not_fit_stay_dense(residual):
    masked = plan_of(residual, sparsity=0.5, pattern=NOfM(2, 4))
    # The stem's matrix is 8 x 9.
    assert "stem.conv.weight" not in Masks.of(masked.module)
    with pytest.raises(
        UsageError, match=r"no layer of MLP falls into whole units of 2:4.*\(5, 3\)"
    ):
        sparse_plan(
            MLP(3, {"hidden0": 5}, 2),
            SparseSettings(sparsity=0.5, pattern=NOfM(2, 4)),
            (torch.zeros(1, 3),),
            timetable=RUN,
            generator=torch.Generator(),
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transform": "sparse_tall"}, "unknown 'sparse_tall'; valid: sparse_wide"),
        ({"distribution": "erdos"}, "unknown 'erdos'"),
        ({"updater": "riggl"}, "unknown 'riggl'; valid: static"),
        ({"positions": "clever", "distribution": "snip"}, "unknown 'clever'; valid: random"),
        ({"positions": "saliency"}, "uniform chooses no positions"),
        ({"pattern": NOfM(2, 4), "sparsity": 0.75}, "not that of the pattern 2:4; write 0.5"),
        ({"pattern": NOfM(1, 4), "updater": "granet"}, "1:4 goes with the updaters static"),
        ({"transform": "low_rank", "updater": "set"}, "low_rank has no masks that set"),
        ({"initial_sparsity": 0.2}, "static keeps its sparsity"),
        ({"initial_sparsity": 0.9, "updater": "gmp"}, "0.9 is not between 0 and the sparsity 0.75"),
        ({"sparsity": 1.0}, "outside"),
    ],
)
def test_choices_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        SparseSettings(**{"sparsity": 0.75, **settings})


def test_distributions_that_look_at_data_ask_for_it(residual):
    with pytest.raises(UsageError, match="snip needs data; give batch="):
        sparse_plan(
            residual,
            SparseSettings(sparsity=0.5, distribution="snip"),
            INPUTS,
            timetable=RUN,
            generator=torch.Generator(),
        )


class Frozen(nn.Module):
    """Four layers, the second of which must keep its values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.kept = nn.Linear(8, 16), nn.Linear(16, 16)
        self.inner, self.last = nn.Linear(16, 16), nn.Linear(16, 4)
        self.kept.requires_grad_(False)

    def forward(self, x):
        return self.last(self.inner(self.kept(self.first(x))))


def plan_frozen(**settings):
    network = Frozen()
    plan = sparse_plan(
        network,
        SparseSettings(sparsity=0.5, **settings),
        (torch.zeros(1, 8),),
        timetable=Timetable(steps=20, interval=4),
        generator=torch.Generator().manual_seed(0),
        batch=Batch(inputs=torch.randn(6, 8), labels=torch.arange(6) % 4),
    )
    return network, plan


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"updater": "rigl"},
        {"updater": "granet"},
        {"pattern": NOfM(2, 4)},
        {"distribution": "snip", "positions": "saliency"},
        {"transform": "sparse_parallel"},
        {"transform": "sparse_factorized"},
        {"transform": "sparse_doped"},
    ],
)
def test_frozen_weights_are_neither_masked_nor_replaced(settings):
    network, plan = plan_frozen(**settings)
    assert torch.equal(plan.module.kept.weight, network.kept.weight)
    assert not plan.module.kept.weight.requires_grad
    names = Masks.of(plan.module).names
    assert names
    assert not any(name.startswith("kept") for name in names)


def test_the_sparsity_is_that_of_the_layers_that_are_not_frozen():
    _, plan = plan_frozen()
    assert Masks.of(plan.module).zeros == (128 + 256 + 64) // 2
    _, plan = plan_frozen(updater="gmp")
    assert Masks.of(plan.module).zeros == 0
    scores = {"first": torch.rand(128), "inner": torch.rand(256), "last": torch.rand(64)}
    assert sum(plan.updater.schedule.kept(scores, 1.0).values()) == 224


def test_a_wider_network_keeps_what_is_frozen():
    network = Frozen()
    declare_traced_groups(network, (torch.zeros(1, 8),))
    kept = {name: value.clone() for name, value in network.kept.state_dict().items()}
    widened = expand(network, "sparse_wide", 0.5)
    assert widened.inner.out_features > 16
    assert all(torch.equal(value, kept[name]) for name, value in widened.kept.state_dict().items())


def test_a_network_that_is_frozen_whole_has_nothing_to_mask():
    network = Frozen().requires_grad_(False)
    with pytest.raises(UsageError, match=r"every convolution .* is frozen .*first\.weight"):
        sparse_plan(
            network,
            SparseSettings(sparsity=0.5),
            (torch.zeros(1, 8),),
            timetable=Timetable(steps=20, interval=4),
            generator=torch.Generator(),
        )


def test_layers_that_share_a_weight_are_not_torn_apart():
    network = Frozen()
    network.kept.weight = network.inner.weight
    extra = nn.Sequential(network, nn.Linear(4, 8), nn.Linear(8, 4))
    plan = sparse_plan(
        extra,
        SparseSettings(sparsity=0.5, transform="sparse_parallel"),
        (torch.zeros(1, 8),),
        timetable=Timetable(steps=20, interval=4),
        generator=torch.Generator().manual_seed(0),
    )
    assert plan.module[0].kept.weight is plan.module[0].inner.weight
    assert plan.match.within_tolerance
    assert {name.partition(".")[0] for name in Masks.of(plan.module)} == {"0", "1"}
    assert not any(name.startswith(("0.kept", "0.inner")) for name in Masks.of(plan.module))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(6, 5)

    def forward(self, x):
        return nn.functional.linear(self.encoder(x), self.encoder.weight.t())


@pytest.mark.parametrize("name", ["sparse_parallel", "sparse_factorized", "sparse_doped"])
def test_a_layer_whose_weight_a_function_reads_is_not_replaced(name):
    network = nn.Sequential(nn.Linear(6, 6), Decoder(), nn.Linear(6, 2))
    with pytest.raises(UsageError, match=r"^1\.encoder\.weight is read by a function"):
        sparse_plan(
            network,
            SparseSettings(sparsity=0.5, transform=name),
            (torch.zeros(1, 6),),
            timetable=Timetable(steps=20, interval=4),
            generator=torch.Generator(),
        )


def test_a_profile_counts_what_a_function_does_with_a_layers_weight():
    profile = MacProfile.of(Decoder(), (torch.zeros(1, 6),))
    assert (profile.per_weight, profile.other) == ({"encoder.weight": 2}, 0)
    assert profile.macs({"encoder.weight": 10}) == 2 * 20
