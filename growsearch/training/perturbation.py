"""Training on perturbed images: worst-case ones found by an attack, or noisy ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from growsearch.datasets.normalisation import PIXELS, Normalisation
from growsearch.errors import UsageError
from growsearch.metrics.adversarial import Attack, pgd
from growsearch.training.state import Hook, TrainingState
from growsearch.training.tasks.task import InputsAndTargets

# A step of an attack runs forward and then backward to the inputs; the weights get no gradient.
ATTACK_PASSES = 2
# Rounding takes a pixel this far out of its range at most.
_ROUNDING = 1e-4


class OnPixels(nn.Module):
    """A network that reads pixels from 0 to 1 in the place of normalised inputs.

    Its mode is the network's; it holds the network and copies nothing.
    """

    def __init__(self, model: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.model = model
        self._normalisation = normalisation
        self.training = model.training

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels (N, C, H, W) to the network's logits."""
        logits: Tensor = self.model(self._normalisation.of_pixels(pixels))
        return logits


class Perturbation(Hook):
    """Changes the pixels of every training batch; draws from a stream of its own.

    The batches themselves are those that the same seed gives without it.
    """

    def __init__(self, normalisation: Normalisation, *, seed: int) -> None:
        """Prepare for one run.

        Args:
            normalisation: what the training images have gone through.
            seed: of the perturbations' random stream.
        """
        self._normalisation = normalisation
        self._generator = torch.Generator().manual_seed(seed)

    def before_forward(self, state: TrainingState, batch: InputsAndTargets) -> InputsAndTargets:
        """Return the perturbed images with their labels.

        Raises:
            UsageError: if the inputs are no images with pixels from 0 to 1.
        """
        inputs, labels = batch
        pixels = self._normalisation.to_pixels(_images(inputs))
        if float(pixels.min()) < -_ROUNDING or float(pixels.max()) > 1 + _ROUNDING:
            raise UsageError(
                f"robust training: pixels from {float(pixels.min()):g} to "
                f"{float(pixels.max()):g} are not within 0 to 1; give the data set the "
                "normalisation that its inputs have gone through"
            )
        changed = self.perturbed(state, pixels.clamp(0, 1), labels)
        return self._normalisation.of_pixels(changed), labels

    def perturbed(self, state: TrainingState, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return changed ``pixels`` (N, C, H, W)."""
        raise NotImplementedError

    def state(self) -> Mapping[str, Tensor]:
        """Return where the random stream stands."""
        return {"generator": self._generator.get_state()}

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:  # noqa: ARG002
        """Go on with the stream."""
        self._generator.set_state(tensors["generator"])


class AdversarialTraining(Perturbation):
    """Learns the worst images near the training images, as an attack on the present network finds.

    Madry et al. 2018 (arXiv 1706.06083, eq. 2.1). The MACs of the attack are added to
    ``state.training_macs``: ``ATTACK_PASSES`` times the forward MACs a step and example.
    """

    def __init__(self, attack: Attack, normalisation: Normalisation, *, seed: int) -> None:
        """Prepare for one run; ``attack`` is in pixels from 0 to 1."""
        super().__init__(normalisation, seed=seed)
        self._attack = attack
        self.attack_macs = 0

    def perturbed(self, state: TrainingState, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return the attacked pixels."""
        spent = ATTACK_PASSES * self._attack.steps * state.forward_macs * len(labels)
        self.attack_macs += spent
        state.training_macs += spent
        model = OnPixels(state.model, self._normalisation)
        return pgd(
            model,
            pixels,
            labels,
            attack=self._attack,
            generator=self._generator,
            normalisation=PIXELS,
        )

    def settings(self) -> Mapping[str, object]:
        """Return the attack."""
        return {"attack": dataclasses.asdict(self._attack)}

    def state(self) -> Mapping[str, Tensor]:
        """Return the random stream and the counter."""
        return {**super().state(), "attack_macs": torch.tensor(self.attack_macs)}

    def load_state(self, tensors: Mapping[str, Tensor], training: TrainingState) -> None:
        """Take both back."""
        super().load_state(tensors, training)
        self.attack_macs = int(tensors["attack_macs"])


class GaussianNoise(Perturbation):
    """Learns images with independent noise N(0, sigma^2) on every pixel; nothing is cut off.

    The augmentation of randomised smoothing (Cohen et al. 2019, arXiv 1902.02918, section 3.3).
    """

    def __init__(self, sigma: float, normalisation: Normalisation, *, seed: int) -> None:
        """Prepare for one run; ``sigma`` is in pixels from 0 to 1."""
        super().__init__(normalisation, seed=seed)
        self._sigma = sigma

    def perturbed(self, state: TrainingState, pixels: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        """Return noisy pixels."""
        noise = torch.randn(pixels.shape, generator=self._generator).to(pixels.device)
        return pixels + self._sigma * noise

    def settings(self) -> Mapping[str, object]:
        """Return the noise."""
        return {"sigma": self._sigma}


def _images(inputs: Tensor) -> Tensor:
    if not inputs.is_floating_point() or inputs.ndim != 4:
        raise UsageError(
            f"robust training: inputs of {tuple(inputs.shape)} {inputs.dtype} are no images; "
            "texts can only be trained naturally"
        )
    return inputs
