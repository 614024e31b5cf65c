"""Training MACs of one step and example, dense and as RigL does it."""

from fractions import Fraction

from cost_models.counting.workload import Workload
from cost_models.errors import CostModelError


def training_macs(
    workload: Workload, *, effective: bool = True, first_layer_input_gradient: bool = True
) -> int:
    """MACs of forward and backward for one example: 3 x forward.

    The backward pass computes a gradient for the weight and one for the input, each as dear as the
    forward. Without `first_layer_input_gradient` the first layer, whose input is data, costs only
    2 x forward. `effective` leaves out zero weights; dense training with masks does not.

    Example:
        >>> import torch
        >>> from cost_models import trace, training_macs
        >>> work = trace(torch.nn.Linear(8, 4), (torch.zeros(1, 8),))
        >>> training_macs(work)
        96
        >>> training_macs(work, first_layer_input_gradient=False)
        64
    """
    macs = [layer.effective_macs if effective else layer.dense_macs for layer in workload.layers]
    saved = macs[0] if macs and not first_layer_input_gradient else 0
    return 3 * sum(macs) - saved


def rigl_step_macs(sparse_forward: int, dense_forward: int, update_every: int) -> Fraction:
    """Mean MACs of a RigL step: (3 f_S dT + 2 f_S + f_D) / (dT + 1) (arXiv 1911.11134, app. H).

    Every `update_every` (dT) steps one step needs the gradient of the dense weights.

    Example:
        >>> from cost_models import rigl_step_macs
        >>> float(rigl_step_macs(sparse_forward=10, dense_forward=100, update_every=99))
        30.9
    """
    if update_every < 1:
        raise CostModelError(f"update_every = {update_every}: must be at least 1 step")
    total = 3 * sparse_forward * update_every + 2 * sparse_forward + dense_forward
    return Fraction(total, update_every + 1)
