import copy

import pytest
import torch
from torch import Tensor, nn

from cost_models import CostModelError, trace
from cost_models.counting.module_state import untouched


class Careless(nn.Module):
    """Everything about it changes in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("steps", torch.zeros(1))
        self.calls, self.seen = 0, None

    def train(self, mode: bool = True) -> "Careless":
        # What adapters do that are merged into their weights for inference.
        if not mode:
            self.inner.weight.data *= 2
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen = self.inner(x)
        self.steps += 1
        self.inner.weight.data.clamp_(-0.01, 0.01)
        self.inner.bias.data = torch.zeros(4)
        self.inner.bias.requires_grad_(False)
        self.extra = nn.Parameter(torch.ones(2))
        self.register_buffer("late", torch.ones(2))
        self.inner.register_forward_hook(lambda *_: None)
        self.inner.register_full_backward_hook(lambda *_: None)
        self.register_state_dict_pre_hook(lambda *_: None)
        self.inner.weight.grad = torch.ones(4, 4)
        return self.seen


def facts(module: nn.Module) -> dict[str, object]:
    hooks = {
        f"{path}.{name}": len(value)
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if name.endswith("_hooks") or name.endswith("always_called")
    }
    return {
        "hooks": hooks,
        "names": sorted(module.state_dict()),
        "modules": [path for path, _ in module.named_modules()],
        "modes": [part.training for part in module.modules()],
        "wanted": {name: p.requires_grad for name, p in module.named_parameters()},
        "attributes": sorted(vars(module)),
        "calls": module.calls,
        "seen": module.seen,
        "gradients": {name: p.grad for name, p in module.named_parameters()},
    }


def test_tracing_puts_everything_back_that_a_forward_pass_changes():
    module = Careless()
    module.inner.eval()
    before, state = facts(module), copy.deepcopy(module.state_dict())
    weight, memory = module.inner.weight, module.inner.bias.data_ptr()
    trace(module, (torch.ones(1, 4),))
    assert facts(module) == before
    assert module.inner.weight is weight
    assert module.inner.bias.data_ptr() == memory
    assert all(torch.equal(module.state_dict()[name], value) for name, value in state.items())


def test_what_is_put_back_does_not_depend_on_whether_the_trace_succeeds():
    module = Careless()
    before, state = facts(module), copy.deepcopy(module.state_dict())
    with pytest.raises(CostModelError, match="mat1 and mat2"):
        trace(module, (torch.ones(1, 3),))
    assert facts(module) == before
    assert all(torch.equal(module.state_dict()[name], value) for name, value in state.items())


def test_a_trace_between_forward_and_backward_disturbs_neither():
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight[0] = float("nan")
    inputs = torch.ones(1, 2, requires_grad=True)
    outputs = module(inputs)
    trace(module, (torch.ones(1, 2),))
    outputs.sum().backward()
    assert torch.equal(module.weight.grad, torch.ones(2, 2))


def test_a_hook_that_was_there_stays_with_its_place_among_the_others():
    module, heard = nn.Linear(2, 2), []
    module.register_forward_hook(lambda *_: heard.append("first"))
    module.register_forward_pre_hook(lambda *_: heard.append("before"), prepend=True)
    trace(module, (torch.ones(1, 2),))
    heard.clear()
    module(torch.ones(1, 2))
    assert heard == ["before", "first"]


def test_a_module_without_memory_and_an_inference_tensor_are_looked_at_too():
    with torch.device("meta"):
        shapes = nn.Linear(2, 3)
    with untouched(shapes) as looked_at:
        assert looked_at(torch.empty(1, 2, device="meta")).shape == (1, 3)
    with torch.inference_mode():
        frozen = nn.BatchNorm1d(2)
    with untouched(frozen) as looked_at, torch.inference_mode():
        assert looked_at(torch.ones(1, 2)).shape == (1, 2)
    with untouched(nn.LazyLinear(2)) as lazy:
        assert lazy(torch.ones(1, 3)).shape == (1, 2)
    assert shapes.training
    assert frozen.training


class Writing(nn.Module):
    """Writes what it computes into two buffers, of which one is a view."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("whole", torch.zeros(3))
        self.register_buffer("part", torch.zeros(2, 3)[0])

    def forward(self, x):
        out = self.layer(x)
        self.whole.add_(out.mean(0))
        self.part.add_(out.mean(0))
        return out


def test_buffers_that_a_call_wrote_results_into_have_their_values_and_no_history():
    module = Writing()
    with untouched(module), torch.enable_grad():
        module(torch.ones(2, 3))
        assert module.whole.grad_fn is not None
    assert module.whole.tolist() == module.part.tolist() == [0, 0, 0]
    assert module.whole.grad_fn is None
    assert not module.whole.requires_grad
