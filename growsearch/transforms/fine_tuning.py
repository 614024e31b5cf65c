"""Which few weights, added or removed, bring a network's MACs closest to a target?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from growsearch.sparsity.whole_weights import Countable, tune_counts
from growsearch.transforms.mac_profile import MacProfile


def tune_zeros(
    profile: MacProfile, zeros: Mapping[str, int], target_macs: int, sparse: Sequence[str]
) -> dict[str, int]:
    """Return ``zeros`` with single weights of ``sparse`` layers added or removed.

    See `tune_counts`. A layer keeps one weight at least.
    """
    active = {
        name: Countable(
            count=profile.weights[name] - zeros[name],
            least=1,
            most=profile.weights[name],
            cost=profile.per_weight[name],
        )
        for name in sparse
    }
    kept = tune_counts(active, target_macs - profile.macs(zeros))
    return {**zeros, **{name: profile.weights[name] - kept[name] for name in sparse}}
