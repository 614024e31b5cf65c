import json

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.export.sparse_weights import KEY, decode, encode, plain_bytes, read_weights, save

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8) if tensor.ndim else tensor.reshape(1)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 9), min_size=0, max_size=4),
    sparsity=st.sampled_from([0.0, 0.05, 0.5, 0.9, 0.99, 1.0]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_every_tensor_comes_back_to_the_bit(shape, sparsity, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    values = (10 * torch.randn(shape, generator=generator)).to(dtype)
    values = torch.where(torch.rand(shape, generator=generator) < sparsity, 0, values).to(dtype)
    state = {"layer.weight": values, "steps": torch.tensor(3)}
    tensors, metadata = encode(state)
    again = decode(safetensors.torch.load(safetensors.torch.save(tensors)), metadata)
    assert again.keys() == state.keys()
    assert again["layer.weight"].shape == values.shape
    assert again["layer.weight"].dtype == dtype
    assert torch.equal(bits(again["layer.weight"]), bits(values))


def test_a_negative_zero_and_not_a_number_are_values():
    values = torch.zeros(64)
    values[3], values[7] = -0.0, float("nan")
    tensors, metadata = encode({"w": values})
    assert len(tensors["w.values"]) == 2
    assert torch.equal(bits(decode(tensors, metadata)["w"]), bits(values))


def weights(sparsity):
    kept = torch.zeros(40_000)
    kept[: round(40_000 * (1 - sparsity))] = 1.5
    return {"w": kept[torch.randperm(40_000, generator=torch.Generator().manual_seed(0))]}


@pytest.mark.parametrize(
    ("sparsity", "form", "parts"),
    [
        # A bit an entry and four bytes a value; above 31/32, 4 more bytes a value are fewer.
        (0.5, "mask", 20_000 * 4 + 5_000),
        (0.9, "mask", 4_000 * 4 + 5_000),
        (0.95, "mask", 2_000 * 4 + 5_000),
        (0.99, "indices", 400 * 8),
    ],
)
def test_the_file_shrinks_with_sparsity_by_the_count_of_its_bytes(sparsity, form, parts):
    tensors, metadata = encode(weights(sparsity))
    assert json.loads(metadata[KEY])["w"]["form"] == form
    assert plain_bytes(tensors) == parts
    assert len(save(weights(sparsity))) < parts + 400


def test_what_would_hardly_be_smaller_stays_readable_by_everybody():
    tensors, metadata = encode(weights(0.1))
    assert set(tensors) == {"w"}
    assert metadata == {}


def test_a_name_that_the_parts_would_take_stays_plain():
    state = {"w": torch.zeros(100), "w.mask": torch.ones(3)}
    tensors, metadata = encode(state)
    assert torch.equal(decode(tensors, metadata)["w.mask"], state["w.mask"])
    assert torch.equal(tensors["w"], state["w"])


def test_parts_that_do_not_fit_are_refused_with_the_file(tmp_path):
    tensors, metadata = encode(weights(0.9))
    tensors["w.values"] = tensors["w.values"][1:]
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(tensors, path, metadata=metadata)
    with pytest.raises(UsageError, match=r"weights.safetensors cannot be read .*values for"):
        read_weights(path)
