import pytest
import torch

from growsearch.growth import STEERINGS

LIVE = torch.tensor([True, True, False, True])
GRADIENTS = torch.tensor([-3.0, 4.0, 0.0, 0.0])
GATES = torch.tensor([1.0, 0.5, 0.9, 0.2])


@pytest.mark.parametrize("name", sorted(STEERINGS))
def test_channels_that_do_not_run_are_not_pushed(name):
    assert STEERINGS[name](0.5).push(GRADIENTS, GATES, LIVE)[2] == 0


def test_the_papers_steering_is_the_gradient_itself():
    assert torch.equal(STEERINGS["task"](0.5).push(GRADIENTS, GATES, LIVE), GRADIENTS)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_normalised_gradient_has_the_asked_for_size_at_any_scale(scale):
    push = STEERINGS["normalised"](0.5).push(scale * GRADIENTS, GATES, LIVE)
    # The root mean square of (-3, 4, 0) is sqrt(25 / 3).
    torch.testing.assert_close(push, GRADIENTS * 0.5 / (25 / 3) ** 0.5, rtol=1e-4, atol=1e-6)


def test_taylor_saliency_opens_the_channels_whose_removal_would_change_the_loss_most():
    # |gate gradient| = 3, 2, -, 0: mean 5/3.
    push = STEERINGS["taylor"](0.5).push(GRADIENTS, GATES, LIVE)
    assert push[0] < push[1] < 0 < push[3]
    torch.testing.assert_close(push[LIVE].square().mean().sqrt(), torch.tensor(0.5))
    torch.testing.assert_close(push[LIVE].mean(), torch.tensor(0.0), rtol=0, atol=1e-6)


def test_taylor_saliency_remembers_earlier_batches():
    steering = STEERINGS["taylor"](0.5)
    steering.push(GRADIENTS, GATES, LIVE)
    push = steering.push(torch.zeros(4), GATES, LIVE)
    assert push[0] < push[1] < push[3]


def test_taylor_saliency_of_equal_channels_pushes_none():
    push = STEERINGS["taylor"](0.5).push(torch.ones(4) * LIVE, torch.ones(4), LIVE)
    assert push.abs().max() < 1e-3
