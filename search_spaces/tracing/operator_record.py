"""Operator record of one forward pass, parts of which can be run again with other values.

Everything that a module computes passes torch's dispatcher, whatever layers, functions or branches
its code has. In-place operators and writes into views are recorded as the functions that they are.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces.own_networks.whole_networks import copied
from search_spaces.tracing.time_limit import check_time


@dataclass(frozen=True, slots=True)
class Ref:
    """The place of a tensor in `OperatorRecord.values`."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One call: its function, its arguments with a `Ref` for every tensor, and what came out.

    ``arguments`` are by the names of the operator's schema, defaults included. ``outputs`` are
    places in `OperatorRecord.values`, ``inputs`` those of all tensors among the arguments, in their
    order. ``name`` is without name space and overload, such as "convolution".
    """

    place: int
    function: Any
    arguments: Mapping[str, Any]
    outputs: tuple[int, ...]
    # Asked for at every run: told once.
    name: str = field(init=False)
    inputs: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        name: str = self.function._schema.name
        object.__setattr__(self, "name", name.partition("::")[2])
        object.__setattr__(self, "inputs", tuple(refs(self.arguments.values())))

    def __call__(self, values: Callable[[int], Tensor]) -> tuple[Tensor, ...]:
        """Run it on ``values``, a tensor for each place, and return the tensors that come out."""
        positional, named = [], {}
        for argument in self.function._schema.arguments:
            value = _filled(self.arguments[argument.name], values)
            if _is_written(argument) and isinstance(value, Tensor):
                value = value.clone()
            if argument.kwarg_only:
                named[argument.name] = value
            else:
                positional.append(value)
        # A recurrent layer's workspace comes last, and only where gradients are wanted.
        return tensors_of(self.function(*positional, **named))[: len(self.outputs)]


# Runs an operator with some of its inputs changed; returns what comes out.
Rule = Callable[[Operator, Mapping[int, Tensor]], Sequence[Tensor]]


@dataclass(slots=True, kw_only=True)
class OperatorRecord:
    """All operators of one run in order, and all tensors that they read or made.

    ``leaves`` are the places of parameters and buffers by name, ``inputs`` and ``outputs`` those of
    the module's inputs and outputs. ``from_inputs`` are the places of all that depends on inputs.
    ``scopes`` are, operator by operator, the paths of the modules whose forward pass ran it.
    """

    values: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    leaves: dict[str, int] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    from_inputs: set[int] = field(default_factory=set)
    readers: dict[int, list[int]] = field(default_factory=dict)
    maker: dict[int, Operator] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)
    # Which values hold something that is not a number.
    _undefined: dict[int, bool] = field(default_factory=dict)

    def with_values(self, rule: Rule, start: Mapping[int, Tensor]) -> OperatorRecord:
        """Return the same record with values that ``rule`` makes of those of ``start``.

        Operators that depend on neither ``start`` nor the inputs keep theirs.
        """
        changed = {place: self.values[place] for place in self.inputs} | dict(start)
        values = list(self.values)
        for place, value in changed.items():
            values[place] = value
        for operator in self.operators:
            if any(place in changed for place in operator.inputs):
                for place, value in zip(operator.outputs, rule(operator, changed), strict=True):
                    changed[place] = values[place] = value
        return OperatorRecord(
            values=values,
            operators=self.operators,
            leaves=self.leaves,
            inputs=self.inputs,
            outputs=self.outputs,
            from_inputs=self.from_inputs,
            readers=self.readers,
            maker=self.maker,
            scopes=self.scopes,
        )

    def run_again(
        self,
        changed: Mapping[int, Tensor],
        rule: Rule,
        start: Sequence[int] = (),
        *,
        until: int | None = None,
    ) -> dict[int, Tensor]:
        """Return, by place, every tensor that comes out otherwise than recorded.

        Args:
            changed: tensors in the place of those recorded.
            rule: runs each operator that reads something changed.
            start: operators that run in any case, by their place.
            until: the place of an operator at which the run ends; None is the end.

        Raises:
            TimeLimitError: if the time of the trace is over.
        """
        result = dict(changed)
        waiting = [*start, *(reader for place in changed for reader in self.readers.get(place, ()))]
        heapq.heapify(waiting)
        done = -1
        while waiting:
            place = heapq.heappop(waiting)
            if place == done:
                continue
            if until is not None and place >= until:
                break
            check_time()
            done = place
            operator = self.operators[place]
            for out, value in zip(operator.outputs, rule(operator, result), strict=True):
                if self._has_moved(out, value):
                    result[out] = value
                    for reader in self.readers.get(out, ()):
                        heapq.heappush(waiting, reader)
        return result

    def _has_moved(self, place: int, value: Tensor) -> bool:
        recorded = self.values[place]
        if value is recorded or torch.equal(value, recorded):
            return False
        return not self._is_undefined(place) or bool(self.moved(place, value).any())

    def moved(self, place: int, value: Tensor) -> Tensor:
        """Return which entries differ from those recorded; not-a-number equals itself."""
        recorded = self.values[place]
        differ = value != recorded
        if not self._is_undefined(place):
            return differ
        return differ & ~(value.isnan() & recorded.isnan())

    def _is_undefined(self, place: int) -> bool:
        """Tell whether something recorded is not a number."""
        if place not in self._undefined:
            recorded = self.values[place]
            self._undefined[place] = recorded.is_floating_point() and bool(recorded.isnan().any())
        return self._undefined[place]

    def plainly(self, operator: Operator, changed: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        """Run ``operator`` as it is: the `Rule` of what would truly come out."""
        return operator(lambda place: self.value(place, changed))

    def value(self, place: int, changed: Mapping[int, Tensor]) -> Tensor:
        """Return what stands at ``place``, changed or as recorded."""
        return changed.get(place, self.values[place])

    def recorded(self, operator: Operator) -> tuple[Tensor, ...]:
        """Return what came out of ``operator``."""
        return tuple(self.values[place] for place in operator.outputs)


def refs(value: Any) -> Iterator[int]:
    """Yield the places of all `Ref` in nested sequences, in order."""
    if isinstance(value, Ref):
        yield value.index
    elif isinstance(value, (list, tuple)) or type(value).__name__ == "dict_values":
        for each in value:
            yield from refs(each)


@torch.no_grad()
def record_operators(module: nn.Module, inputs: tuple[Tensor, ...]) -> OperatorRecord:
    """Run ``module`` once and write down all its operators; it is not changed.

    Fused kernels (attention, recurrent layers) are taken apart, so that all products are seen.

    Raises:
        RuntimeError: whatever the module or torch raises.
    """

    failed: RuntimeError | None = None
    with _unfused():
        for run in (_functional, _wholly_functional, _as_it_is):
            # What it keeps of such a run (a buffer that it sets) is no tensor outside of it.
            twin = copied(module)
            recorder = _Recorder(twin, inputs)
            try:
                with recorder, recorder.scopes_told():
                    out = run(twin, inputs)
                    return recorder.finished(out)
            except RuntimeError as error:
                failed = error
    assert failed is not None
    raise failed


def _functional(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Run it with writes into what depends on inputs as the functions that they are."""

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        return tensors_of(module(*given))

    found: tuple[Tensor, ...] = torch.func.functionalize(run)(*inputs)
    return found


def _wholly_functional(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Run it so, with writes into copies of parameters and buffers too."""

    def run(leaves: dict[str, Tensor], *given: Tensor) -> tuple[Tensor, ...]:
        return tensors_of(torch.func.functional_call(module, leaves, given))

    leaves = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found: tuple[Tensor, ...] = torch.func.functionalize(run)(leaves, *inputs)
    return found


def _as_it_is(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Run it plainly: functions with a backward pass of their own may not be made functional."""
    return tensors_of(module(*inputs))


@contextmanager
def _unfused() -> Iterator[None]:
    """Keep attention and recurrent layers off their fused kernels."""
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    # Through torch.backends.mkldnn.flags it would warn of hardware that is not there.
    torch._C._set_mkldnn_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds every operator that the dispatcher meets to a record."""

    def __init__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._record = OperatorRecord()
        # The tensors in `values` stay alive, so that an id means one tensor.
        self._places: dict[int, int] = {}
        self._stale: dict[int, Tensor] = {}
        # A parameter's `.data` passes no dispatcher: it is known by the memory it shares.
        self._memory: dict[tuple[object, ...], int] = {}
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self._record.leaves[name] = self._memory[_memory(tensor)] = self._add(tensor)
        self._record.inputs = tuple(self._add(tensor) for tensor in inputs)
        self._input_memory = {
            _memory(t): p for t, p in zip(inputs, self._record.inputs, strict=True)
        }
        self._record.from_inputs.update(self._record.inputs)
        self._paths = {id(layer): path for path, layer in module.named_modules()}
        self._running = [""]

    @contextmanager
    def scopes_told(self) -> Iterator[None]:
        """Hear which module of the network runs; one that is not of it has its caller's path."""

        def enter(layer: nn.Module, _: object) -> None:
            self._running.append(self._paths.get(id(layer), self._running[-1]))

        def leave(_: nn.Module, __: object, ___: object) -> None:
            self._running.pop()

        handles = (
            register_module_forward_pre_hook(enter),
            register_module_forward_hook(leave, always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return no: to wrap the mode, torch would import its whole compiler."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        bound = list(_bound(func._schema.arguments, args, kwargs or {}))
        arguments = {argument.name: self._referred(given) for argument, given in bound}
        written = [
            given
            for argument, given in bound
            if _is_written(argument) and isinstance(given, Tensor)
        ]
        before = self._copies(written)
        out = func(*args, **(kwargs or {}))
        self._keep(written, before)
        record = self._record
        inputs = tuple(refs(arguments.values()))
        outputs = tuple(self._add(tensor) for tensor in tensors_of(out))
        operator = Operator(
            place=len(record.operators), function=func, arguments=arguments, outputs=outputs
        )
        record.operators.append(operator)
        record.scopes.append(self._running[-1])
        record.maker.update(dict.fromkeys(outputs, operator))
        for place in dict.fromkeys(inputs):
            record.readers.setdefault(place, []).append(operator.place)
        if any(place in record.from_inputs for place in inputs):
            record.from_inputs.update(outputs)
        return out

    def finished(self, out: tuple[Tensor, ...]) -> OperatorRecord:
        self._record.outputs = tuple(self._place(tensor) for tensor in out)
        return self._record

    def _copies(self, written: list[Tensor]) -> dict[int, Tensor]:
        """Return, by place, what all tensors hold that share memory with ``written``."""
        memory = {tensor.untyped_storage().data_ptr() for tensor in written}
        return {
            place: tensor.clone()
            for place, tensor in (enumerate(self._record.values) if memory else ())
            if tensor.untyped_storage().data_ptr() in memory
        }

    def _keep(self, written: list[Tensor], before: Mapping[int, Tensor]) -> None:
        """Record what was written over as it was; a tensor that is written is another value."""
        for place, copy in before.items():
            tensor = self._record.values[place]
            if any(tensor is each for each in written):
                self._record.values[place] = copy
            elif not torch.equal(tensor, copy):
                self._record.values[place] = copy
                self._stale[id(tensor)] = tensor

    def _add(self, tensor: Tensor) -> int:
        place = self._places[id(tensor)] = len(self._record.values)
        self._record.values.append(tensor)
        return place

    def _place(self, tensor: Tensor) -> int:
        known = self._places.get(id(tensor))
        if id(tensor) in self._stale:
            raise RuntimeError("a tensor is read whose values were written through another one")
        if known is None:
            memory = _memory(tensor)
            known = self._input_memory.get(memory, self._memory.get(memory))
        return self._add(tensor) if known is None else known

    def _referred(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return Ref(self._place(value))
        if isinstance(value, (list, tuple)):
            return [self._referred(each) for each in value]
        return value


def _memory(tensor: Tensor) -> tuple[object, ...]:
    return (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _bound(schema: Any, args: Any, kwargs: Any) -> Iterator[tuple[Any, Any]]:
    for index, argument in enumerate(schema):
        if index < len(args):
            yield argument, args[index]
        else:
            yield argument, kwargs.get(argument.name, argument.default_value)


def _filled(value: Any, values: Callable[[int], Tensor]) -> Any:
    if isinstance(value, Ref):
        return values(value.index)
    if isinstance(value, (list, tuple)):
        return [_filled(each, values) for each in value]
    return value


def tensors_of(value: Any) -> tuple[Tensor, ...]:
    """Return all tensors of nested sequences, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, Mapping):
        value = list(value.values())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, each.name) for each in dataclasses.fields(value)]
    if isinstance(value, (list, tuple)):
        return tuple(tensor for each in value for tensor in tensors_of(each))
    return ()
