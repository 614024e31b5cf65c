"""Counts of well-known networks against those that were published."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from cost_models import trace
from search_spaces.families.gpt import GPTSpace

_PATH = Path(__file__).parents[2] / "benchmarks" / "published_macs.py"
_spec = importlib.util.spec_from_file_location("benchmarks_published_macs", _PATH)
assert _spec is not None
assert _spec.loader is not None
published_macs = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = published_macs
_spec.loader.exec_module(published_macs)

# Counted by the benchmark alone: their forward passes take too long for a test.
SLOW = {"vgg13-imagenet", "vgg16-imagenet", "vgg19-imagenet", "gpt3-small"}
TESTED = [row for row in published_macs.PUBLISHED if row.space not in SLOW]


def test_at_least_twelve_published_networks_are_tested():
    assert len(TESTED) >= 12


@pytest.mark.parametrize("row", TESTED, ids=lambda row: row.space)
def test_a_network_is_counted_within_half_a_per_cent_of_what_was_published(row):
    assert published_macs.count(row.space) == pytest.approx(row.macs, rel=0.005)


def test_the_count_of_botnet_by_hand_gives_what_its_paper_does_for_1024_pixels():
    assert published_macs.botnet50_macs(1024) == pytest.approx(102.98e9, rel=0.0005)


def test_a_small_decoder_is_counted_as_the_formula_says():
    space = GPTSpace(
        name="small",
        description="two blocks",
        blocks=2,
        heads=2,
        head_size=8,
        input_shape=(32,),
        num_classes=100,
    )
    found = trace(space.build(space.largest()), space.example_inputs())
    assert found.dense_macs == published_macs.decoder_macs(2, 16, 32, 100)


@pytest.mark.parametrize("name", published_macs.LAYERS)
def test_a_layer_that_fvcore_misses_is_counted_exactly(name):
    make, shape, macs = published_macs.LAYERS[name]
    module, inputs = make().eval(), (torch.zeros(shape),)
    assert trace(module, inputs).dense_macs == macs
    assert published_macs.fvcore_count(module, inputs) < macs
