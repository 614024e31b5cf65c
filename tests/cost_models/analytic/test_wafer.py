import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cost_models import (
    DEVICES,
    LayerWork,
    NOfMWeight,
    TransformerShape,
    UnstructuredWeight,
    UnsupportedLayerError,
    Workload,
    estimate,
    training_macs,
    transformer_workload,
)
from cost_models.analytic.wafer import NOTE, REFERENCE, WaferCostModel, fit_wafer, relative_time
from cost_models.analytic.wafer_calibration import SpeedUp, fit_speed_up
from cost_models.cost import CalibrationPoint
from cost_models.errors import CostModelError

GPT3_XL = TransformerShape(layers=24, width=2048, hidden=8192, sequence=2048, vocabulary=50257)
WAFER, CS3 = DEVICES["wafer-cs2"], DEVICES["wafer-cs3"]
WAFERS = ("wafer-cs2", "wafer-cs3")
PAPER = {0.5: 1.30, 0.75: 1.39, 0.9: 2.82}  # arXiv 2303.11525v4, section 6


def wide(sparsity: float) -> Workload:
    return transformer_workload(REFERENCE.widened(sparsity), sparsity=sparsity)


@pytest.mark.parametrize(("sparsity", "published"), PAPER.items())
def test_sparse_wide_gpt3_20b_trains_in_the_published_relative_time(sparsity, published):
    relative = estimate(wide(sparsity)).latency_s / estimate(wide(0.0)).latency_s
    assert relative == pytest.approx(published, rel=0.05)


def test_fitted_on_two_points_it_predicts_the_third_that_it_has_not_seen():
    points = tuple(CalibrationPoint(sparsity=s, relative_time=PAPER[s]) for s in (0.5, 0.9))
    predicted = relative_time(0.75, fit_wafer(points).speed_up)
    assert predicted == pytest.approx(PAPER[0.75], rel=0.10)


def test_without_sparsity_support_time_follows_the_dense_size():
    blind = WaferCostModel(skips_zeros=False)
    times = [
        blind.estimate(wide(s), WAFER, batch_size=256, phase="training").latency_s
        for s in (0.9, 0.0)
    ]
    assert times[0] / times[1] == pytest.approx(10.6, rel=0.10)


def test_gpt3_xl_at_75_percent_takes_60_percent_fewer_training_flops():
    dense, sparse = (transformer_workload(GPT3_XL, sparsity=s) for s in (0.0, 0.75))
    assert 1 - training_macs(sparse) / training_macs(dense) == pytest.approx(0.60, abs=0.005)


def test_gpt3_xl_at_84_percent_takes_3_times_fewer_flops_and_4_3_times_fewer_parameters():
    dense, sparse = (transformer_workload(GPT3_XL, sparsity=s) for s in (0.0, 0.838))
    assert training_macs(dense) / training_macs(sparse) == pytest.approx(3.0, rel=0.02)
    assert dense.parameters / sparse.nonzero_parameters == pytest.approx(4.3, rel=0.02)


def test_a_one_layer_transformer_counts_as_by_hand():
    work = transformer_workload(
        TransformerShape(layers=1, width=4, hidden=8, sequence=3, vocabulary=10)
    )
    weights = 3 * 16 + 16 + 32 + 32 + 40
    assert work.dense_macs == 3 * weights + 2 * 3 * 3 * 4
    assert work.parameters == weights + (12 + 4 + 8 + 4) + 6 * 4 + 3 * 4


def test_widening_keeps_the_macs_of_the_sparse_layers():
    sparse = [layer.effective_macs for layer in wide(0.75).layers if layer.density < 1]
    dense = [layer.dense_macs for layer in wide(0.0).layers if layer.weight_elements]
    assert sum(sparse) == pytest.approx(sum(dense[:-1]), rel=1e-3)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0])
def test_a_transformer_cannot_be_wholly_sparse(sparsity):
    with pytest.raises(CostModelError, match="must lie in"):
        transformer_workload(GPT3_XL, sparsity=sparsity)


def test_attention_takes_the_same_time_whatever_the_sparsity_of_the_weights():
    name = "attention and other products of activations"
    costs = [estimate(transformer_workload(GPT3_XL, sparsity=s)) for s in (0.0, 0.9)]
    assert costs[0].breakdown_s[name] == costs[1].breakdown_s[name] > 0


def test_the_breakdown_adds_up_to_the_latency():
    cost = estimate(wide(0.75))
    assert math.isclose(sum(cost.breakdown_s.values()), cost.latency_s)


def test_one_linear_layer_takes_the_time_of_the_equations():
    layer = LayerWork(
        name="only",
        kind="linear",
        dense_macs=10**12,
        effective_macs=10**12,
        weight_elements=1000,
        weight_nonzeros=1000,
    )
    work = Workload(layers=(layer,), parameters=1000, nonzero_parameters=1000, uncounted={})
    forward = estimate(work, batch_size=2, phase="inference").latency_s
    assert forward == pytest.approx(2 * 2 * 10**12 / (0.4 * 7.5e15))
    tiny = estimate(
        Workload(
            layers=(LayerWork(**_fields(layer) | {"dense_macs": 1, "effective_macs": 1}),),
            parameters=1000,
            nonzero_parameters=1000,
            uncounted={},
        ),
        batch_size=1,
        phase="training",
    )
    assert tiny.latency_s == pytest.approx(3 * 1000 * 2 / 1.5e11)
    assert set(tiny.breakdown_s) == {"weight streaming", "overhead"}


def _fields(layer: LayerWork) -> dict[str, object]:
    return {name: getattr(layer, name) for name in LayerWork.__slots__}


def test_streaming_the_weights_does_not_depend_on_the_batch():
    short = TransformerShape(layers=2, width=1024, hidden=4096, sequence=1, vocabulary=1000)
    work = transformer_workload(short)
    streams = [
        estimate(work, batch_size=n, phase="inference").breakdown_s["weight streaming"]
        for n in (1, 2)
    ]
    assert streams[0] == streams[1] > 0


def test_recurrent_layers_are_refused_rather_than_guessed():
    layer = LayerWork(name="rnn", kind="recurrent", dense_macs=1, effective_macs=1)
    work = Workload(layers=(layer,), parameters=0, nonzero_parameters=0, uncounted={})
    with pytest.raises(UnsupportedLayerError, match="'rnn' of kind 'recurrent'"):
        estimate(work)


def test_the_interval_covers_the_worst_known_miss():
    calibration = fit_wafer(WAFER.calibration)
    cost = estimate(wide(0.5))
    assert 0.05 < calibration.residual < 0.10
    assert cost.interval[0] == pytest.approx(cost.latency_s * (1 - calibration.residual))
    assert cost.interval[1] == pytest.approx(cost.latency_s * (1 + calibration.residual))


@pytest.mark.parametrize("name", WAFERS)
def test_every_constant_of_a_wafer_names_its_unit_and_its_source(name):
    constants = DEVICES[name].constants.values()
    assert all(each.unit and len(each.source) > 20 for each in constants)


@pytest.mark.parametrize(("name", "there"), [("wafer-cs2", "40"), ("wafer-cs3", "44")])
def test_activations_that_do_not_fit_on_the_wafer_are_said_to_be_too_many(name, there):
    """A block's layers write 10 x 6144 activations a token, of 2 bytes: 354 GB for the batch."""
    large = estimate(transformer_workload(REFERENCE), name, batch_size=256)
    blocks = 44 * 61440 * 2 * 256 * 256
    assert blocks < large.memory_bytes < 1.02 * blocks
    assert f"do not fit into the wafer's {there} GB" in large.note
    small = estimate(transformer_workload(REFERENCE), name, batch_size=8)
    assert small.note == NOTE


def test_what_is_assumed_of_the_cs3_is_marked_as_assumed():
    marked = {n for n, c in CS3.constants.items() if c.source.startswith("assumption")}
    assert {"peak_flops", "efficiency", "index_bytes"} <= marked
    assert "assumed" in CS3.description
    assert "never measured" in CS3.description


def test_a_cs3_is_twice_as_fast_where_compute_binds_and_no_faster_where_the_link_does():
    dense = [estimate(wide(0.0), name).latency_s for name in ("wafer-cs2", "wafer-cs3")]
    assert dense[0] == pytest.approx(2 * dense[1])
    short = TransformerShape(layers=2, width=1024, hidden=4096, sequence=1, vocabulary=1000)
    streamed = [
        estimate(transformer_workload(short), name, 1).latency_s
        for name in ("wafer-cs2", "wafer-cs3")
    ]
    assert streamed[0] == pytest.approx(streamed[1])


def test_the_published_ratios_do_not_hang_on_the_sizes_assumed_for_the_reference():
    deeper = TransformerShape(layers=63, width=5120, hidden=20480, sequence=256, vocabulary=50257)
    assert transformer_workload(deeper).parameters == pytest.approx(
        transformer_workload(REFERENCE).parameters, rel=0.01
    )
    fitted = fit_wafer(WAFER.calibration, deeper).speed_up
    for sparsity, published in PAPER.items():
        assert relative_time(sparsity, fitted, deeper) == pytest.approx(published, rel=0.05)


def test_an_n_of_m_layer_is_as_fast_as_an_unstructured_one_of_its_density():
    layers = [
        LayerWork(
            name="only",
            kind="linear",
            dense_macs=10**12,
            effective_macs=5 * 10**11,
            weight_elements=1000,
            weight_nonzeros=500,
            pattern=pattern,
        )
        for pattern in (NOfMWeight(2, 4), UnstructuredWeight(0.5))
    ]
    times = [
        estimate(
            Workload(layers=(layer,), parameters=1000, nonzero_parameters=500, uncounted={})
        ).latency_s
        for layer in layers
    ]
    assert times[0] == times[1]


def test_a_wafer_without_calibration_points_is_refused():
    with pytest.raises(CostModelError, match="no calibration points"):
        fit_wafer(())


def test_points_on_a_known_curve_give_its_parameters_back():
    truth = SpeedUp(penalty=1.25, maximum=4.0)
    fitted = fit_speed_up([(s, truth(s)) for s in (0.5, 0.6, 0.75, 0.9, 0.95)])
    assert fitted.penalty == pytest.approx(1.25)
    assert fitted.maximum == pytest.approx(4.0)


def test_points_that_cannot_be_are_refused():
    with pytest.raises(CostModelError, match="speed-up above 0"):
        fit_speed_up([(0.5, -1.0)])


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 3), st.floats(1, 20))
def test_more_zeros_never_slow_a_layer_down_and_none_is_slower_than_dense(a, b, penalty, maximum):
    speed_up = SpeedUp(penalty=penalty, maximum=maximum)
    low, high = sorted((a, b))
    assert 1.0 <= speed_up(low) <= speed_up(high) <= maximum
    assert speed_up(0.0) == 1.0
