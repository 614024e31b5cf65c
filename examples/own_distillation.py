"""Search networks that learn from a large one: python examples/own_distillation.py [--quick]"""

import sys

import torch
from torch.nn import functional as F

from growsearch import Study
from growsearch.training import Classification, Recipe, train
from search_spaces import search_space

TEMPERATURE, SHARE = 4.0, 0.9


class Distilled:
    """Labels and a teacher's softened logits together (Hinton et al. 2015, arXiv 1503.02531)."""

    metrics = {"accuracy": "maximize", "agreement": "maximize"}

    def __init__(self, dataset):
        space = search_space("resnet-digits").for_data(dataset.input_shape, dataset.num_classes)
        torch.manual_seed(0)
        self.teacher = space.build(space.largest())
        train(self.teacher, Classification(dataset), Recipe(epochs=2), seed=0, forward_macs=0)
        self.teacher.eval()

    @torch.no_grad()
    def ask(self, inputs):
        return self.teacher.to(inputs.device)(inputs)

    def loss(self, outputs, targets, inputs):
        soft = F.kl_div(
            F.log_softmax(outputs / TEMPERATURE, dim=1),
            F.log_softmax(self.ask(inputs) / TEMPERATURE, dim=1),
            log_target=True,
            reduction="batchmean",
        )
        return SHARE * TEMPERATURE**2 * soft + (1 - SHARE) * F.cross_entropy(outputs, targets)

    def scores(self, outputs, targets, inputs):
        named = outputs.argmax(dim=1)
        agreed = named == self.ask(inputs).argmax(dim=1)
        return {"accuracy": (named == targets).float().mean(), "agreement": agreed.float().mean()}


STUDY = {
    "name": "own-distillation",
    "dataset": "digits",
    "task": Distilled,
    "trials": {
        "growth": {"space": "mlp-digits", "budget": {"parameters": {"low": "2%", "high": "30%"}}}
    },
    "objectives": {"accuracy": "maximize", "agreement": "maximize", "macs": "minimize"},
    "search": {"trials": 12, "parallel": 2},
}

if __name__ == "__main__":
    if "--quick" in sys.argv:
        STUDY["trials"]["growth"]["epochs"] = 2
        STUDY["search"] = {"trials": 1, "backend": "serial"}
    print(Study(STUDY).run().to_pandas())
