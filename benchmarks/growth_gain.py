"""How soon does the learned policy meet its budget? A simulation without data, for its gain.

Indicators of ResNet-20 under 40 % of the MACs follow the penalty of the budget and their own noise
alone: no weights, no loss. For each gain K the epoch at which 95 % of the budget is used, and how
many channels are detached in each quarter of the growing epochs. Minutes on one core.

    python benchmarks/growth_gain.py --epochs 160
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from growsearch.files import write_json
from growsearch.growth import Budget, GrowthConfig, IndicatorConfig, build_full
from growsearch.growth.costs import Costs
from growsearch.growth.policies.learned import LearnedIndicators
from growsearch.growth.policies.policy import GrowthTask
from growsearch.training import Recipe
from search_spaces import search_space

HERE = Path(__file__).parent
SPACE, SHARE = "resnet20", 0.4
# K, and the rise of beta, whose value in the paper is 100.
GAINS = ((160.0, 100.0), (640.0, 100.0), (1600.0, 100.0), (1600.0, 10_000.0))


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What one gain leads to; ``at_95_percent`` is None where the budget is never used so far."""

    gain: float
    beta_rise: float
    at_95_percent: int | None
    detached_by_quarter: tuple[int, ...]
    live: int


def simulate(costs: Costs, gain: float, beta_rise: float, given: argparse.Namespace) -> Simulated:
    config = GrowthConfig.paper(
        recipe=Recipe(epochs=given.epochs),
        indicators=IndicatorConfig(control_gain=gain, layer_gain=gain, beta_rise=beta_rise),
    )
    generator = torch.Generator().manual_seed(given.seed)
    task = GrowthTask(
        projection=costs.projection,
        config=config,
        steps_per_epoch=given.steps_per_epoch,
        generator=generator,
    )
    policy, no_gradient = LearnedIndicators(task), torch.zeros(costs.structures.total)
    live, first, detached = policy.start(), None, []
    for epoch in range(1, config.growing_epochs + 1):
        for _ in range(given.steps_per_epoch):
            policy.learn(no_gradient)
        wanted = policy.settle(live) if epoch == config.growing_epochs else policy.draw(live)
        after = costs.projection.cap(wanted, policy.scores())
        detached.append(int((live & ~after).sum()))
        live = after
        policy.advance(live)
        if first is None and costs.projection.cost(live) > 0.95 * costs.projection.limit:
            first = epoch
    quarter = max(1, len(detached) // 4)
    return Simulated(
        gain=gain,
        beta_rise=beta_rise,
        at_95_percent=first,
        detached_by_quarter=tuple(sum(detached[k * quarter : (k + 1) * quarter]) for k in range(4)),
        live=int(live.sum()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--steps-per-epoch", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "growth_gain.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    space = search_space(SPACE)
    costs = Costs.of(space, build_full(space, seed=0), Budget(macs=SHARE))
    table = Table(title=f"{SPACE}, {SHARE:.0%} of the MACs, {given.epochs} epochs, no data")
    for column in ("gain", "beta rise", "95 % at epoch", "detached by quarter", "live"):
        table.add_column(column, justify="right")
    found = []
    for gain, rise in GAINS:
        one = simulate(costs, gain, rise, given)
        found.append(asdict(one))
        quarters = ", ".join(map(str, one.detached_by_quarter))
        told = "never" if one.at_95_percent is None else str(one.at_95_percent)
        table.add_row(f"{gain:g}", f"{rise:g}", told, quarters, str(one.live))
    settings = {key: value for key, value in vars(given).items() if key != "out"}
    write_json(given.out, {"settings": settings, "rows": found})
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
