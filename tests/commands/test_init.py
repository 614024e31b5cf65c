"""A first study from five answers: it is legal, it was tried, and it says what was found out."""

import os
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from growsearch.cli import app
from growsearch.search.config.file import load_study
from growsearch.search.study import first_study as module
from growsearch.search.study.first_study import Answers, first_study

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with images, a network of one's own and its weights."""
    for split, count in (("train", 12), ("val", 4)):
        for number, name in enumerate(("cat", "dog")):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                Image.new("RGB", (16, 12), (80 * number, 10 * k, 90)).save(folder / f"{k}.png")
    (tmp_path / "init_net.py").write_text(textwrap.dedent(NET))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield tmp_path
    sys.modules.pop("init_net", None)


def _init(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def test_defaults_make_a_study_that_is_legal_and_says_what_is_next(place):
    result = _init("--yes")
    assert result.exit_code == 0, result.output
    study = load_study(place / "study.yaml")
    assert study.dataset == "digits"
    assert list(study.objectives) == ["accuracy", "latency[cpu]", "parameters"]
    assert study.search.time_budget == 600
    assert "growsearch search study.yaml" in result.output
    assert "epochs a trial" in result.output
    text = (place / "study.yaml").read_text()
    assert max(map(len, text.splitlines())) <= 90
    assert text.count("#") > 6


def test_a_person_s_images_network_weights_device_and_budget_are_in_it(place):
    import torch

    from search_spaces.user_code import find

    torch.manual_seed(0)
    torch.save(find("init_net:Net")(2).state_dict(), place / "net.pth")
    result = _init(
        *("mine.yaml", "--data", "images", "--network", "init_net:Net", "--weights", "net.pth"),
        *("--max", "parameters=150", "--max", "latency[cpu]=2 ms", "--time", "90 s"),
    )
    assert result.exit_code == 0, result.output
    text = (place / "mine.yaml").read_text()
    plain = yaml.safe_load(text)
    assert plain["data_dir"] == "images"
    assert plain["baselines"][0] == "mine"
    assert set(plain["trials"]) == {"prune", "growth", "sparse"}
    assert plain["trials"]["prune"]["init"] == "net.pth"
    assert "init" not in plain["trials"]["growth"]
    assert plain["trials"]["growth"]["budget"] == {"parameters": {"low": 75, "high": 150}}
    assert plain["constraints"] == {"parameters": {"max": 150}}
    study = load_study(place / "mine.yaml")
    assert study.select.max == {"latency[cpu]": 0.002}
    assert study.search.time_budget == 90
    assert "32 images of 2 classes" in result.output


def test_a_bound_that_the_whole_network_meets_is_no_budget_to_grow_to(place):
    result = _init("--data", "images", "--network", "init_net:Net", "--max", "parameters=500k")
    assert result.exit_code == 0, result.output
    plain = yaml.safe_load((place / "study.yaml").read_text())
    budget = plain["trials"]["growth"]["budget"]["parameters"]
    assert budget["high"] == "70%"
    assert plain["constraints"] == {"parameters": {"max": "500k"}}


def test_the_study_runs_from_another_folder(place, monkeypatch):
    """What it names lies beside it, wherever the command is called."""
    assert _init("sub.yaml", "--data", "images", "--network", "init_net:Net").exit_code == 0
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    study = load_study(place / "sub.yaml")
    assert study.data_dir == place / "images"
    assert study.code_dir == place


def test_own_modules_are_found_where_the_command_was_called(place):
    """Beside the study there may be none: it lies elsewhere, and says where they are."""
    assert _init("studies/sub.yaml", "--data", "images", "--network", "init_net:Net").exit_code == 0
    study = load_study(place / "studies" / "sub.yaml")
    assert study.code_dir == place
    assert study.data_dir == place / "images"


def test_a_kind_that_the_network_cannot_have_is_left_out_and_told(place):
    # One channel and the classifier have more parameters.
    result = _init("--data", "images", "--network", "init_net:Net", "--max", "parameters=20")
    assert result.exit_code == 0, result.output
    assert "No trials of the kind growth: " in result.output
    assert set(yaml.safe_load((place / "study.yaml").read_text())["trials"]) == {"sparse"}


def test_a_network_that_no_kind_can_have_is_refused_with_every_reason(place):
    (place / "init_net.py").write_text(NET.replace("self.conv(x)", "self.conv(x).sort(1).values"))
    result = _init("--data", "images", "--network", "init_net:Net")
    message = str(result.exception)
    assert "cannot be searched. growth: " in message
    assert "sparse: " in message
    assert "channels are mixed" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "imagess"], ["--data", "'imagess'", "no folder and no data set", "MODULE"]),
        (["--data", "cifar10"], ["--data-dir", "cifar10", "folder"]),
        (["--data", "init_net:Net"], ["--network", "MODULE:CLASS"]),
        (["--network", "resnet21"], ["resnet21"]),
        (["--network", "nobody:Net"], ["nobody"]),
        (["--device", "abacus"], ["--device", "'abacus'", "wafer-cs2"]),
        (["--max", "accuracy=90%"], ["--max", "accuracy", "no budget"]),
        (["--max", "latency[wafer-cs2]=2 ms", "--device", "cpu"], ["latency[wafer-cs2]", "cpu"]),
        (["--max", "parameters=lots"], ["parameters", "lots"]),
        (["--time", "soon"], ["--time", "'soon'", "30 min"]),
    ],
)
def test_a_wrong_answer_is_named_with_its_rule_and_nothing_is_written(place, arguments, words):
    result = _init("--yes", *arguments)
    message = result.output + str(result.exception)
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    for word in words:
        assert word in message, message
    assert not (place / "study.yaml").exists()


def test_a_file_that_is_there_is_kept_unless_told(place):
    (place / "study.yaml").write_text("mine")
    result = _init("--yes")
    assert result.exit_code != 0
    assert "--force" in str(result.exception)
    assert (place / "study.yaml").read_text() == "mine"


@settings(deadline=None, max_examples=40)
@given(
    epoch_s=st.floats(1e-4, 1e4),
    minutes=st.integers(1, 600),
)
def test_trials_get_as_long_as_lets_a_dozen_fit(epoch_s, minutes):
    class Need:
        class cost:  # noqa: N801
            pass

    Need.cost.epoch_s = epoch_s
    epochs, told = module._epochs(Answers(time=f"{minutes} min"), [Need])
    assert module._LEAST_EPOCHS <= epochs <= module._MOST_EPOCHS
    fits = minutes * 60 * len(os.sched_getaffinity(0)) / (epochs * epoch_s)
    assert (fits >= module._WANTED_TRIALS) or epochs == module._LEAST_EPOCHS
    assert ("that is few" in told) == (int(fits) < module._WANTED_TRIALS // 2)


def test_large_images_are_read_small_on_a_cpu_and_as_usual_on_an_accelerator(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(6):
            Image.new("RGB", (200 + k, 150), (k, k, k)).save(tmp_path / name / f"{k}.png")
    on_cpu = module._data(Answers(data=str(tmp_path)))
    assert on_cpu.image_size == 64
    assert module._usual_network(on_cpu, "") == "resnet14-bottleneck"
    on_gpu = module._data(Answers(data=str(tmp_path), accelerator=True))
    assert on_gpu.image_size is None
    assert module._usual_network(on_gpu, "") == "mobilenetv2-imagenet"


def test_nothing_is_written_while_it_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = first_study(Answers(), Path("study.yaml"))
    assert "dataset: digits" in found.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["2024", "null", "True", "no", "a b", "ü"])
def test_folders_of_any_name_make_a_study_that_can_be_read(place, name):
    (place / "images").rename(place / name)
    result = _init("--data", name, "--network", "init_net:Net")
    assert result.exit_code == 0, result.output
    assert load_study(place / "study.yaml").data_dir == place / name
