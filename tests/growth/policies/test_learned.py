import pytest
import torch

from growsearch.errors import UsageError
from growsearch.growth import RELAXATIONS, STEERINGS, TEMPERATURES, Budget, grow
from growsearch.growth.budget.cost_terms import CostTerms
from growsearch.growth.budget.projection import BudgetProjection
from growsearch.growth.budget.structures import Structures
from growsearch.growth.config import GrowthConfig, IndicatorConfig
from growsearch.growth.policies.learned import LearnedIndicators
from growsearch.growth.policies.policy import GrowthTask
from growsearch.training import Recipe

# One group of n channels, each costing 1.


def make(channels=4, limit=2, epochs=4, steps=10, seed=0, **indicators):
    structures = Structures(names=("only",), sizes=(channels,))
    projection = BudgetProjection(
        structures=structures,
        terms=CostTerms(names=("only",), terms=((1, (0,)),)),
        limit=limit,
    )
    config = GrowthConfig(recipe=Recipe(epochs=epochs), indicators=IndicatorConfig(**indicators))
    generator = torch.Generator().manual_seed(seed)
    task = GrowthTask(
        projection=projection, config=config, steps_per_epoch=steps, generator=generator
    )
    return LearnedIndicators(task)


def test_the_seed_channel_starts_open_and_the_others_closed():
    gates = make(noise=0.0).gates()
    expected = torch.sigmoid(torch.tensor([3.0, -3.0, -3.0, -3.0]))
    torch.testing.assert_close(gates, expected)


def test_noise_spreads_all_but_the_seed_channel():
    scores = make(channels=2000, noise=1.0).scores()
    assert scores[0] == 3
    assert float(scores[1:].mean()) == pytest.approx(-3, abs=0.1)
    assert float(scores[1:].std()) == pytest.approx(1, abs=0.1)


def test_one_epoch_of_constant_gap_moves_an_indicator_by_gain_over_epochs_times_gap_times_slope():
    # A gain so small that gap and slope stay what they were; momentum 0 has no start-up phase.
    policy = make(noise=0.0, control_gain=0.1, momentum=0.0, weight_decay=0.0)
    before, gates = policy.scores(), policy.gates()
    for _ in range(10):
        policy.learn(torch.zeros(4))
    gap = float(gates.sum()) / 2 - 1
    expected = -(0.1 / 4) * gap * gates * (1 - gates)
    torch.testing.assert_close(policy.scores() - before, expected, rtol=2e-2, atol=1e-7)


@pytest.mark.parametrize(("limit", "direction"), [(4, 1), (1, -1)])
def test_the_penalty_opens_gates_below_budget_and_closes_them_above(limit, direction):
    policy = make(channels=4, limit=limit, initial=0.5, noise=0.0)
    before = policy.gates()
    policy.learn(torch.zeros(4))
    assert ((policy.gates() - before) * direction > 0).all()


def test_a_channel_that_lowers_the_loss_opens_against_one_that_raises_it():
    policy = make(noise=0.0, initial=0.0, control_gain=1e-9)
    policy.learn(torch.tensor([-1.0, 1.0, 0.0, 0.0]))
    gates = policy.gates()
    assert gates[0] > gates[2] > gates[1]
    # dL/ds = dL/dgate * beta sigma (1 - sigma) = -1 * 1 * 0.25, times the learning rate 0.1.
    assert float(policy.scores()[0]) == pytest.approx(0.025)


def test_only_channels_that_run_get_hotter():
    policy = make(epochs=4, noise=0.0, beta_start=1.0, beta_rise=100.0)
    for _ in range(2):
        policy.advance(torch.tensor([True, False, True, False]))
    # 100 ** (2 / 4) = 10.
    torch.testing.assert_close(policy.scores(), torch.tensor([30.0, -3.0, -30.0, -3.0]))


def test_channels_are_drawn_with_the_probability_of_their_gates():
    policy = make(channels=4000, noise=0.0, initial=1.0)
    share = policy.draw(torch.zeros(4000, dtype=torch.bool)).float().mean()
    assert float(share) == pytest.approx(float(torch.sigmoid(torch.tensor(-1.0))), abs=0.03)


def test_at_the_end_the_gates_that_are_more_open_than_closed_win():
    policy = make(noise=0.0)
    assert policy.settle(torch.zeros(4)).tolist() == [True, False, False, False]


def test_the_expected_cost_closes_in_on_the_budget():
    policy = make(channels=64, limit=32, epochs=20, steps=20, control_gain=160.0)
    for _ in range(10):
        for _ in range(20):
            policy.learn(torch.zeros(64))
        policy.advance(policy.draw(policy.settle(torch.zeros(64))))
    assert float(policy.gates().sum()) == pytest.approx(32, rel=0.1)


def test_a_global_temperature_heats_every_channel():
    policy = make(epochs=4, noise=0.0, temperature="global")
    for _ in range(2):
        policy.advance(torch.tensor([True, False, False, False]))
    torch.testing.assert_close(policy.scores(), torch.tensor([30.0, -30.0, -30.0, -30.0]))


def test_a_decayed_temperature_rises_by_the_learning_rates_share():
    policy = make(epochs=4, noise=0.0, temperature_decay=True)
    rates = [Recipe(epochs=4).learning_rate_at(epoch / 4) / 0.1 for epoch in (0, 1)]
    for _ in range(2):
        policy.advance(torch.tensor([True, False, False, False]))
    expected = 3 * 100 ** (sum(rates) / 4)
    assert float(policy.scores()[0]) == pytest.approx(expected)
    assert sum(rates) < 2


def test_a_normalised_gradient_pushes_as_hard_as_the_penalty_at_the_stated_gap():
    policy = make(noise=0.0, steering="normalised", steering_strength=0.25, momentum=0.0, limit=4)
    plain = make(noise=0.0, momentum=0.0, limit=4)
    start = policy.scores()
    policy.learn(torch.tensor([1e-5, 0.0, 0.0, 0.0]))
    plain.learn(torch.zeros(4))
    gap = float(plain.gates().sum()) / 4 - 1
    by_penalty = float(plain.scores()[0] - start[0]) / gap
    by_task = float(policy.scores()[0] - plain.scores()[0])
    assert by_task == pytest.approx(0.25 * by_penalty, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": "warm"}, "temperature: unknown 'warm'; valid: global, structure"),
        ({"relaxation": "hard"}, "relaxation: unknown 'hard'; valid: gumbel, sigmoid"),
        ({"steering": "left"}, "steering: unknown 'left'; valid: normalised, task, taylor"),
        ({"momentum": 1.0}, r"indicators\.momentum: 1\.0"),
        ({"learning_rate": 0.0}, r"indicators\.learning_rate: 0\.0"),
        ({"beta_rise": -1.0}, r"indicators\.beta_rise: -1\.0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(changes, message):
    with pytest.raises(UsageError, match=message):
        IndicatorConfig(**changes)


@pytest.mark.parametrize("steering", sorted(STEERINGS))
@pytest.mark.parametrize("relaxation", sorted(RELAXATIONS))
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_every_combination_stays_in_budget_and_ends_close_to_it(
    space, dataset, steering, relaxation, temperature
):
    indicators = IndicatorConfig(steering=steering, relaxation=relaxation, temperature=temperature)
    recipe = Recipe(epochs=4, batch_size=32, learning_rate=0.05)
    result = grow(
        space,
        dataset,
        budget=Budget(parameters=0.5),
        config=GrowthConfig(recipe=recipe, indicators=indicators),
        seed=3,
    )
    assert all(record.parameters <= result.limit for record in result.history)
    assert result.cost >= 0.9 * result.limit
