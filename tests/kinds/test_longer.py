"""Longer runs of a candidate keep all but its lengths."""

import pytest

from growsearch.errors import UsageError
from growsearch.kinds import GrowFirst, GrowthBound, GrowthCandidate, RecipeChoice, SparseCandidate
from growsearch.kinds.baseline.candidate import BaselineCandidate
from growsearch.kinds.growth.trunk import Trunk
from growsearch.kinds.longer import trained_for

SHORT = RecipeChoice(epochs=4, learning_rate=0.03)


def _changed(before, after):
    one, other = before.to_json(), after.to_json()
    return {
        key: (one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)
    }


def test_only_the_epochs_change():
    before = GrowthCandidate(space="mlp-digits", budget=GrowthBound("macs", 0.4), training=SHORT)
    assert _changed(before, trained_for(before, 10)) == {"epochs": (4, 10)}


def test_a_trunk_s_stages_go_along():
    trunk = Trunk(budgets=(0.2, 0.4), stage_epochs=(3, 1), decline_epochs=(1, 2))
    before = GrowthCandidate(
        space="mlp-digits", budget=GrowthBound("macs", 0.4), training=SHORT, trunk=trunk
    )
    after = trained_for(before, 10)
    assert after.trunk.stage_epochs == (8, 2)
    assert after.trunk.decline_epochs == (2, 5)
    assert after.trunk.budgets == (0.2, 0.4)


def test_growing_before_a_sparse_trial_goes_along():
    before = SparseCandidate(
        space="mlp-digits",
        transform="none",
        sparsity=0.5,
        distribution="erk",
        updater="static",
        training=SHORT,
        grow=GrowFirst(budget=GrowthBound("macs", 0.4), epochs=2),
    )
    assert trained_for(before, 12).grow.epochs == 6
    assert trained_for(before, 2).grow.epochs == 2


def test_a_network_that_was_taken_as_it_is_is_not_trained():
    mine = BaselineCandidate(which="mine", space="mlp-digits", training=SHORT, init="own")
    with pytest.raises(UsageError, match="taken as it is"):
        trained_for(mine, 8)
    dense = BaselineCandidate(which="dense", space="mlp-digits", training=SHORT)
    assert trained_for(dense, 8).training.epochs == 8
