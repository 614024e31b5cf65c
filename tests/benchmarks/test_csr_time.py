import pytest
import torch
from csr_time import (
    CsrTimeModel,
    CsrWork,
    TimedWork,
    csr_work,
    fit_csr_time,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cost_models import CostModelError
from cost_models.executors.csr_layers import (
    CsrIm2colConv2d,
    CsrLinear,
    CsrPointwiseConv2d,
    CsrTapsConv2d,
)


def with_nonzeros(layer: nn.Module, count: int) -> nn.Module:
    with torch.no_grad():
        layer.weight.zero_().view(-1)[:count] = 1.0
    return layer


def test_the_work_of_a_linear_layer_counted_by_hand():
    layer = CsrLinear(with_nonzeros(nn.Linear(6, 4), 5))
    assert csr_work(layer, (3, 6)) == CsrWork(
        kernel="csr", nonzeros=5, columns=3, blocks=1, moved=3 * 10, calls=1
    )
    assert csr_work(layer, (1, 6)).kernel == "csr-vector"
    assert csr_work(layer, (2, 100, 6)).blocks == csr_work(layer, (200, 6)).calls == 4


def test_the_work_of_an_im2col_convolution_counted_by_hand():
    layer = CsrIm2colConv2d(with_nonzeros(nn.Conv2d(2, 4, 3, padding=1), 7))
    assert csr_work(layer, (5, 2, 6, 6)) == CsrWork(
        kernel="csr-im2col", nonzeros=7, columns=180, blocks=3, moved=360 + 180 * (18 + 8), calls=3
    )


def test_the_work_of_a_pointwise_convolution_counted_by_hand():
    layer = CsrPointwiseConv2d(with_nonzeros(nn.Conv2d(2, 4, 1, stride=2), 7))
    assert csr_work(layer, (5, 2, 6, 6)) == CsrWork(
        kernel="csr-pointwise", nonzeros=7, columns=45, blocks=5, moved=45 * (2 + 8), calls=5
    )


def test_the_work_of_a_convolution_by_taps_counted_by_hand():
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1)
    with torch.no_grad():
        layer.weight.zero_()[:, 0, 0, :2] = 1.0
    work = csr_work(CsrTapsConv2d(layer), (5, 2, 6, 6))
    # The padded 8 x 8 input falls into four phases of 4 x 4; two taps use two of them.
    assert work == CsrWork(
        kernel="csr-taps",
        nonzeros=8,
        columns=80,
        blocks=1,
        moved=360 + 80 * (2 * 2 + 4 * 4),
        calls=2,
    )


def test_another_layer_has_no_csr_work():
    with pytest.raises(CostModelError, match="Linear is no CSR layer"):
        csr_work(nn.Linear(2, 2), (1, 2))


def works(kernel: str = "csr") -> list[CsrWork]:
    return [
        CsrWork(kernel=kernel, nonzeros=n, columns=c, blocks=b, moved=m, calls=b)
        for n, c, b, m in [
            (100, 1, 1, 50),
            (1000, 8, 1, 300),
            (5000, 64, 2, 9000),
            (200, 300, 5, 70000),
            (40000, 16, 1, 500),
            (7, 9, 3, 40),
        ]
    ]


def test_times_that_follow_the_equation_give_its_coefficients_back():
    truth = CsrTimeModel(coefficients={"csr": (2e-10, 3e-10, 1e-9, 5e-6)})
    timed = [TimedWork(work=work, seconds=truth.seconds(work)) for work in works()]
    model = fit_csr_time(timed)
    assert model.coefficients["csr"] == pytest.approx(truth.coefficients["csr"], rel=1e-4)
    assert model.mape(timed) < 1e-4


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(1e-6, 1e-2), min_size=6, max_size=6))
def test_whatever_the_times_no_coefficient_is_negative(seconds):
    timed = [TimedWork(work=w, seconds=s) for w, s in zip(works(), seconds, strict=True)]
    model = fit_csr_time(timed)
    assert all(value >= 0 for value in model.coefficients["csr"])
    assert all(model.seconds(work) >= 0 for work in works())


def test_each_kernel_is_fitted_on_its_own_layers():
    timed = [TimedWork(work=w, seconds=1e-6 * w.calls) for w in works("csr-taps")]
    timed += [TimedWork(work=w, seconds=2e-6 * w.calls) for w in works("csr")]
    model = fit_csr_time(timed)
    assert model.seconds(works("csr")[3]) == pytest.approx(1e-5, rel=1e-3)
    assert model.seconds(works("csr-taps")[3]) == pytest.approx(5e-6, rel=1e-3)


def test_the_error_is_the_mean_of_relative_errors():
    model = CsrTimeModel(coefficients={"csr": (0.0, 0.0, 0.0, 1.0)})
    timed = [TimedWork(work=w, seconds=s) for w, s in zip(works()[:2], (2.0, 0.8), strict=True)]
    assert model.mape(timed) == pytest.approx((0.5 + 0.25) / 2)


def test_a_kernel_that_was_not_fitted_is_named_with_those_that_were():
    model = CsrTimeModel(coefficients={"csr-taps": (0.0, 0.0, 0.0, 1.0)})
    with pytest.raises(CostModelError, match="'csr' was not fitted; there are: csr-taps"):
        model.seconds(works()[0])


def test_too_few_layers_for_four_coefficients_are_refused():
    timed = [TimedWork(work=work, seconds=1.0) for work in works()[:3]]
    with pytest.raises(CostModelError, match="3 timed layers, four coefficients"):
        fit_csr_time(timed)


def test_an_error_over_nothing_is_refused():
    with pytest.raises(CostModelError, match="at least one"):
        CsrTimeModel(coefficients={}).mape([])
