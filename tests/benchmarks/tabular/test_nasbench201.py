import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest
from tabular.nasbench201 import (
    OPERATIONS,
    architecture_string,
    describe_cell,
    live_operations,
    live_paths,
    load_nasbench201,
    macs_and_parameters,
    operations_of,
)
from tabular.table import ResultTable

from growsearch.errors import UsageError

CONV3, CONV1, SKIP, POOL, NONE = (
    "nor_conv_3x3",
    "nor_conv_1x1",
    "skip_connect",
    "avg_pool_3x3",
    "none",
)
_DATA = os.environ.get("GROWSEARCH_NASBENCH201")


def _tiny() -> ResultTable:
    return ResultTable(
        options={"a": ("x", "y"), "b": ("p", "q", "r")},
        columns={
            "error": np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
            "cost": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0]),
        },
        descriptors=np.zeros((6, 1)),
    )


def test_a_table_s_rows_and_decisions_are_two_names_of_one_network() -> None:
    table = _tiny()
    assert table.params(4) == {"a": "y", "b": "q"}
    assert [table.row(table.params(row)) for row in range(6)] == list(range(6))
    assert table.suggest(optuna.trial.FixedTrial({"a": "y", "b": "q"})) == 4
    assert table.values(4, ["cost", "error"]) == [5.0, 2.0]
    with pytest.raises(UsageError, match=r"b = 's'; valid: p, q, r"):
        table.row({"a": "x", "b": "s"})
    with pytest.raises(UsageError, match=r"unknown column 'speed'; valid: error, cost"):
        table.values(0, ["speed"])


def test_a_table_of_another_length_than_its_decisions_is_refused() -> None:
    with pytest.raises(UsageError, match="5 rows, its decisions make 6 networks"):
        ResultTable(options=_tiny().options, columns={"error": np.zeros(5)}, descriptors=np.eye(6))


def test_the_true_hypervolume_is_the_area_that_a_pencil_draws() -> None:
    # Inside (5, 5): errors 4, 3 at costs 3, 4; the last two are too dear.
    assert _tiny().hypervolume(("error", "cost"), (5, 5)) == pytest.approx(1 * 1 + 1 * 2)


def test_an_architecture_string_reads_back() -> None:
    operations = (CONV3, SKIP, NONE, POOL, CONV1, CONV3)
    text = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    assert architecture_string(operations) == text
    assert operations_of(text) == operations
    for wrong in ("", text.replace("none", "zero"), text.replace("~2", "~0")):
        with pytest.raises(UsageError, match="no NAS-Bench-201 cell"):
            operations_of(wrong)


def test_what_no_live_path_uses_does_not_count() -> None:
    # Edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3: nothing leaves node 2.
    operations = (CONV3, CONV1, POOL, SKIP, CONV1, NONE)
    assert live_paths(operations) == [(SKIP,), (CONV3, CONV1)]
    assert live_operations(operations) == Counter({CONV3: 1, SKIP: 1, CONV1: 1})


def test_macs_and_parameters_are_those_of_the_benchmark() -> None:
    # The published extremes: six 3 x 3 convolutions, and none at all.
    assert macs_and_parameters({CONV3: 6}) == (220_119_680, 1_531_546)
    assert macs_and_parameters({}) == (7_783_040, 73_306)


def test_a_dead_cell_is_described_like_its_fixed_parts() -> None:
    dead = describe_cell((NONE,) * 6)
    assert dead[8:10] == pytest.approx([math.log(7_783_040), math.log(73_306)])
    assert dead[10:12] == pytest.approx([math.log(0.01)] * 2)
    assert not any(dead[:8])
    assert not any(dead[12:])
    assert len(describe_cell((CONV3,) * 6)) == len(dead)


def test_a_residual_block_is_described_as_a_pencil_would() -> None:
    # Node 1 is the 3 x 3 convolution of the input, and the output adds its 1 x 1 convolution.
    block = describe_cell((CONV3, NONE, NONE, SKIP, CONV1, NONE))
    # Skip, 1 x 1, 3 x 3, pooling; paths of 1, 2 and 3 edges; depth.
    assert block[:8] == [1, 1, 1, 0, 1, 1, 0, 2]
    # A skip connection passes 1, the convolutions 9 x 1, or 3 x 1.5.
    assert block[10:12] == pytest.approx([math.log(1 + 9 + 0.01), math.log(1 + 4.5 + 0.01)])
    # One 3 x 3 convolution on the longest way; the input once; one term ends in 1 x 1; of two terms
    # the mean has 1 convolution, and half a 3 x 3; half of the variance is the input's.
    assert block[12:] == [1, 1, 1, 1, 0, 0, 1, 0.5, 0.5]


def test_what_batchnorm_undoes_and_what_is_dead_changes_no_output_term() -> None:
    plain = describe_cell((SKIP, NONE, NONE, SKIP, CONV1, NONE))
    # The convolution reads twice the input, which BatchNorm scales back.
    twice = describe_cell((SKIP, SKIP, SKIP, SKIP, NONE, CONV1))
    dead = describe_cell((SKIP, CONV3, POOL, SKIP, CONV1, NONE))
    assert plain[12:] == twice[12:] == dead[12:]
    assert plain == dead


def test_the_input_that_arrives_twice_has_more_of_the_sum() -> None:
    # Skip connections 0->1->3 and 0->3, beside one 3 x 3 convolution and one pooling 0->2->3.
    terms = describe_cell((SKIP, CONV3, NONE, SKIP, SKIP, POOL))[12:]
    assert terms[:6] == [1, 2, 1, 0, 0, 1]
    assert terms[-1] == pytest.approx(4 / (4 + 0.3))


needs_data = pytest.mark.skipif(
    _DATA is None, reason="GROWSEARCH_NASBENCH201 names no folder with cifar10.npz"
)


@needs_data
@pytest.mark.data
def test_the_table_keeps_every_network_in_its_place() -> None:
    assert _DATA is not None
    table = load_nasbench201(Path(_DATA))
    with np.load(Path(_DATA) / "cifar10.npz") as file:
        raw = {name: file[name] for name in file.files}
    assert len(table) == 15_625
    for index in (0, 1, 777, 15_624):
        operations = [OPERATIONS[place] for place in raw["architectures"][index]]
        row = table.row(dict(zip(table.options, operations, strict=True)))
        latency = raw["latency_ms"][list(raw["devices"]).index("raspi4"), index]
        assert table.values(row, ["latency[raspi4]"])[0] == pytest.approx(latency)
        assert table.values(row, ["error"])[0] == pytest.approx(
            100 - raw["test_accuracy_200_epochs"][index], abs=1e-4
        )


@needs_data
@pytest.mark.data
def test_counted_parameters_are_the_file_s_for_every_whole_network() -> None:
    assert _DATA is not None
    with np.load(Path(_DATA) / "cifar10.npz") as file:
        architectures, parameters = file["architectures"], file["mparams"]
    counted = [
        macs_and_parameters(Counter(OPERATIONS[place] for place in row))[1] for row in architectures
    ]
    np.testing.assert_allclose(np.array(counted) / 1e6, parameters, atol=1e-6)


def test_a_folder_without_the_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data-dir"):
        load_nasbench201(tmp_path)
