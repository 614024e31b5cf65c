"""Iso-MACs: at which sparsity does a larger network cost exactly as many MACs as the dense one?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from growsearch.errors import UsageError
from growsearch.sparsity.distributions import Batch
from growsearch.sparsity.sparsify import layer_zero_counts
from growsearch.sparsity.whole_weights import Countable, tune_counts
from growsearch.transforms.mac_profile import MacProfile
from search_spaces.own_networks.keyword_inputs import ExampleInputs

TOLERANCE = 1e-6  # 0.0001 % (arXiv 2303.11525, appendix A.2)

# Sparsity over all prunable weights -> zeros by parameter name; more sparsity, fewer MACs.
ZeroCounts = Callable[[float], Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MacMatch:
    """The masks' sizes that bring a network to a number of MACs, and how near they come.

    ``zeros`` are by parameter name; ``weights`` and ``sparsity`` are of the masked layers together;
    MACs are of one example. Where the network gets sparser during training, ``zeros`` are those it
    starts with, and MACs are sums over all ``steps`` of the run.

    Example:
        >>> from growsearch.transforms import MacMatch
        >>> match = MacMatch(zeros={"fc": 30}, weights=40, macs=1000, target_macs=1000)
        >>> match.sparsity, match.within_tolerance
        (0.75, True)
    """

    zeros: Mapping[str, int]
    weights: int
    macs: int
    target_macs: int
    steps: int = 1

    @property
    def sparsity(self) -> float:
        """Share of zeros in the layers that carry a mask; dense layers do not enter."""
        return sum(self.zeros.values()) / self.weights if self.weights else 0.0

    @property
    def mean_macs(self) -> float:
        """MACs of one example, as a mean over training."""
        return self.macs / self.steps

    @property
    def relative_error(self) -> float:
        """(macs - target_macs) / target_macs."""
        return (self.macs - self.target_macs) / self.target_macs

    @property
    def within_tolerance(self) -> bool:
        """Tell whether the MACs are within 0.0001 %; whole weights of tiny networks may not be."""
        return abs(self.relative_error) <= TOLERANCE

    @property
    def summary(self) -> str:
        """Say in a sentence how near the MACs come, and that nothing is nearer where they miss."""
        mean = f"{self.mean_macs:,.0f} MACs" + (" on average" if self.steps > 1 else "")
        if self.within_tolerance:
            return f"{mean}, the dense network's to within {TOLERANCE:.4%}"
        return (
            f"{mean}, {self.relative_error:+.4%} from the {self.target_macs / self.steps:,.0f} of "
            f"the dense network: the nearest that whole weights allow, beyond {TOLERANCE:.4%}"
        )


def match_macs(
    module: nn.Module,
    example_inputs: ExampleInputs,
    *,
    target_macs: int,
    distribution: str | ZeroCounts = "uniform",
    exclude: Iterable[str] = (),
    batch: Batch | None = None,
) -> MacMatch:
    """Return the zeros of every layer at which ``module`` does ``target_macs`` MACs.

    A bisection on the sparsity, then single weights (arXiv 2303.11525, appendix A.2). The network
    runs once; every step is arithmetic. Where whole weights cannot meet the target, the nearest is
    returned and says so.

    Args:
        module: its weights' values do not matter.
        example_inputs: positional inputs, or inputs by the names of arguments, batch first.
        target_macs: of one example.
        distribution: a key of SPARSITY_DISTRIBUTIONS, or a function from sparsity to zeros by
            parameter name. The mean over dense-to-sparse training: see `sparse_plan`.
        exclude: parameter names that stay dense.
        batch: data, for the distributions that look at it; they do so at every bisection.

    Raises:
        UsageError: if the dense layers alone exceed the target, or all weights do not reach it.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from growsearch.transforms import match_macs
        >>> module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
        >>> match = match_macs(module, (torch.zeros(1, 8),), target_macs=40)
        >>> match.macs, match.sparsity
        (40, 0.75)
    """
    profile = MacProfile.of(module, example_inputs)
    excluded = frozenset(exclude)
    sparse = [name for name in profile.weights if name not in excluded]
    if isinstance(distribution, str):
        zeros_at = _by_name(module, distribution, excluded, batch)
    else:
        zeros_at = distribution
    return solve_zeros(profile, zeros_at, target_macs=target_macs, sparse=sparse)


def _by_name(
    module: nn.Module, distribution: str, excluded: frozenset[str], batch: Batch | None
) -> ZeroCounts:
    return lambda sparsity: layer_zero_counts(module, sparsity, distribution, excluded, batch)


def solve_zeros(
    profile: MacProfile, zeros_at: ZeroCounts, *, target_macs: int, sparse: list[str]
) -> MacMatch:
    """Bisect ``zeros_at`` on a profile, then tune single weights of the ``sparse`` layers.

    Raises:
        UsageError: if no number of zeros in the sparse layers can bring the target near.
    """
    check_reach(profile, target_macs, sparse)
    masked = sum(profile.weights[name] for name in sparse)
    total = sum(profile.weights.values())
    # Every sparse layer keeps one weight.
    low, high = 0.0, (masked - len(sparse)) / total
    best = _only(zeros_at(low), sparse)
    while (high - low) * total > 0.5:  # half a weight
        middle = (low + high) / 2
        zeros = _only(zeros_at(middle), sparse)
        macs = profile.macs(zeros)
        if abs(macs - target_macs) <= abs(profile.macs(best) - target_macs):
            best = zeros
        if macs == target_macs:
            break
        low, high = (middle, high) if macs > target_macs else (low, middle)
    tuned = tune_zeros(profile, best, target_macs, sparse)
    return MacMatch(zeros=tuned, weights=masked, macs=profile.macs(tuned), target_macs=target_macs)


def _only(zeros: Mapping[str, int], sparse: list[str]) -> dict[str, int]:
    return {name: zeros.get(name, 0) for name in sparse}


def check_reach(profile: MacProfile, target_macs: int, sparse: list[str]) -> None:
    """Raise UsageError unless one weight in each sparse layer does ``target_macs`` or less."""
    least = profile.macs({name: profile.weights[name] - 1 for name in sparse})
    if least > target_macs:
        raise UsageError(
            f"sparsity: the layers that stay dense cost {least:,} MACs in the larger network, more "
            f"than the {target_macs:,} of the dense one; choose a lower sparsity"
        )


def tune_zeros(
    profile: MacProfile, zeros: Mapping[str, int], target_macs: int, sparse: Sequence[str]
) -> dict[str, int]:
    """Return ``zeros`` with single weights of ``sparse`` layers added or removed.

    They are those that bring the MACs closest to the target; see `tune_counts`. A layer keeps one
    weight at least.
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
