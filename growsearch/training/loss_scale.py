"""Loss scaling for float16, whose small gradients would be 0: the loss is multiplied up first."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from growsearch.errors import DivergedError

# From 2^16 on, this leaves a scale of 2^-16.
_MAX_HALVINGS = 32
_SCALE, _STEPS = "scale", "steps"


class LossScale:
    """Torch's gradient scaler, with a backward pass that is made again where it overflows.

    Whoever sees the gradients of a step (masks, growth, clipping) sees them unscaled and finite.
    """

    def __init__(self, device: torch.device) -> None:
        """Start at torch's scale, 65,536."""
        self._scaler = torch.amp.GradScaler(device.type)
        self._scaler.scale(torch.zeros((), device=device))

    def backward(
        self,
        loss: Tensor,
        optimizer: torch.optim.Optimizer,
        forget: Callable[[], None],
        complete: Callable[[], None] = lambda: None,
    ) -> float:
        """Fill in the gradients of ``loss`` and return the scale, which others still have.

        Those of the optimizer's parameters are unscaled. ``forget`` drops all others before the
        pass is made again at half the scale; ``complete`` adds what other workers have to them.

        Raises:
            DivergedError: if they overflow whatever the scale is.
        """
        scaler = self._scaler
        for _ in range(_MAX_HALVINGS):
            scale = float(scaler.get_scale())
            scaler.scale(loss).backward(retain_graph=True)  # type: ignore[no-untyped-call]
            complete()
            scaler.unscale_(optimizer)
            overflowed = any(float(v) for v in scaler._found_inf_per_device(optimizer).values())
            # Halves the scale after an overflow, doubles it after 2,000 steps without one.
            scaler.update()
            if not overflowed:
                return scale
            optimizer.zero_grad(set_to_none=True)
            forget()
        raise DivergedError(
            "gradients overflow float16 at any scale; train in bfloat16 or float32, or lower the "
            "learning rate"
        )

    def state(self) -> dict[str, Tensor]:
        """Return the scale and the steps since it last changed."""
        kept = self._scaler.state_dict()
        return {
            _SCALE: torch.tensor(kept["scale"], dtype=torch.float64),
            _STEPS: torch.tensor(kept["_growth_tracker"]),
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        own = self._scaler.state_dict()
        self._scaler.load_state_dict(
            {**own, "scale": float(tensors[_SCALE]), "_growth_tracker": int(tensors[_STEPS])}
        )
