"""Which way of predicting latency is best? All on the timings of one profile.

    growsearch profile --device cpu --space resnet20 --validate 40 --minutes 5 \\
        -o benchmarks/results/cpu_resnet20_profile.json
    python benchmarks/latency_profile.py benchmarks/results/cpu_resnet20_profile.json

    growsearch profile --device cpu-sparse --space resnet18 --widest 1 --networks 12 \\
        --validate 20 --minutes 1.5 -o benchmarks/results/cpu_sparse_resnet18_profile.json
    python benchmarks/latency_profile.py benchmarks/results/cpu_sparse_resnet18_profile.json \\
        --out benchmarks/results/latency_profile_cpu_sparse.json

The two profiles are kept with their timings, so that the second commands need no such machine.
Every row is fitted on the profile's calibration networks and operators, and compared with its
validation networks, which no row has seen.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import GradientBoostingRegressor

from cost_models import LatencyProfile, Operator, load_profile
from cost_models.profiling.calibration import network_parts, nonnegative_fit
from cost_models.profiling.chosen_forms import chosen_forms
from cost_models.profiling.features import bytes_moved, features, kind_of, padded_macs
from cost_models.profiling.operator_sum import OperatorSum
from cost_models.profiling.prediction_error import PredictionError, prediction_error
from cost_models.profiling.profile_file import validation_to_data
from cost_models.profiling.records import ProfileRecord, TimedNetwork
from growsearch.files import write_json

RESULTS = Path(__file__).parent / "results" / "latency_profile.json"
Array = NDArray[np.float64]


def macs_columns(network: TimedNetwork) -> list[float]:
    return [network.macs * 1e-9, 1e-3]


def counted_columns(network: TimedNetwork) -> list[float]:
    """MACs, MACs in whole vectors, bytes and the number of operators."""
    return [
        network.macs * 1e-9,
        sum(padded_macs(each) for each in network.operators) * 1e-9,
        sum(bytes_moved(each) for each in network.operators) * 1e-9,
        len(network.operators) * 1e-6,
        1e-3,
    ]


def boosted(record: ProfileRecord) -> dict[Operator, float]:
    """Predict every operator of the networks with gradient-boosted trees, one model a kind.

    Zeros are computed like other numbers, even on a device that skips them.
    """
    by_kind: dict[str, list[tuple[Operator, float]]] = defaultdict(list)
    for timed in record.operators:
        by_kind[kind_of(timed.operator)].append((timed.operator, timed.low_s))
    found = {timed.operator: timed.low_s for timed in record.operators}
    wanted: dict[str, list[Operator]] = defaultdict(list)
    for each in {each for network in record.networks for each in network.operators} - set(found):
        wanted[kind_of(each)].append(each)
    for kind, operators in wanted.items():
        model = GradientBoostingRegressor(
            n_estimators=600, learning_rate=0.05, max_depth=4, subsample=0.6, random_state=0
        )
        rows = np.array([features(operator) for operator, _ in by_kind[kind]])
        model.fit(rows, np.log([seconds for _, seconds in by_kind[kind]]))
        logs = model.predict(np.array([features(operator) for operator in operators]))
        found |= dict(zip(operators, np.exp(logs).tolist(), strict=True))
    return found


def processed(profile: LatencyProfile) -> dict[Operator, float]:
    """Predict every operator of the networks with the profile's own model, in its fastest form."""
    called = [each for network in profile.record.networks for each in network.operators]
    assert isinstance(profile.model, OperatorSum)
    chosen = chosen_forms(profile.model.operators, called)
    return {each: found.seconds for each, found in chosen.items()}


def fitted(record: ProfileRecord, columns: Mapping[str, Sequence[float]]) -> PredictionError:
    """Fit factors on the calibration networks' columns and check them on the others."""
    some, others = record.with_role("calibration"), record.with_role("validation")
    seconds = np.array([network.low_s for network in some])
    factors = np.array(nonnegative_fit(_rows(some, columns), seconds))
    return prediction_error(
        (_rows(others, columns) @ factors).tolist(), [network.low_s for network in others]
    )


def _rows(networks: Sequence[TimedNetwork], columns: Mapping[str, Sequence[float]]) -> Array:
    return np.array([columns[network.name] for network in networks])


def methods(profile: LatencyProfile) -> dict[str, PredictionError]:
    record = profile.record
    networks = record.networks
    own, trees = processed(profile), boosted(record)
    parts = {net.name: network_parts(net.operators, own).tolist() for net in networks}
    by_trees = {net.name: network_parts(net.operators, trees).tolist() for net in networks}
    sums = {name: [row[0] + row[1]] for name, row in parts.items()}
    others = record.with_role("validation")
    return {
        "MACs, linear": fitted(record, {n.name: macs_columns(n) for n in networks}),
        "MACs, padded MACs, bytes, operators, linear": fitted(
            record, {n.name: counted_columns(n) for n in networks}
        ),
        "operators summed": prediction_error(
            [sums[net.name][0] for net in others], [net.low_s for net in others]
        ),
        "operators x one scale": fitted(record, sums),
        "operators by trees, three factors": fitted(record, by_trees),
        "the profile: process and trees, three factors": fitted(record, parts),
    }


def with_fewer(record: ProfileRecord, operators: int, networks: int) -> LatencyProfile:
    """Fit again with fewer timings: of each kind in proportion, the smallest and largest kept."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for index, timed in enumerate(record.operators):
        by_kind[kind_of(timed.operator)].append(index)
    share = operators / len(record.operators)
    # Within a kind the chosen ones come first at both ends and then at random: any head will do.
    kept = {i for found in by_kind.values() for i in found[: max(4, round(share * len(found)))]}
    calibration = record.with_role("calibration")[:networks]
    return LatencyProfile(
        dataclasses.replace(
            record,
            operators=tuple(each for i, each in enumerate(record.operators) if i in kept),
            networks=(*calibration, *record.with_role("validation")),
            scales={},
        )
    )


def show(rows: Mapping[str, PredictionError], noise: float) -> None:
    table = Table(title=f"Predicted latency of unseen networks; repeat noise {noise:.1%}")
    for column in ("method", "mean error", "within 5 %", "within 10 %", "Kendall tau"):
        table.add_column(column)
    for name, row in rows.items():
        figures = (f"{row.mape:.1%}", f"{row.within_5:.0%}", f"{row.within_10:.0%}")
        table.add_row(name, *figures, f"{row.kendall_tau:.3f}")
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    profile = load_profile(arguments.profile)
    rows = methods(profile)
    for operators in (100, 200, 400):
        if operators < len(profile.record.operators):
            found = with_fewer(profile.record, operators, 10)
            name = f"the profile with {len(found.record.operators)} operators"
            rows[name] = found.validation.profile
    for networks in (3, 5):
        found = with_fewer(profile.record, len(profile.record.operators), networks)
        rows[f"the profile with {networks} networks"] = found.validation.profile
    show(rows, profile.validation.repeat_noise)
    write_json(
        arguments.out,
        {
            "conditions": dataclasses.asdict(profile.record.conditions),
            "operators": len(profile.record.operators),
            "validation": validation_to_data(profile.validation),
            "methods": {name: row.to_data() for name, row in rows.items()},
        },
    )


if __name__ == "__main__":
    main()
