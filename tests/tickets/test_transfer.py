import copy
import dataclasses

import pytest
import torch

from growsearch.errors import UsageError
from growsearch.sparsity import Masks
from growsearch.tickets import DrawSettings, TransferSettings, draw, transfer
from growsearch.training import Recipe
from growsearch.transforms import MacProfile

RECIPE = Recipe(epochs=2, batch_size=40)


@pytest.fixture
def ticket(pretrained):
    return draw(pretrained, DrawSettings(scheme="omp", sparsity=0.75)).ticket


def test_a_fine_tuned_ticket_stays_as_sparse_and_has_the_task_s_classes(
    ticket, pretrained, task
) -> None:
    done = transfer(pretrained, ticket, task, TransferSettings(mode="finetune", recipe=RECIPE))
    masks = Masks.of(done.model)
    masks.check()
    assert masks.zeros == ticket.zeros
    assert done.model(task.test.inputs).shape == (40, 5)
    profile = MacProfile.of(done.model, done.space.example_inputs())
    left = profile.macs({n: int((~mask).sum()) for n, mask in ticket.masks.items()})
    assert done.training_macs == 3 * left * 160
    theta = pretrained.model.state_dict()
    assert not torch.equal(
        done.model.stem.conv.weight, theta["stem.conv.weight"] * ticket.masks["stem.conv.weight"]
    )


def test_linear_evaluation_moves_the_classifier_alone_and_counts_one_pass_of_the_rest(
    ticket, pretrained, task
) -> None:
    done = transfer(pretrained, ticket, task, TransferSettings(mode="linear", recipe=RECIPE))
    theta = pretrained.model.state_dict()
    for name, parameter in done.model.named_parameters():
        assert parameter.requires_grad
        if not name.startswith("classifier."):
            masked = theta[name] * ticket.masks.get(name, torch.tensor(True))
            assert torch.equal(parameter.detach(), masked), name
    # Statistics are of the ticket on the task, no longer of the dense network.
    assert not torch.equal(done.model.stem.norm.running_mean, theta["stem.norm.running_mean"])
    profile = MacProfile.of(done.model, done.space.example_inputs())
    left = profile.macs({n: int((~mask).sum()) for n, mask in ticket.masks.items()})
    assert done.training_macs == (left + done.model.classifier.weight.numel()) * 160


@pytest.mark.parametrize("mode", ["finetune", "linear"])
def test_the_same_seed_gives_the_same_network_and_leaves_the_pretrained_one(
    mode, ticket, pretrained, task
) -> None:
    before = copy.deepcopy(pretrained.model.state_dict())
    settings = TransferSettings(mode=mode, recipe=RECIPE)
    first, again = (transfer(pretrained, ticket, task, settings, seed=4) for _ in range(2))
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    for name, value in pretrained.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_images_of_another_number_of_channels_are_refused(ticket, pretrained, task) -> None:
    coloured = dataclasses.replace(
        task, train=dataclasses.replace(task.train, inputs=task.train.inputs.expand(-1, 3, -1, -1))
    )
    with pytest.raises(UsageError, match="images of the number of channels"):
        transfer(pretrained, ticket, coloured, TransferSettings(mode="finetune", recipe=RECIPE))


def test_an_unknown_mode_lists_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="valid: finetune, linear"):
        TransferSettings(mode="frozen", recipe=RECIPE)
