import pytest
import torch

from growsearch.growth import RELAXATIONS
from growsearch.growth.indicators.relaxation import GumbelRelaxation, SigmoidRelaxation

S = torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0])
BETA = torch.tensor([1.0, 2.0, 3.0, 1.5, 0.5])


@pytest.fixture(params=sorted(RELAXATIONS))
def relaxation(request):
    return RELAXATIONS[request.param]()


@pytest.mark.parametrize("drawn", [False, True])
def test_slopes_are_the_derivatives_by_s(relaxation, drawn):
    if drawn:
        relaxation.draw(S, BETA, torch.Generator().manual_seed(0))
    s = S.clone().requires_grad_()
    relaxation.gates(s, BETA).sum().backward()
    torch.testing.assert_close(relaxation.gate_slopes(S, BETA), s.grad)
    s = S.clone().requires_grad_()
    relaxation.probabilities(s, BETA).sum().backward()
    torch.testing.assert_close(relaxation.probability_slopes(S, BETA), s.grad)


def test_draws_have_the_stated_probabilities(relaxation):
    generator = torch.Generator().manual_seed(0)
    s, beta = S.repeat(4000), BETA.repeat(4000)
    shares = relaxation.draw(s, beta, generator).view(4000, 5).float().mean(0)
    torch.testing.assert_close(shares, relaxation.probabilities(S, BETA), rtol=0, atol=0.03)


def test_settling_keeps_positive_variables_and_leaves_plain_gates(relaxation):
    relaxation.draw(S, BETA, torch.Generator().manual_seed(0))
    assert relaxation.settle(S).tolist() == [False, False, False, True, True]
    torch.testing.assert_close(relaxation.gates(S, BETA), torch.sigmoid(BETA * S))


def test_a_rising_temperature_hardens_gates(relaxation):
    s = torch.tensor([-0.5, 0.5])
    relaxation.settle(s)
    gates = relaxation.gates(s, torch.tensor(100.0))
    torch.testing.assert_close(gates, torch.tensor([0.0, 1.0]), rtol=0, atol=1e-6)


def test_temperature_changes_the_sigmoids_probability_but_not_gumbels():
    s, cold, hot = torch.tensor([0.5]), torch.tensor(1.0), torch.tensor(10.0)
    sigmoid, gumbel = SigmoidRelaxation(), GumbelRelaxation()
    assert sigmoid.probabilities(s, hot) > sigmoid.probabilities(s, cold)
    assert gumbel.probabilities(s, hot) == gumbel.probabilities(s, cold)


def test_gumbel_gates_agree_with_its_draw():
    gumbel = GumbelRelaxation()
    drawn = gumbel.draw(S, BETA, torch.Generator().manual_seed(1))
    assert torch.equal(gumbel.gates(S, BETA) > 0.5, drawn)
