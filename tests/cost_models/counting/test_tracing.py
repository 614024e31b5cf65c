import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.flop_counter import FlopCounterMode

from cost_models import (
    CostModelError,
    DenseWeight,
    UnstructuredWeight,
    UnsupportedLayerError,
    trace,
)
from cost_models.counting.operators import may_hide_macs


class Apply(nn.Module):
    """A module that applies a function to its input and its parameter."""

    def __init__(self, function, *shape: int) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


def test_an_mlp_counted_by_hand_is_exact(mlp):
    work = trace(mlp, (torch.ones(1, 8),))
    assert work.dense_macs == 8 * 6 + 6 * 3
    assert work.parameters == 8 * 6 + 6 + 6 * 3 + 3
    assert [(layer.name, layer.kind) for layer in work.layers] == [("0", "linear"), ("2", "linear")]
    assert work.layers[0].pattern == DenseWeight()
    assert work.layers[0].weight_bytes == 4 * 48
    assert work.layers[0].activation_bytes == 4 * 6


def test_resnet20_on_cifar_counts_convolutions_and_the_classifier_alone(resnet20):
    work = trace(resnet20(), (torch.zeros(1, 3, 32, 32),))
    assert work.dense_macs == 40_813_184
    assert len(work.layers) == 22
    assert work.parameters == 272_474
    assert not any("norm" in name for name in work.uncounted)


def test_a_strided_grouped_convolution_says_what_it_is():
    conv = nn.Conv2d(4, 8, (3, 5), stride=(2, 1), groups=2, padding=(1, 2))
    (layer,) = trace(nn.Sequential(conv), (torch.zeros(1, 4, 8, 6),)).layers
    assert layer.dense_macs == (4 * 6) * 8 * (4 // 2) * 15
    assert (layer.kernel, layer.stride, layer.groups) == ((3, 5), (2, 1), 2)
    assert (layer.input_shape, layer.output_shape) == ((1, 4, 8, 6), (1, 8, 4, 6))


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Conv2d(3, 4, 3, padding="same"), (1, 3, 5, 5), 25 * 4 * 3 * 9),
        (nn.ConvTranspose2d(3, 4, 2, stride=2), (1, 3, 5, 5), 25 * 4 * 3 * 4),
        (nn.Conv1d(3, 4, 3), (1, 3, 10), 8 * 4 * 3 * 3),
        (nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3), 8 * 2 * 8),
        (nn.LSTM(128, 256), (64, 1, 128), 25_165_824),
        (nn.GRU(128, 256), (64, 1, 128), 18_874_368),
        (nn.GRU(128, 256, batch_first=True), (2, 64, 128), 18_874_368),
        (nn.RNN(4, 5, num_layers=2), (7, 1, 4), 7 * (20 + 25 + 25 + 25)),
        (nn.RNN(4, 5, nonlinearity="relu"), (7, 4), 7 * 45),
        (nn.LSTM(4, 5, bidirectional=True, proj_size=2), (7, 1, 4), 7 * 2 * (80 + 40 + 10)),
        (nn.LSTMCell(4, 5), (1, 4), 4 * (20 + 25)),
        (nn.GRUCell(4, 5), (1, 4), 3 * (20 + 25)),
        (nn.RNNCell(4, 5), (1, 4), 20 + 25),
        (nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True), (1, 128, 256), 109_051_904),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_every_layer_kind_has_the_macs_counted_by_hand(module, shape, macs):
    assert trace(module, (torch.zeros(shape),)).dense_macs == macs


def torch_macs(module: nn.Module, *inputs: Tensor) -> int:
    """torch's own counter: another implementation, that sees kernels rather than a graph."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(*inputs)
    return counter.get_total_flops() // 2


def test_resnet20_agrees_with_torchs_own_counter(resnet20):
    network, example = resnet20(), torch.zeros(1, 3, 32, 32)
    assert trace(network, (example,)).dense_macs == torch_macs(network, example)


@settings(max_examples=25, deadline=None)
@given(
    groups=st.integers(1, 3),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    transposed=st.booleans(),
)
def test_any_convolution_agrees_with_torchs_own_counter(
    groups, inputs, outputs, kernel, stride, dilation, transposed
):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(groups * inputs, groups * outputs, kernel, stride, groups=groups, dilation=dilation)
    example = torch.zeros(1, groups * inputs, 7, 6)
    assert trace(conv, (example,)).dense_macs == torch_macs(conv, example)


@pytest.mark.parametrize("weights", [True, False])
def test_multihead_attention_is_counted_with_and_without_its_weights(weights):
    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(256, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x, need_weights=weights)[0]

    work = trace(Attend(), (torch.zeros(1, 128, 256),))
    assert work.dense_macs == 4 * 128 * 256 * 256 + 2 * 128 * 128 * 256


def test_attention_with_fewer_keys_than_queries_counts_each_pair_once():
    class Attend(nn.Module):
        def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(query, key, value)

    inputs = (torch.zeros(2, 4, 5, 8), torch.zeros(2, 4, 3, 8), torch.zeros(2, 4, 3, 6))
    (layer,) = trace(Attend(), inputs).layers
    assert (layer.kind, layer.dense_macs) == ("attention", 4 * 5 * 3 * (8 + 6))


@pytest.mark.parametrize(
    ("query", "key"),
    [((1, 2, 3, 8), (4, 2, 5, 8)), ((1, 1, 3, 8), (4, 2, 5, 8)), ((3, 8), (4, 2, 5, 8))],
)
def test_a_query_that_broadcasts_over_the_batch_is_divided_by_the_batch_once(query, key):
    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.ones(query))

        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(self.query, x, x)

    (layer,) = trace(Attend(), (torch.zeros(key),)).layers
    assert layer.dense_macs == 2 * 3 * 5 * (8 + 8)


def test_keys_that_broadcast_or_serve_several_heads_are_counted_for_each_query():
    class Attend(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            one = F.scaled_dot_product_attention(x, x[:1, :1], x[:1, :1])
            return one + F.scaled_dot_product_attention(x, x[:, :2], x[:, :2], enable_gqa=True)

    layers = trace(Attend(), (torch.zeros(4, 6, 5, 8),)).layers
    assert [layer.dense_macs for layer in layers] == [6 * 5 * 5 * 16] * 2


@pytest.mark.parametrize(
    ("function", "weight", "macs", "kind"),
    [
        (lambda x, w: x @ w, (6, 5), 4 * 6 * 5, "linear"),
        (lambda x, w: x @ w.t(), (5, 6), 4 * 6 * 5, "linear"),
        (lambda x, w: torch.einsum("bti,io->bto", x, w), (6, 5), 4 * 6 * 5, "linear"),
        (lambda x, w: torch.bmm(x, x.transpose(1, 2)) * w, (1,), 4 * 6 * 4, "matmul"),
        (lambda x, w: torch.baddbmm(w, x, x.transpose(1, 2)), (1, 4, 4), 4 * 6 * 4, "matmul"),
        (lambda x, w: torch.einsum("bti,bsi->bts", x, x) * w, (1,), 4 * 4 * 6, "matmul"),
        (lambda x, w: x[0, 0].dot(w), (6,), 6, "linear"),
        (lambda x, w: x[0].mv(w), (6,), 24, "linear"),
        (lambda x, w: torch.addmm(w[0], x[0], w), (6, 5), 120, "linear"),
    ],
)
def test_a_product_is_a_layer_when_one_factor_is_a_parameter(function, weight, macs, kind):
    work = trace(Apply(function, *weight), (torch.zeros(1, 4, 6),))
    assert work.dense_macs == macs
    assert [layer.kind for layer in work.layers] == [kind]


def test_zeros_in_the_weights_are_read_off_exactly():
    conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.fill_(1.0)[:3] = 0.0
    work = trace(conv, (torch.zeros(1, 2, 5, 5),))
    (layer,) = work.layers
    assert layer.effective_macs == 25 * 18
    assert layer.density == 0.25
    assert layer.pattern == UnstructuredWeight(0.75)
    assert (work.parameters, work.nonzero_parameters) == (72, 18)


def test_zeros_in_recurrent_weights_are_read_off():
    rnn = nn.RNN(4, 5, bias=False)
    with torch.no_grad():
        rnn.weight_ih_l0.zero_()
    assert trace(rnn, (torch.zeros(7, 1, 4),)).effective_macs == 7 * 25


def test_a_mask_applied_in_the_forward_pass_is_seen():
    layer = nn.Linear(4, 4)
    prune.l1_unstructured(layer, "weight", amount=0.5)
    work = trace(nn.Sequential(layer), (torch.zeros(1, 4),))
    assert work.effective_macs == 8
    masked = Apply(lambda x, w: F.linear(x, w * torch.tensor([[1.0, 0.0], [0.0, 0.0]])), 2, 2)
    assert trace(masked, (torch.zeros(1, 2),)).effective_macs == 1


def test_a_parametrised_weight_is_read_as_it_is_used():
    class Half(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight * (torch.arange(weight.shape[1]) % 2)

    layer = nn.Linear(8, 8)
    parametrize.register_parametrization(layer, "weight", Half())
    work = trace(nn.Sequential(layer), (torch.zeros(1, 8),))
    assert (work.dense_macs, work.effective_macs) == (64, 32)
    assert (work.parameters, work.nonzero_parameters) == (72, 40)


def test_a_weight_shared_with_an_embedding_is_stored_once():
    network = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 10, bias=False))
    network[1].weight = network[0].weight
    work = trace(network, (torch.zeros(1, 3, dtype=torch.long),))
    assert (work.dense_macs, work.parameters) == (3 * 40, 40)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_a_packed_sequence_costs_its_real_steps_alone(kind, gates):
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = kind(4, 5, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            packed = pack_padded_sequence(x, torch.tensor([3, 1]), batch_first=True)
            return self.recurrent(packed)[0].data

    assert trace(Packed(), (torch.zeros(2, 3, 4),)).dense_macs == 4 // 2 * gates * (20 + 25)


def test_macs_are_those_of_one_example_whatever_the_batch(resnet20):
    network = resnet20()
    one, four = (trace(network, (torch.zeros(n, 3, 32, 32),)) for n in (1, 4))
    assert four.dense_macs == one.dense_macs
    assert (one.batch, four.batch) == (1, 4)


def test_a_weight_used_twice_is_computed_twice_and_stored_once():
    layer = nn.Linear(4, 4)
    work = trace(nn.Sequential(layer, layer), (torch.zeros(1, 4),))
    assert work.dense_macs == 32
    assert work.parameters == 20
    assert [each.parameters for each in work.layers] == [20, 0]
    assert [each.weight_elements for each in work.layers] == [16, 16]


def test_parameters_outside_counted_layers_are_counted_too():
    network = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    work = trace(network, (torch.zeros(1, 3, dtype=torch.long),))
    assert work.parameters == 40 + 10
    assert work.dense_macs == 3 * 8
    assert work.uncounted == {"aten::embedding": 1}


def test_an_embedding_row_of_zeros_is_not_a_nonzero_parameter():
    network = nn.Embedding(10, 4, padding_idx=0)
    assert trace(network, (torch.zeros(1, 3, dtype=torch.long),)).nonzero_parameters == 36


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x, w: torch.fft.fft(x).real, "fft_fft"),
        (lambda x, w: torch.cdist(x, x), "cdist"),
        (lambda x, w: torch.linalg.inv(x @ x.mT + torch.eye(4)), "linalg_inv"),
        (lambda x, w: F.bilinear(x, x, w), "bilinear"),
        (lambda x, w: torch.tensordot(x, w, dims=1), "tensordot"),
    ],
)
def test_an_operator_that_may_hide_macs_stops_the_count_by_name(function, name):
    weight = {"bilinear": (2, 6, 6), "tensordot": (6, 2)}.get(name, (1,))
    with pytest.raises(UnsupportedLayerError, match=name):
        trace(Apply(function, *weight), (torch.zeros(1, 4, 6),))


def test_a_custom_autograd_function_stops_the_count_by_name():
    class Secret(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            return x @ x.mT

    class Module(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Secret.apply(x)

    with pytest.raises(UnsupportedLayerError, match="Secret"):
        trace(Module(), (torch.zeros(2, 2),))


@pytest.mark.parametrize(
    "operator",
    [
        "aten::quantized_lstm",
        "aten::conv_tbc",
        "aten::addr",
        "aten::addmv_",
        "aten::slogdet",
        "aten::geqrf",
        "aten::nuclear_norm",
        "aten::affine_grid_generator",
        "mine::relu",
        "prim::PythonOp.F",
    ],
)
def test_an_operator_may_hide_macs_by_its_name_or_by_being_foreign(operator):
    assert may_hide_macs(operator)


@pytest.mark.parametrize(
    "operator",
    [
        "aten::gelu",
        "aten::celu_",
        "aten::leaky_relu_",
        "aten::softmax",
        "aten::linspace",
        "aten::upsample_bilinear2d",
        "aten::_weight_norm",
        "aten::addcmul",
        "aten::cumsum",
        "aten::index_add",
    ],
)
def test_elementwise_operators_hide_no_macs(operator):
    assert not may_hide_macs(operator)


def test_normalising_a_vector_is_no_macs():
    work = trace(Apply(lambda x, w: F.normalize(x) * w, 6), (torch.zeros(1, 6),))
    assert work.dense_macs == 0
    assert work.uncounted


def test_upsampling_and_pooling_are_no_macs():
    network = nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear"))
    work = trace(network, (torch.zeros(1, 1, 4, 4),))
    assert work.dense_macs == 0
    assert work.layers == ()


def test_tracing_leaves_no_trace_in_the_module(resnet20):
    network = resnet20().train()
    network[3].eval()
    seen = []
    network.register_forward_hook(lambda *_: seen.append(1))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state, modes = copy.deepcopy(network.state_dict()), [m.training for m in network.modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()]
    random = torch.get_rng_state()
    fast_path = torch.backends.mha.get_fastpath_enabled()

    trace(network, (torch.randn(2, 3, 32, 32, generator=torch.Generator()),))

    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert [m.training for m in network.modules()] == modes
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()] == hooks
    assert torch.equal(torch.get_rng_state(), random)
    assert all(bool((parameter.grad == 1).all()) for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert torch.backends.mha.get_fastpath_enabled() == fast_path


def test_a_module_that_writes_and_then_fails_is_put_back():
    class Faulty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            torch.rand(1)
            raise RuntimeError("out of cheese")

    module, random = Faulty(), torch.get_rng_state()
    with pytest.raises(CostModelError, match="out of cheese"):
        trace(module, (torch.zeros(1, 2),))
    assert module.calls.item() == 0
    assert module.training
    assert not module._forward_hooks
    assert not module._forward_pre_hooks
    assert torch.equal(torch.get_rng_state(), random)


def test_the_example_input_is_not_written_to():
    example = -torch.ones(1, 2)
    trace(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 2)), (example,))
    assert torch.equal(example, -torch.ones(1, 2))


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_a_compressed_weight_is_refused_with_the_remedy():
    layer = nn.Linear(4, 4)
    layer.weight = nn.Parameter(layer.weight.detach().to_sparse_csr())
    with pytest.raises(UnsupportedLayerError, match=r"weight has layout .*to_dense"):
        trace(layer, (torch.zeros(1, 4),))


@pytest.mark.parametrize("inputs", [torch.zeros(1, 8), (), [torch.zeros(1, 8)], (3,)])
def test_inputs_that_are_no_tuple_of_tensors_are_refused(mlp, inputs):
    with pytest.raises(CostModelError, match="tuple of tensors"):
        trace(mlp, inputs)


def test_a_lazy_module_is_refused_with_the_remedy():
    with pytest.raises(CostModelError, match="run the lazy module once"):
        trace(nn.Sequential(nn.LazyLinear(3)), (torch.zeros(1, 8),))


def test_tracing_twice_gives_the_same_workload(mlp):
    assert trace(mlp, (torch.zeros(1, 8),)) == trace(mlp, (torch.zeros(1, 8),))
