import json

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from growsearch.errors import UsageError
from growsearch.export.sparse_weights import KEY, decode, encode, plain_bytes, read_weights, save
from growsearch.kinds.network_bounds import memory_bytes

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


def _file(folder, tensors, about):
    path = folder / "weights.safetensors"
    metadata = {KEY: about if isinstance(about, str) else json.dumps(about)}
    safetensors.torch.save_file(tensors, path, metadata=metadata)
    return path


VALUES = {"w.values": torch.tensor([1.0, 2.0])}
INDICES = VALUES | {"w.indices": torch.tensor([0, 5], dtype=torch.int32)}
MASK = VALUES | {"w.mask": torch.tensor([0b10000001], dtype=torch.uint8)}


def test_the_two_forms_are_read_as_they_were_written_by_hand(tmp_path):
    indices = read_weights(_file(tmp_path, INDICES, {"w": {"shape": [2, 4], "form": "indices"}}))
    assert indices["w"].tolist() == [[1, 0, 0, 0], [0, 2, 0, 0]]
    mask = read_weights(_file(tmp_path, MASK, {"w": {"shape": [8], "form": "mask"}}))
    assert mask["w"].tolist() == [1, 0, 0, 0, 0, 0, 0, 2]


@pytest.mark.parametrize(
    ("tensors", "about", "words"),
    [
        (INDICES, {"shape": [10**12], "form": "indices"}, "more than 2,147,483,647 entries"),
        (INDICES, {"shape": [10**6, 10**6], "form": "indices"}, "more than 2,147,483,647"),
        (INDICES, {"shape": [1] * 9, "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": [-8], "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": [-2, -4], "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": [8.0], "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": [True, 8], "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": "8", "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": 8, "form": "indices"}, "no list of sizes"),
        (INDICES, {"shape": [8], "form": "hole"}, "unknown form"),
        (INDICES, {"shape": [8]}, "form"),
        (INDICES, {"shape": [5], "form": "indices"}, "do not rise from 0 to below 5"),
        (INDICES, {"shape": [0], "form": "indices"}, "do not rise from 0 to below 0"),
        (MASK, {"shape": [10**9], "form": "mask"}, "a mask of \\(1,\\) for 1000000000"),
        (MASK, {"shape": [7], "form": "mask"}, "2 values for 1 places"),
        (INDICES, {"shape": [8], "form": "mask"}, "w.mask"),
        (MASK, {"shape": [8], "form": "indices"}, "w.indices"),
    ],
)
def test_sizes_that_a_file_claims_are_bounded_before_anything_is_allocated(
    tensors, about, words, tmp_path
):
    path = _file(tmp_path, tensors, {"w": about})
    with pytest.raises(UsageError, match=rf"weights.safetensors cannot be read .*{words}"):
        read_weights(path)


@pytest.mark.parametrize("places", [[-1, 2], [5, 2], [2, 2], [-2147483648, 0], [2, 8]])
def test_indices_that_do_not_rise_inside_the_tensor_are_refused(places, tmp_path):
    tensors = VALUES | {"w.indices": torch.tensor(places, dtype=torch.int32)}
    with pytest.raises(UsageError, match="do not rise from 0 to below 8"):
        read_weights(_file(tmp_path, tensors, {"w": {"shape": [8], "form": "indices"}}))


@pytest.mark.parametrize(
    "about", ["[", "[1]", "null", "7", '{"w": 3}', '{"w": null}', "[" * 100_000, '{"w": {}}']
)
def test_metadata_that_says_nothing_is_one_message(about, tmp_path):
    with pytest.raises(UsageError, match=r"weights.safetensors cannot be read"):
        read_weights(_file(tmp_path, INDICES, about))


def test_many_tensors_may_together_claim_no_more_than_this_machines_memory(tmp_path):
    count = memory_bytes() // (4 * (2**31 - 1)) + 2
    tensors = {f"{n}.values": torch.zeros(0) for n in range(count)}
    tensors |= {f"{n}.indices": torch.zeros(0, dtype=torch.int32) for n in range(count)}
    about = {str(n): {"shape": [2**31 - 1], "form": "indices"} for n in range(count)}
    with pytest.raises(UsageError, match="more than this machine's memory"):
        read_weights(_file(tmp_path, tensors, about))


def test_shapes_of_another_network_are_refused_before_the_tensors_are_read(tmp_path):
    path = _file(tmp_path, INDICES, {"w": {"shape": [2, 4], "form": "indices"}})
    assert read_weights(path, {"w": (2, 4)})["w"].shape == (2, 4)
    for shapes in ({"w": (4, 2)}, {"w": (8,)}, {}, {"w": (2, 4), "b": (2,)}):
        with pytest.raises(UsageError, match="holds the weights of another network"):
            read_weights(path, shapes)


def test_a_header_that_claims_a_terabyte_is_refused_at_once(tmp_path):
    path = tmp_path / "weights.safetensors"
    _claim(path, 10**12)
    with pytest.raises(UsageError, match="cannot be read"):
        read_weights(path)
    # As much as it claims, in a file of holes: the network does not have it.
    end = _claim(path, 2**30)
    with path.open("r+b") as file:
        file.truncate(end)
    with pytest.raises(UsageError, match=r"another network: w is \(1073741824,\)"):
        read_weights(path, {"w": (8,)})


def _claim(path, count):
    offsets = [0, 4 * count]
    header = json.dumps({"w": {"dtype": "F32", "shape": [count], "data_offsets": offsets}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    return 8 + len(header) + offsets[1]
