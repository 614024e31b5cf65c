import copy

import torch
from torch.nn import functional as F

from growsearch.sparsity import Masks, sparsify


def steps(model, forward, masks, count):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    inputs = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(8) % 3
    losses = []
    for step in range(count):
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(inputs), labels)
        loss.backward()
        optimizer.step()
        masks.apply()
        if step == 2:
            masks.set("conv2.weight", masks["conv2.weight"].roll(1, dims=0))
        masks.check()
        losses.append(float(loss.detach()))
    return losses


def test_masks_survive_torch_compile_without_recompiling(tiny, generator):
    eager = tiny()
    sparsify(eager, sparsity=0.5, generator=generator)
    compiled = copy.deepcopy(eager)
    torch.compiler.reset()
    # Tracing and guards are the same for every backend; this one needs no C++ compiler.
    forward = torch.compile(compiled, backend="eager")
    start = copy.deepcopy(compiled.state_dict())
    steps(compiled, forward, Masks.of(compiled), 1)
    compiled.load_state_dict(start)
    with torch.compiler.set_stance("fail_on_recompile"):
        losses = steps(compiled, forward, Masks.of(compiled), 5)
    expected = steps(eager, eager, Masks.of(eager), 5)
    assert torch.allclose(torch.tensor(losses), torch.tensor(expected))
    assert Masks.of(forward).zeros == Masks.of(compiled).zeros == 96
    for name in Masks.of(eager):
        assert torch.equal(Masks.of(eager)[name], Masks.of(compiled)[name])
