"""Which channels fit into the budget? Drops, fills and keeps one channel a group alive."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from growsearch.growth.cost_terms import CostTerms
from growsearch.growth.structures import Structures


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The bound ``limit`` on a cost, and the channels that it is spent on.

    All methods take and return flat masks (total,) and rank channels by ``scores`` (total,); none
    changes its arguments. The cost of one channel a group must be within ``limit``.
    """

    structures: Structures
    terms: CostTerms
    limit: int

    def cost(self, live: Tensor) -> int:
        """Return the cost of the network with these live channels."""
        return self.terms.exact(self.structures.counts(live))

    def expected_share(self, probabilities: Tensor) -> float:
        """Return the cost at mean widths, at least one channel a group, divided by the limit."""
        means = [max(1.0, mean) for mean in self.structures.sums(probabilities)]
        return self.terms.expected(means) / self.limit

    def with_one_each(self, live: Tensor, scores: Tensor) -> Tensor:
        """Wake the best channel of every group that has no live one."""
        live = live.clone()
        for mask, values in zip(
            torch.split(live, list(self.structures.sizes)),
            torch.split(scores, list(self.structures.sizes)),
            strict=True,
        ):
            if not mask.any():
                mask[values.argmax()] = True
        return live

    def cap(self, live: Tensor, scores: Tensor) -> Tensor:
        """Drop the lowest scores until the cost is within the limit, one a group staying."""
        live = self.with_one_each(live, scores)
        counts, group_of = self.structures.counts(live), self.structures.group_of()
        for channel in scores.argsort(stable=True).tolist():
            if self.terms.exact(counts) <= self.limit:
                break
            group = group_of[channel]
            if live[channel] and counts[group] > 1:
                live[channel] = False
                counts[group] -= 1
        return live

    def fill(self, live: Tensor, scores: Tensor, *, share: float = 1.0) -> Tensor:
        """Wake channels from the highest score down, each if ``share`` of the limit allows it."""
        live = live.clone()
        bound = int(self.limit * share)
        counts, group_of = self.structures.counts(live), self.structures.group_of()
        for channel in scores.argsort(descending=True, stable=True).tolist():
            if live[channel]:
                continue
            counts[group_of[channel]] += 1
            if self.terms.exact(counts) <= bound:
                live[channel] = True
            else:
                counts[group_of[channel]] -= 1
        return live

    def spend(self, live: Tensor, scores: Tensor) -> Tensor:
        """Cap, then fill: the result costs as close to the limit as whole channels allow."""
        return self.fill(self.cap(live, scores), scores)
