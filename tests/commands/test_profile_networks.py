import pytest
import torch

from growsearch.commands.profile_networks import NARROWEST, SpaceNetworks
from growsearch.errors import UsageError
from growsearch.kinds import Network
from search_spaces import channel_groups, search_space


def networks(*names, **options) -> SpaceNetworks:
    return SpaceNetworks.named(names, **options)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_generator_draws_the_same_networks_with_the_same_weights():
    first, second = (networks("resnet-digits").draw(generator()) for _ in range(2))
    assert first.name == second.name
    for one, other in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_drawing_leaves_torchs_own_random_numbers_alone():
    before = torch.get_rng_state()
    networks("mlp-digits").draw(generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_drawn_network_runs_on_its_inputs_and_can_be_built_again():
    drawn = networks("resnet-digits", batch_size=3).draw(generator())
    with torch.no_grad():
        assert drawn.module(*drawn.inputs).shape == (3, 10)
    network = Network.from_json(drawn.description)
    assert network.hash == drawn.name
    again = network.build()
    shapes = [tuple(p.shape) for p in drawn.module.parameters()]
    assert [tuple(p.shape) for p in again.parameters()] == shapes


def test_networks_are_of_many_sizes_from_narrow_to_wider_than_the_space():
    source, draw = networks("mlp-digits", widest=4.0), generator()
    widths = [group.size for _ in range(60) for group in channel_groups(source.draw(draw).module)]
    full = search_space("mlp-digits").full_widths()["hidden0"]
    assert min(widths) < NARROWEST * full / 4
    assert full < max(widths) <= 4 * full


def test_networks_come_from_every_space():
    source, draw = networks("mlp-digits", "resnet-digits"), generator()
    drawn = {source.draw(draw).description["space"] for _ in range(20)}
    assert drawn == {"mlp-digits", "resnet-digits"}
    assert source.description["spaces"] == ["mlp-digits", "resnet-digits"]


def test_some_networks_are_transformed_and_all_can_be_built_again():
    source = networks("mlp-digits", transforms=["sparse_parallel", "sparse_wide"])
    draw = generator()
    drawn = [source.draw(draw) for _ in range(12)]
    found = {(each.description["transform"] or {"name": None})["name"] for each in drawn}
    assert found == {None, "sparse_parallel", "sparse_wide"}
    for each in drawn:
        Network.from_json(each.description).build().load_state_dict(each.module.state_dict())
    assert source.description["transforms"] == ["sparse_parallel", "sparse_wide"]


def test_a_transform_that_fits_no_network_is_said_after_some_draws(monkeypatch):
    def refuse(*_):
        raise UsageError("it does not fit")

    monkeypatch.setattr(Network, "build", refuse)
    with pytest.raises(UsageError, match="it does not fit"):
        networks("mlp-digits").draw(generator())


def test_another_input_shape_replaces_the_spaces_own():
    drawn = networks("resnet20", input_shape="1x8x8").draw(generator())
    assert drawn.inputs[0].shape == (1, 1, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ("resnet2",)}, "--space: unknown search space 'resnet2'"),
        ({"transforms": ["shrink"]}, "--transform: unknown 'shrink'; valid: sparse_wide"),
        ({"widest": 0.1}, "--widest: 0.1 must be above 0.25"),
        ({"input_shape": "8,8"}, "--input: '8,8' is no shape; write for example 3x32x32"),
        ({"input_shape": "0x8"}, "--input: '0x8' is no shape"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(options, message):
    names = options.pop("names", ("mlp-digits",))
    with pytest.raises(UsageError, match=message):
        networks(*names, **options)


def test_an_own_network_is_drawn_from_once_its_input_is_known(tmp_path, monkeypatch):
    (tmp_path / "profiled_net.py").write_text(
        "from torch import nn\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)\n"
        "        self.head = nn.Linear(6, num_classes)\n\n"
        "    def forward(self, x):\n"
        "        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="--input: profiled_net:Net is your own"):
        networks("profiled_net:Net")
    source = networks("profiled_net:Net", input_shape="3x8x8")
    drawn = source.draw(torch.Generator().manual_seed(0))
    assert drawn.module(*drawn.inputs).shape[0] == 1
    widths = {
        source.draw(torch.Generator().manual_seed(seed)).module.conv.out_channels
        for seed in range(8)
    }
    assert len(widths) > 2
