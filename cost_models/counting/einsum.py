"""Einsum's multiply-accumulates: how many does an equation do, contracted as torch does it?"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cost_models.errors import UnsupportedLayerError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contraction:
    """What an einsum does: its MACs, and which operands enter a product element by element.

    Of two operands, one is ``whole`` where it has no axis twice and none is summed over before the
    product, so that a zero in it saves its share of the products. Of three and more, none is.
    """

    macs: int
    whole: tuple[bool, ...]


def contraction(equation: str, shapes: Sequence[Shape], path: Sequence[int] | None) -> Contraction:
    """Count an einsum of operands of these shapes.

    An ellipsis stands for any axes, which broadcast; without "->" the output has the ellipsis and
    every label that appears once. Two operands at a time are contracted: by ``path``, pairs of
    positions, where the result goes last, or from left to right. An axis that one of the two alone
    has, and neither the output nor another operand, is summed over beforehand, without a product. A
    pair without an axis to sum over is multiplied elementwise, which is no MACs, as ``a * b`` is.
    A sum over one entry is a sum as well: a product of (n, 1) and (1, m) is n m MACs, as of a
    matrix product or a layer of width 1, though torch then multiplies.

    Raises:
        UnsupportedLayerError: if the equation does not fit the shapes.
    """
    axes, output = _axes(equation.replace(" ", ""), shapes)
    # An axis of size 1 that meets another size broadcasts, and is left out.
    others = {label for each in axes for label, size in each if size != 1}
    operands = [{x: size for x, size in each if size != 1 or x not in others} for each in axes]
    whole = [len(operands) == 2 and len({x for x, _ in each}) == len(each) for each in axes]
    holders = Counter(label for sizes in operands for label in sizes if label not in output)
    steps, macs = list(path or ()), 0
    while len(operands) > 1:
        low, high = sorted(steps[:2]) if steps else (0, 1)
        steps = steps[2:]
        second, first = operands.pop(high), operands.pop(low)
        for place, one, other in ((0, first, second), (1, second, first)):
            alone = [x for x in one if x not in other and holders[x] == 1]
            whole[place] &= all(one[label] == 1 for label in alone)
            for label in alone:
                del one[label]
        together = first | second
        holders.subtract(first.keys() & second.keys())
        done = {x for x in first.keys() & second.keys() if x not in output and holders[x] == 1}
        macs += math.prod(together.values()) if done else 0
        result = {label: size for label, size in together.items() if label not in done}
        operands.insert(len(operands) if path else 0, result)
    return Contraction(macs=macs, whole=tuple(whole))


def _axes(equation: str, shapes: Sequence[Shape]) -> tuple[list[list[tuple[str, int]]], set[str]]:
    """Return every operand's axes as (label, size), and the labels of the output.

    The axes of an ellipsis are labelled by their place from the right: "1", "2", ...
    """
    sources, arrow, target = equation.partition("->")
    terms = sources.split(",")
    if len(terms) != len(shapes):
        raise _misfit(equation, shapes)
    axes = [
        _labelled(equation, term, shape, shapes) for term, shape in zip(terms, shapes, strict=True)
    ]
    rest = {label for each in axes for label, _ in each if label.isdigit()}
    if not arrow:
        once = Counter(sources)
        return axes, rest | {label for label in once if label.isalpha() and once[label] == 1}
    return axes, {*target.replace("...", "")} | (rest if "..." in target else set())


def _labelled(
    equation: str, term: str, shape: Shape, shapes: Sequence[Shape]
) -> list[tuple[str, int]]:
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after)
    labels = [*before, *(str(place) for place in range(hidden, 0, -1)), *after]
    if hidden < 0 or (hidden and not dots) or not all(x.isalnum() for x in labels):
        raise _misfit(equation, shapes)
    return list(zip(labels, shape, strict=True))


def _misfit(equation: str, shapes: Sequence[Shape]) -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"einsum {equation!r} does not fit operands of {', '.join(map(str, shapes))}; name every "
        "axis, or write it as matmul"
    )
