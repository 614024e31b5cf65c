"""What does the model card of a grown network say?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from growsearch.commands.trial_card import limits, provenance_rows
from growsearch.datasets.normalisation import IDENTITY, Normalisation
from growsearch.export import CardFacts, DeviceCost
from growsearch.growth import GrowthResult
from growsearch.kinds import Network
from growsearch.pareto import format_quantity
from growsearch.search.ledger.run_folder import provenance

_RESULTS = {
    "accuracy": "Accuracy (validation)",
    "test_accuracy": "Test accuracy",
    "perplexity": "Perplexity (validation)",
    "test_perplexity": "Test perplexity",
    "test_mean_iou": "Test mean IoU",
    "parameters": "Parameters",
    "full_parameters": "Parameters of the full network",
    "macs": "MACs of one example",
    "full_macs": "MACs of the full network",
    "training_macs": "Training MACs",
    "dense_training_macs": "Training MACs of the full network",
}


def grown_card(
    settings: Mapping[str, Any], result: GrowthResult, figures: Mapping[str, Any], network: Network
) -> CardFacts:
    """Return the facts of a network that `growsearch grow` grew."""
    found = result.latency
    shape = ", ".join(map(str, network.input_shape))
    tokens = "perplexity" in figures and figures["perplexity"] is not None
    return CardFacts(
        title=f"{settings['space']} grown on {settings['data']}",
        summary=(
            f"A network of the space {settings['space']} that grew while it trained (arXiv "
            f"2007.15353), to a budget of {format_quantity(result.limit, result.budget.metric)} "
            f"{result.budget.metric}."
        ),
        data={
            "data set": str(settings["data"]),
            "inputs": f"{'int64 tokens' if tokens else 'float32'} of shape (N, {shape}); "
            + ("result.json has the words by number" if tokens else _normalised(figures)),
            "outputs": f"logits of {network.num_classes} classes",
        },
        results={
            title: format_quantity(figures[name], name)
            for name, title in _RESULTS.items()
            if figures.get(name) is not None
        },
        devices=()
        if found is None
        else (
            DeviceCost(
                device=found.device,
                latency=format_quantity(found.checked_s, "latency"),
                interval="",
                method=f"{found.method}, batch {found.batch_size}, noise {found.noise:.1%}",
            ),
        ),
        training=_rows(settings),
        provenance=provenance_rows(provenance()),
        limits=limits(() if found is None else (found.method,)),
    )


def _rows(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a row a setting; those of growth stand beside the others."""
    flat = {key: value for key, value in settings.items() if key != "config"}
    flat |= settings["config"]
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in flat.items()
        if value is not None and name != "kind"
    }


def _normalised(figures: Mapping[str, Any]) -> str:
    scale = figures["normalisation"]
    mean, deviation = tuple(scale["mean"]), tuple(scale["deviation"])
    if Normalisation(mean=mean, deviation=deviation) == IDENTITY:
        return "as growsearch's data set of that name gives them"
    return f"subtract {mean} and divide by {deviation}, a value a channel (pixels from 0 to 255)"
