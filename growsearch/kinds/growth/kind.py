"""Growth as a kind of trial."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeVar, cast

from growsearch.datasets import Dataset
from growsearch.errors import UsageError
from growsearch.growth import build_full, usual_gain
from growsearch.growth.fits import check_fits
from growsearch.growth.gates.insertion import insert_gates
from growsearch.growth.growing_groups import growing_groups
from growsearch.growth.layers import declared_units
from growsearch.kinds.candidate import CandidateConfig
from growsearch.kinds.checking.context import CheckContext, space_for
from growsearch.kinds.checking.initial import check_init
from growsearch.kinds.domain import Domain, Range, nearest, single, values_of
from growsearch.kinds.forecasts import Forecast, Reach
from growsearch.kinds.growth.bound import GrowthBound, GrowthBudget
from growsearch.kinds.growth.branches import ask_branch, branches_of, check_fronts, train_branch
from growsearch.kinds.growth.candidate import GrowthCandidate
from growsearch.kinds.growth.space import BY_PLAN, LEARNED, ORDERED, PLANNED, GrowthSpace
from growsearch.kinds.growth.training import (
    check_budget,
    forecast_growth,
    reach_of_budget,
    train_growth,
)
from growsearch.kinds.growth.words import WORDS
from growsearch.kinds.kind import Axis, ForecastContext, TrialKind
from growsearch.kinds.questions import Questions
from growsearch.kinds.recipe_choice import RecipeChoice
from growsearch.kinds.trained import TrainedCandidate, TrainingContext, Untrained
from growsearch.training import TrainingOptions
from search_spaces import search_space
from search_spaces.user_code import is_own

C = TypeVar("C", bound=CandidateConfig)

# Growth (Yuan et al., arXiv 2007.15353): a network of 36 % of the parameters.
_PAPERS_SHARE = 0.36
# A grown network misses its budget by less than the dearest structure; here is room for one more.
SLACK = 2
_UNASKED = {
    field.name: field.default
    for field in dataclasses.fields(GrowthCandidate)
    if field.default is not dataclasses.MISSING
}


class GrowthKind(TrialKind[GrowthSpace, GrowthCandidate]):
    """Networks that grow channels and layers under a budget while they train."""

    name: ClassVar[str] = "growth"
    title: ClassVar[str] = WORDS.title
    space = GrowthSpace
    candidate = GrowthCandidate

    def suggest(self, questions: Questions, space: GrowthSpace) -> GrowthCandidate:
        """Ask in an order in which every answer says which questions are left."""
        if space.budgets is not None:
            return ask_branch(questions, space, space.budgets)
        name = str(questions.ask("space", space.space))
        budget = ask_budget(questions, "budget", space.bounds)
        training = questions.recipe(space)
        policy = str(questions.ask("policy", space.policy))
        asked = ["layers", "freeze_at", "width_multiple", "direct_design", "pace", "until", "norms"]
        if policy in BY_PLAN:
            asked += ["seed_share", "steps"]
        if policy == PLANNED:
            asked.append("allocation")
        if space.bounds.device is not None:
            asked.append("device_batch")
        if policy in ORDERED:
            asked.append("birth")
        if policy == LEARNED:
            asked += ["steering", "relaxation", "temperature", "temperature_decay"]
        found = {key: questions.ask(key, getattr(space, key)) for key in asked}
        if policy == LEARNED:
            gain = space.control_gain
            usual = usual_gain(training.epochs)
            found["control_gain"] = usual if gain is None else questions.ask("control_gain", gain)
        if found.get("steering", "task") != "task":
            found["steering_strength"] = questions.ask("steering_strength", space.steering_strength)
        return GrowthCandidate(
            space=name, budget=budget, training=training, policy=policy, init=space.init, **found
        )

    def train(
        self, candidate: GrowthCandidate, context: TrainingContext, options: TrainingOptions
    ) -> TrainedCandidate:
        """Grow the network, or what of its trunk is not there and then its branch."""
        if candidate.trunk is not None:
            return train_branch(candidate, candidate.trunk, context, options)
        return train_growth(candidate, context, options)

    def epochs(self, candidate: GrowthCandidate) -> int:
        """Return the epochs of a run: both parts of a direct design, or a trunk and a branch."""
        trunk = candidate.trunk
        if trunk is None:
            return candidate.training.epochs * (1 + candidate.direct_design)
        place = trunk.index(candidate.budget.value)
        return sum(trunk.stage_epochs[: place + 1]) + trunk.decline_epochs[place]

    def check(self, space: GrowthSpace, context: CheckContext) -> None:
        """Refuse networks that cannot be made, fed, grown or brought within the budget."""
        key = "" if space.budgets is None else "budgets: "
        check_growing(space.space, space.bounds, context, key)
        if space.budgets is not None:
            check_fronts(space, space.budgets, context)
        check_init(space, context)

    def not_shared(self, space: GrowthSpace) -> str | None:
        """Return that each worker would time the device for itself, and decide otherwise."""
        if space.budgets is not None:
            return "trials.growth.budgets: stages of a trunk are one worker's each"
        if space.bounds.device is None:
            return None
        return f"trials.growth.budget: latency[{space.bounds.device}] is timed by one worker alone"

    def not_judged(self, space: GrowthSpace) -> str | None:
        """Return that branches of one trunk are of one run, whose epochs say nothing of them."""
        if space.budgets is None:
            return None
        return "trials.growth.budgets: branches of one trunk share its epochs"

    def together(self, candidate: GrowthCandidate) -> tuple[GrowthCandidate, ...]:
        """Return all branches of the candidate's trunk."""
        return branches_of(candidate)

    def sharing(self, space: GrowthSpace) -> int:
        """Return how many branches a trunk has."""
        return 1 if space.budgets is None else len(values_of(space.budgets.domain))

    def initial_points(self, space: GrowthSpace, wanted: str) -> Iterator[dict[str, Any]]:
        """Yield the paper's budget, with first values elsewhere."""
        if wanted != "papers":
            return
        found: dict[str, Any] = {
            name: nearest(domain, _UNASKED.get(name))
            for name, domain in space.written_domains.items()
        }
        share = _PAPERS_SHARE if space.bounds.is_share else None
        found["budget"] = {space.bounds.metric: nearest(space.bounds.domain, share)}
        yield found

    def written(self, space: GrowthSpace) -> dict[str, Any]:
        """Return the candidate of a space with one value a key, its budget included."""
        return {**super().written(space), "budget": written_budget(space.bounds)}

    def axis(self, space: GrowthSpace, candidate: GrowthCandidate) -> Axis[GrowthCandidate] | None:
        """Return the budget, where it is a range."""
        return budget_axis(space.bounds, candidate, candidate.budget)

    def same_network(self, candidate: GrowthCandidate) -> GrowthCandidate:
        """Return the candidate that grows as usual: how it grows, its budget does not know."""
        return GrowthCandidate(
            space=candidate.space, budget=candidate.budget, training=RecipeChoice(epochs=10)
        )

    def forecast(self, candidate: GrowthCandidate, context: ForecastContext) -> Forecast:
        """Tell the budgeted count."""
        dataset = context.dataset
        space = search_space(candidate.space).for_data(dataset.input_shape, dataset.num_classes)
        return forecast_growth(candidate.budget, space)

    def reach(self, space: GrowthSpace, dataset: Dataset) -> Reach:
        """Tell what the budgets' ends leave; a policy without an order may stay far below."""
        ordered = all(name in ORDERED for name in values_of(space.policy))
        multiple = max(map(float, values_of(space.width_multiple)))
        return Reach.around(
            [
                reach_of_budget(
                    ends_of(space.bounds),
                    space_for(str(name), dataset),
                    slack=SLACK * multiple if ordered else math.inf,
                )
                for name in values_of(space.space)
            ]
        )

    def largest(self, candidate: GrowthCandidate, dataset: Dataset, seed: int) -> Untrained:
        """Return the full network, of which growth trains a part; the trunk's epochs are shared."""
        module = build_full(space_for(candidate.space, dataset), seed)
        if candidate.trunk is None:
            return Untrained(module=module, recipe=candidate.training.recipe())
        recipe = candidate.front().decline_recipe(candidate.trunk.mean_epochs)
        return Untrained(module=module, recipe=recipe)

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return such as "31 % of parameters, grown"."""
        return WORDS.describe(config)


def ask_budget(questions: Questions, key: str, budget: GrowthBudget) -> GrowthBound:
    """Ask for a bound on the metric that the study has chosen."""
    value = questions.ask(f"{key}.{budget.metric}", budget.domain)
    return GrowthBound(budget.metric, value)


def ends_of(budget: GrowthBudget) -> list[GrowthBound]:
    """Return the bounds, or both ends of the range of them."""
    return [GrowthBound(budget.metric, value) for value in budget.domain_values]


def budget_axis(budget: GrowthBudget, candidate: C, bound: GrowthBound) -> Axis[C] | None:
    """Return the axis of candidates with a field ``budget`` that differ in it, None if none do."""
    if not isinstance(budget.domain, Range):
        return None
    found: Any = candidate
    return Axis(
        domain=budget.domain,
        value=float(bound.value),
        at=lambda value: cast(C, dataclasses.replace(found, budget=bound.at(value))),
    )


def written_budget(budget: GrowthBudget) -> dict[str, Any]:
    """Return the one bound as a ledger has it.

    Raises:
        UsageError: if there are several.
    """
    return {budget.metric: single("budget", budget.domain)}


def check_growing(
    spaces: Domain,
    budget: GrowthBudget,
    context: CheckContext,
    key: str = "",
    updaters: tuple[str, ...] | None = None,
) -> None:
    """Refuse networks that cannot be fed, gated or brought within a budget.

    ``key`` is where in the kind's keys the budget stands, such as "grow."; ``updaters`` are those
    of the masks that the grown network gets, if any.

    Raises:
        UsageError: naming the key and the remedy.
    """
    masked, updaters = updaters is not None, updaters or ()
    for name in map(str, values_of(spaces)):
        with context.naming("space"):
            space = space_for(name, context.dataset)
            module = check_fits(space, context.dataset)
            if is_own(name):
                growing = growing_groups(space, module)
                units = growing.of_units(declared_units(space, module))
                growing.check(module, units)
                growing.tell(space.name)
                insert_gates(module, growing.groups, units)
            context.look_at(space, "space", masked=masked, updaters=updaters)
        for value in values_of(budget.domain):
            try:
                check_budget(space, GrowthBound(budget.metric, value))  # type: ignore[arg-type]
            except UsageError as error:
                raise UsageError(f"trials.{context.key}.{key}{error} (space {name})") from error


KIND = GrowthKind()
