"""Kernel choice predicted: dense or skipping zeros, and how long an operator takes so.

As the executor does it: dense, unless another kernel is clearly faster.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cost_models.counting.operator_call import Operator
from cost_models.executors.csr_operators import csr_forms
from cost_models.executors.sparse import WORTHWHILE
from cost_models.profiling.features import kind_of
from cost_models.profiling.operator_model import OperatorModel, Prediction


@dataclass(frozen=True, slots=True)
class ChosenForm:
    """The prediction of the form that is taken, and the share of the MACs that it computes."""

    seconds: float
    deviation: float
    inside: bool
    computed: float = 1.0

    @classmethod
    def of(cls, prediction: Prediction, computed: float = 1.0) -> "ChosenForm":
        """Take over a prediction."""
        return cls(prediction.seconds, prediction.deviation, prediction.inside, computed)


def forms_of(operator: Operator) -> tuple[Operator, ...]:
    """Give every form that an operator may take, dense first; just that without zeros."""
    return (operator.dense, *csr_forms(operator))


def chosen_forms(model: OperatorModel, operators: Iterable[Operator]) -> dict[Operator, ChosenForm]:
    """Predict each operator in the form that the executor would run.

    A kernel of which none was timed is not taken. Raises `UnsupportedLayerError` when no dense
    operator of the kind was.
    """
    forms = {
        each: [form for form in forms_of(each) if not form.kernel or kind_of(form) in model.kinds]
        for each in dict.fromkeys(operators)
    }
    found = model.predict(form for some in forms.values() for form in some)
    return {each: _fastest(some, found) for each, some in forms.items()}


def _fastest(forms: Sequence[Operator], found: Mapping[Operator, Prediction]) -> ChosenForm:
    dense, *others = forms
    best = min(others, key=lambda form: found[form].seconds, default=None)
    if best is None or found[best].seconds >= WORTHWHILE * found[dense].seconds:
        return ChosenForm.of(found[dense])
    assert best.nonzeros is not None
    return ChosenForm.of(found[best], best.nonzeros / max(best.tensors[1].elements, 1))
