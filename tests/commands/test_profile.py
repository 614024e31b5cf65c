import json

import pytest
import torch
from typer.testing import CliRunner

from cost_models import estimate, load_profile, trace
from cost_models.profiling import building
from growsearch.cli import app
from growsearch.commands import devices
from growsearch.errors import UsageError
from search_spaces import search_space

ARGUMENTS = [
    "profile",
    *("--space", "mlp-digits", "--operators", "20", "--networks", "3", "--validate", "5"),
    *("--minutes", "0.001"),
]


@pytest.fixture(scope="module", autouse=True)
def no_noise_check():
    """It takes seconds, and has tests of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "noise_line", lambda threads: f"checked on {threads} threads")
        yield


def run(out, *changes):
    return CliRunner().invoke(app, [*ARGUMENTS, "-o", str(out), *changes])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("profile") / "cpu.json"
    done = run(out)
    assert done.exit_code == 0, (done.output, done.exception)
    return out, done.output


def test_the_profile_predicts_a_network_of_the_space(made):
    profile = load_profile(made[0])
    space = search_space("mlp-digits")
    work = trace(space.build(space.largest()), space.example_inputs())
    cost = estimate(work, device=profile, batch_size=1, phase="inference")
    assert cost.latency_s > 0
    assert cost.method == "fitted"


def test_the_command_ends_with_predicted_beside_measured_and_a_yardstick(made):
    output = " ".join(made[1].split())
    for part in ("5 networks not fitted on", "this profile", "MACs alone", "repeat noise"):
        assert part in output
    assert output.startswith("checked on 1 threads")
    assert not list(made[0].parent.glob(".*"))


def test_a_stopped_profile_keeps_its_passes_and_the_same_command_goes_on(tmp_path, monkeypatch):
    out = tmp_path / "cpu.json"
    pass_of, passes = building.ProfileRun.run_pass, []

    def stopped(self) -> None:
        if len(passes) == 2:
            raise KeyboardInterrupt
        passes.append(1)
        pass_of(self)

    monkeypatch.setattr(building.ProfileRun, "run_pass", stopped)
    first = run(out, "--minutes", "5")
    assert first.exit_code == 130
    assert "2 passes are kept; run the same command again" in first.output
    assert not out.exists()
    monkeypatch.setattr(building.ProfileRun, "run_pass", pass_of)
    second = run(out)
    assert second.exit_code == 0, second.output
    assert "Going on with 2 passes" in second.output
    assert json.loads(out.read_text())["conditions"]["passes"] >= 3


def test_a_profile_stopped_at_once_has_nothing_to_keep(tmp_path, monkeypatch):
    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building.ProfileRun, "run_pass", stopped)
    done = run(tmp_path / "cpu.json")
    assert (done.exit_code, list(tmp_path.iterdir())) == (130, [])
    assert "nothing was timed yet" in done.output


def test_the_rest_of_another_profile_is_not_gone_on_from(tmp_path):
    out = tmp_path / "cpu.json"
    (tmp_path / ".cpu.json.partial").write_text('{"subjects": ["another"]}')
    done = run(out)
    assert done.exit_code == 0
    assert "Going on" not in done.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--device", "wafer-cs2"], "device = 'wafer-cs2'"),
        (["--device", "cuda-2:4"], "skips the zeros of a pattern; valid: cpu"),
        (["--space", "resnet2"], "--space: unknown search space 'resnet2'"),
        (["--minutes", "0"], "minutes = 0.0: must be above 0"),
        (["--input", "big"], "--input: 'big' is no shape"),
        (["-o", "cpu.yaml"], r"--out: cpu\.yaml must be a file that ends in \.json"),
    ],
)
def test_a_wrong_option_is_one_clear_error(tmp_path, changes, message):
    done = run(tmp_path / "cpu.json", *changes)
    assert isinstance(done.exception, UsageError)
    with pytest.raises(UsageError, match=message):
        raise done.exception


def test_the_number_of_threads_is_left_as_it_was(made):
    before = torch.get_num_threads()
    assert run(made[0].with_name("other.json"), "--threads", str(before + 1)).exit_code == 0
    assert torch.get_num_threads() == before
    assert load_profile(made[0].with_name("other.json")).record.conditions.clock == "wall time"


def test_a_runtime_of_whole_networks_is_profiled_without_operators(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    # Exporting takes seconds a network; torch stands in.
    monkeypatch.setitem(building.EXECUTORS, "onnxruntime", building.EXECUTORS["eager"])
    out = tmp_path / "ort.json"
    options = ["--space", "mlp-digits", "--device", "cpu-onnxruntime", "--networks", "10"]
    options += ["--validate", "5", "--minutes", "0.001", "-o", str(out)]
    done = CliRunner().invoke(app, ["profile", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    found = load_profile(out)
    assert (found.record.operators, found.device.name) == ((), "cpu-onnxruntime")


def test_a_device_that_skips_zeros_is_profiled_with_sparse_networks(tmp_path):
    out = tmp_path / "sparse.json"
    done = run(out, "--device", "cpu-sparse", "--operators", "60")
    assert done.exit_code == 0, (done.output, done.exception)
    record = load_profile(out).record
    kernels = {timed.operator.kernel for timed in record.operators}
    assert kernels == {None, "csr"}
    described = [network.description for network in record.networks]
    assert {each["distribution"] for each in described if "sparsity" in each} <= {"uniform", "erk"}
    sparse = [net for net in record.networks if any(each.nonzeros for each in net.operators)]
    assert len(sparse) == sum("sparsity" in each for each in described) >= 4


def test_help_has_examples():
    done = CliRunner().invoke(app, ["profile", "--help"])
    assert "growsearch profile --space resnet20 -o cpu.json" in " ".join(done.output.split())
