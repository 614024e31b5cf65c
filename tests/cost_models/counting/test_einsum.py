import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cost_models import UnsupportedLayerError, trace
from cost_models.counting.einsum import contraction

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5}


class Einsum(nn.Module):
    def __init__(self, equation: str, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.equation = equation
        self.weights = nn.ParameterList(nn.Parameter(torch.ones(shape)) for shape in shapes)

    def forward(self, x):
        return torch.einsum(self.equation, x, *self.weights)


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("...i,io->...o", [(6, 5)], 4 * 6 * 5),
        ("b...i,io->b...o", [(6, 5)], 4 * 6 * 5),
        ("...ij,...jk->...ik", [(3, 1, 6, 5)], 3 * 4 * 6 * 5),
        ("bij,jk", [(6, 5)], 4 * 6 * 5),
        ("b i j , j k -> b i k", [(6, 5)], 4 * 6 * 5),
        # b and i are summed over in the input alone, before the product with the weight.
        ("bij,jk->k", [(6, 5)], 6 * 5 / 2),
        # From left to right: (4 x 6) (6 x 5), then (4 x 5) (5 x 3).
        ("bij,jk,kl->bil", [(6, 5), (5, 3)], 4 * 6 * 5 + 4 * 5 * 3),
        ("bij->bji", [], 0),
        # A product without a sum is elementwise, as x * w is.
        ("bij,j->bij", [(6,)], 0),
    ],
)
def test_an_equation_has_the_macs_counted_by_hand(equation, shapes, macs):
    assert trace(Einsum(equation, *shapes), (torch.zeros(2, 4, 6),)).dense_macs == macs


def test_zeros_of_a_weight_are_read_off_where_they_save_products():
    network = Einsum("...i,io->...o", (6, 5))
    with torch.no_grad():
        network.weights[0][:3] = 0
    work = trace(network, (torch.zeros(2, 4, 6),))
    assert (work.dense_macs, work.effective_macs) == (120, 60)


def test_zeros_that_are_summed_over_before_the_product_save_nothing():
    network = Einsum("bij,jk->bi", (6, 5))
    with torch.no_grad():
        network.weights[0][:, :4] = 0
    work = trace(network, (torch.zeros(2, 4, 6),))
    assert (work.dense_macs, work.effective_macs, work.nonzero_parameters) == (24, 24, 6)


def test_a_path_says_which_pair_is_contracted_first():
    shapes = [(2, 3), (3, 4), (4, 5)]
    assert contraction("ab,bc,cd->ad", shapes, None).macs == 2 * 3 * 4 + 2 * 4 * 5
    assert contraction("ab,bc,cd->ad", shapes, (1, 2, 0, 1)).macs == 3 * 4 * 5 + 2 * 3 * 5


@pytest.mark.parametrize("shapes", [[(2, 3)], [(2, 3), (3,)], [(2, 3), (3, 4, 5)]])
def test_an_equation_that_does_not_fit_is_refused(shapes):
    with pytest.raises(UnsupportedLayerError, match=r"einsum 'ab,bc->ac' does not fit"):
        contraction("ab,bc->ac", shapes, None)


@pytest.mark.parametrize("inner", [1, 2, 6])
def test_a_product_counts_alike_at_every_inner_width_however_it_is_written(inner):
    class Products(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind = kind

        def forward(self, x, y):
            if self.kind == "matmul":
                return x @ y.transpose(1, 2)
            return torch.einsum("bqd,bkd->bqk", x, y)

    inputs = (torch.zeros(2, 4, inner), torch.zeros(2, 5, inner))
    counts = {kind: trace(Products(kind), inputs).dense_macs for kind in ("matmul", "einsum")}
    assert counts == {"matmul": 4 * 5 * inner, "einsum": 4 * 5 * inner}


def test_an_axis_of_one_entry_that_meets_more_is_summed_over_beforehand():
    assert contraction("ab,b->a", [(3, 1), (4,)], None).macs == 0
    assert contraction("ab,b->a", [(3, 1), (1,)], None) == contraction(
        "ab,bc->ac", [(3, 1), (1, 1)], None
    )
    assert contraction("ab,b->a", [(3, 1), (0,)], None).macs == 0


@st.composite
def equations(draw):
    """An equation of two to four operands with the shapes, which torch accepts."""
    count = draw(st.integers(2, 4))
    terms = [draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3)) for _ in range(count)]
    hidden = [draw(st.sampled_from([None, (), (7,), (2, 7), (1, 7)])) for _ in terms]
    if (2, 7) not in hidden:  # a sum over one entry is none for torch's counter
        hidden = [(7,) if each == (1, 7) else each for each in hidden]
    labels = sorted({label for term in terms for label in term})
    output = draw(st.lists(st.sampled_from(labels), unique=True))
    shapes = [
        (*(more or ()), *(SIZES[label] for label in term))
        for term, more in zip(terms, hidden, strict=True)
    ]
    texts = [
        ("" if more is None else "...") + "".join(term)
        for term, more in zip(terms, hidden, strict=True)
    ]
    dots = "..." if any(more is not None for more in hidden) else ""
    arrow = draw(st.sampled_from(["", f"->{dots}{''.join(output)}", f"->{''.join(output)}"]))
    return ",".join(texts) + arrow, shapes


@settings(max_examples=150, deadline=None)
@given(equations())
def test_any_equation_agrees_with_torchs_own_counter(drawn):
    equation, shapes = drawn
    tensors = [torch.zeros(shape) for shape in shapes]
    try:
        with FlopCounterMode(display=False) as counter:
            torch.einsum(equation, *tensors)
    except RuntimeError:
        assume(False)
    assert contraction(equation, shapes, None).macs == counter.get_total_flops() // 2


@settings(max_examples=100, deadline=None)
@given(equations(), st.sampled_from("abcd"))
def test_the_macs_of_any_equation_are_linear_in_each_size_from_one_on(drawn, label):
    equation, _ = drawn
    terms = equation.replace("...", "").partition("->")[0].split(",")
    assume(any(label in term for term in terms))
    counts = []
    for size in (1, 2, 3):
        sizes = SIZES | {label: size}
        shapes = [tuple(sizes[each] for each in term) for term in terms]
        counts.append(contraction(equation.replace("...", ""), shapes, None).macs)
    assert counts[2] - counts[1] == counts[1] - counts[0]
