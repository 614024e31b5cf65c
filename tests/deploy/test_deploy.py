"""The files in deploy/ against the schemas of those who read them."""

import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

from growsearch.search.cluster.measuring_node import resource_of, start_command

DEPLOY = Path(__file__).parents[2] / "deploy"
RAY_UP_SCHEMA = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
RAY_JOB_SCHEMA = Path(__file__).with_name("rayjob.schema.json")


def _read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def _schema(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_cluster_of_ray_up_meets_the_schema_that_ray_itself_checks() -> None:
    data, schema = _read("ray-up.yaml"), _schema(RAY_UP_SCHEMA)
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError, match="head_start_commands"):
        jsonschema.validate({**data, "head_start_commands": []}, schema)


def test_every_start_of_ray_up_asks_for_the_token_and_the_dashboard_stays_on_the_head() -> None:
    data = _read("ray-up.yaml")
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in data[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    for command in starts:
        assert "RAY_AUTH_MODE=token" in command
        assert "RAY_AUTH_TOKEN_PATH=" in command
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert data["max_workers"] == len(data["provider"]["worker_ips"])


def test_the_ray_job_meets_the_schema_of_kuberay() -> None:
    data, schema = _read("rayjob.yaml"), _schema(RAY_JOB_SCHEMA)
    jsonschema.validate(data, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "spec": {**data["spec"], "entryPoint": "x"}}, schema)


def test_the_ray_job_has_a_token_a_shared_run_folder_and_a_measuring_node_without_cpus() -> None:
    spec = _read("rayjob.yaml")["spec"]
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    command = shlex.split(spec["entrypoint"])
    out = command[command.index("--out") + 1]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert any(out.startswith(m["mountPath"]) for m in container["volumeMounts"])
    params = cluster["workerGroupSpecs"][1]["rayStartParams"]
    # KubeRay puts the value on a shell's command line.
    (resources,) = shlex.split(params["resources"])
    assert json.loads(resources) == {resource_of("cpu"): 1}
    assert params["num-cpus"] == "0"


def test_the_command_line_of_a_ray_job_is_one_that_growsearch_has(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from growsearch.cli import app

    command = shlex.split(_read("rayjob.yaml")["spec"]["entrypoint"])
    shown = CliRunner().invoke(app, [command[1], "--help"], env={"COLUMNS": "200"}).output
    assert command[0] == "growsearch"
    assert all(part in shown for part in command if part.startswith("--"))


def test_the_readme_names_the_files_and_the_measuring_node() -> None:
    text = (DEPLOY / "README.md").read_text()
    for name in ("ray-up.yaml", "rayjob.yaml", start_command("cpu")):
        assert name in text
