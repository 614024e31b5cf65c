"""Public names that people and their scripts import: they stay where they are."""

import importlib

import pytest

NAMES = {
    "cost_models": ["trace", "estimate", "measure", "DEVICES"],
    "search_spaces": ["SEARCH_SPACES", "search_space"],
    "growsearch": ["Study", "from_tensors"],
    "growsearch.sparsity": [
        "layer_sparsities",
        "sparsify",
        "MASK_UPDATERS",
        "SPARSITY_DISTRIBUTIONS",
    ],
    "growsearch.transforms": ["apply", "TRANSFORMS"],
    "growsearch.growth": ["grow", "Budget", "GrowthConfig", "GrowthResult", "POLICIES"],
    "growsearch.growth.gates": ["Gate", "insert_gates"],
    "growsearch.growth.surgery": ["Surgeon"],
    "growsearch.training": ["train", "Recipe", "TrainingOptions", "Hook"],
    "growsearch.kinds": ["KINDS", "TrialKind"],
    "growsearch.pareto": ["Front", "Bound"],
    "growsearch.search.samplers.gp_ehvi": ["GPEHVISampler", "KnownCosts"],
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in NAMES.items() for name in names]
)
def test_a_public_name_is_where_it_is_said_to_be(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is not None
