"""Out-of-distribution detection: does a network notice inputs of a kind it has not learned?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Strangeness = Callable[[Tensor], Tensor]


def softmax_strangeness(logits: Tensor) -> Tensor:
    """Return 1 - max_k softmax_k (N,) of ``logits`` (N, classes).

    Hendrycks & Gimpel 2017 (arXiv 1610.02136, section 3): the maximum softmax probability is lower
    for inputs from elsewhere.

    Example:
        >>> import torch
        >>> from growsearch.metrics import softmax_strangeness
        >>> softmax_strangeness(torch.zeros(1, 4)).tolist()
        [0.75]
    """
    return 1.0 - logits.cpu().double().softmax(dim=1).amax(dim=1)


def energy(logits: Tensor) -> Tensor:
    """Return -log sum_k exp(logit_k) (N,) of ``logits`` (N, classes).

    Liu et al. 2020 (arXiv 2010.03759, equation 3) at temperature 1: higher for inputs from
    elsewhere.

    Example:
        >>> import math
        >>> import torch
        >>> from growsearch.metrics import energy
        >>> math.isclose(float(energy(torch.zeros(1, 4))), -math.log(4))
        True
    """
    return -torch.logsumexp(logits.cpu().double(), dim=1)


def ood_auroc(inside: Tensor, outside: Tensor, strangeness: Strangeness) -> float:
    """Return the area under the ROC curve of telling outside from inside, in [0, 1].

    It is the probability that an outside example is stranger than an inside one, ties counted half:
    .5 is a guess.

    Args:
        inside: logits (N, classes) of the data that the network is for.
        outside: logits (M, classes) of other inputs.
        strangeness: `softmax_strangeness` or `energy`.

    Example:
        >>> import torch
        >>> from growsearch.metrics import energy, ood_auroc
        >>> ood_auroc(torch.tensor([[9.0, 0.0], [0.0, 8.0]]), torch.zeros(3, 2), energy)
        1.0
    """
    # Late: it takes a third of a second to import.
    from sklearn.metrics import roc_auc_score

    scores = torch.cat([strangeness(inside), strangeness(outside)]).detach().cpu()
    truth = torch.cat([torch.zeros(len(inside)), torch.ones(len(outside))])
    return float(roc_auc_score(truth.numpy(), scores.numpy()))
