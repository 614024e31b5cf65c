"""Quality measures of a trial beyond accuracy, and their conditions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from growsearch.datasets import Dataset
from growsearch.datasets.outside import outside_inputs
from growsearch.errors import UsageError
from growsearch.fault_origin import of_the_machine
from growsearch.kinds import Learning
from growsearch.kinds.learning import SplitName
from growsearch.metrics import MetricSettings, evaluate, fitting_metric

_PERPLEXITY = "perplexity"
_OUTSIDE = ("ood_auroc", "ood_auroc_energy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Names in `growsearch.metrics.METRICS`, and the conditions that they are taken under.

    ``against`` is the data set that out-of-distribution metrics compare with; None is noise.
    ``settings`` carries no data: normalisation and outside inputs come from the study's data.
    """

    names: tuple[str, ...] = ()
    against: str | None = None
    settings: MetricSettings = field(default_factory=MetricSettings)

    def check(self, dataset: Dataset, data_dir: Path | None) -> None:
        """Refuse what cannot be measured on ``dataset``, before anything is trained.

        Raises:
            UsageError: naming the metric or the other data set.
        """
        for name in self.names:
            if dataset.task.is_own:
                raise UsageError(
                    f"metrics: {name} is for the logits of classes, and the task is your own, "
                    f"{str(dataset.task.name).partition('@')[0]}; let it be one of its metrics"
                )
            fitting_metric(name, dataset.validation)
        self._settings(dataset, data_dir)

    def take(
        self,
        model: nn.Module,
        learning: Learning,
        data_dir: Path | None,
        split: SplitName = "validation",
    ) -> dict[str, float]:
        """Return the metrics of a trained network on one split.

        A text that is read on and on has the perplexity of that reading.

        Raises:
            UsageError: for a measure that does not fit the network.
            GrowsearchError: if the other data set cannot be read; no candidate's fault.
        """
        if not self.names:
            return {}
        dataset, names = learning.dataset, list(self.names)
        found: dict[str, float] = {}
        if learning.text is not None and _PERPLEXITY in names:
            read = learning.scores(model, split).perplexity
            assert read is not None
            found[_PERPLEXITY] = read
            names.remove(_PERPLEXITY)
        with of_the_machine():
            settings = self._settings(dataset, data_dir)
        with learning.judging(model):
            return {**found, **evaluate(tuple(names), model, dataset.split(split), settings)}

    def _settings(self, dataset: Dataset, data_dir: Path | None) -> MetricSettings:
        wanted = self.against is not None and set(self.names) & set(_OUTSIDE)
        outside = outside_inputs(str(self.against), data_dir, dataset) if wanted else None
        return dataclasses.replace(
            self.settings, normalisation=dataset.normalisation, outside=outside
        )
