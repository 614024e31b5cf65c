import json

import pytest

from cost_models import ProfileError, load_profile
from cost_models.profiling.profile_file import profile_to_json, record_from_json


@pytest.fixture(scope="module")
def text(profile) -> str:
    return profile_to_json(profile)


def test_a_profile_that_was_written_and_read_predicts_the_same(profile, text, tmp_path):
    path = tmp_path / "cpu.json"
    path.write_text(text)
    again = load_profile(path)
    assert again.record.networks == profile.record.networks
    assert again.record.operators == profile.record.operators
    assert again.record.conditions == profile.record.conditions
    assert again.validation == profile.validation
    first, second = profile.checks, again.checks
    assert [c.predicted_s for c in second] == pytest.approx([c.predicted_s for c in first])


def test_the_file_is_plain_json_with_its_version_its_range_and_its_validation(profile, text):
    data = json.loads(text)
    networks = [network.low_s for network in profile.record.networks]
    assert (data["format"], data["version"]) == ("growsearch latency profile", 1)
    assert data["range"]["latency_s"] == [min(networks), max(networks)]
    assert data["validation"]["profile"]["mape"] == profile.validation.profile.mape
    assert len(data["timings"]) == len(profile.record.operators)


def test_a_file_without_the_fits_scales_is_fitted_anew(profile, text):
    data = json.loads(text) | {"scales": {}}
    assert record_from_json(json.dumps(data)).scales == {}


def changed(text: str, *path, to) -> str:
    data = json.loads(text)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["version"], 2, "version = 2: this growsearch reads 1"),
        (["format"], "latency", 'key "format" must be "growsearch latency profile"'),
        (["conditions", "device"], 3, "conditions.device = '3': must be a name"),
        (["conditions", "batch_size"], 0, r"conditions\.batch_size = '0': .*at least 1"),
        (["conditions", "threads"], True, r"conditions\.threads = 'True'"),
        (["conditions", "phase"], "training", r"conditions\.phase = 'training'"),
        (["timings", 0, "low_s"], 0, r"timings\[0\]\.low_s = '0': must be a number above 0"),
        (["timings", 1, "low_s"], "fast", r"timings\[1\]\.low_s = 'fast'"),
        (["timings", 0, "operator"], 10**6, r"timings\[0\]: operator = '1000000': .*index"),
        (["timings", 0, "halves_s"], [1], r"timings\[0\]\.halves_s = '\[1\]': must be two"),
        (["timings", 0, "halves_s"], [1, 0], r"timings\[0\]\.halves_s = '\[1, 0\]': must be two"),
        (["timings", 0], {"operator": 0}, r"timings\[0\]\.low_s is missing"),
        (["timings", 0, "operator"], True, r"timings\[0\]: operator = 'True': .*index"),
        (["conditions", "minutes"], -1, r"conditions\.minutes = '-1': must be a number above 0"),
        (["conditions", "seed"], 0.5, r"conditions\.seed = '0\.5': must be a whole number"),
        (["conditions", "created"], 2024, r"conditions\.created = '2024': must be a date"),
        (["conditions", "host"], [], r"conditions\.host = '\[\]': must be an object"),
        (["networks", 0, "macs"], True, r"networks\[0\]\.macs = 'True': must be a whole"),
        (
            ["networks", 0, "description"],
            "x",
            r"networks\[0\]\.description = 'x': .*object",
        ),
        (["networks", 0, "operators"], 3, r"networks\[0\]\.operators = '3': must be a list"),
        (["networks", 0, "role"], "test", r"networks\[0\]\.role = 'test': .*calibration"),
        (["networks", 2, "operators", 0], -1, r"networks\[2\]: operator = '-1'"),
        (["networks", 0], 7, r"networks\[0\] = '7': must be an object"),
        (["operators", 0], {}, r"operators\[0\]: not an operator"),
        (["operators"], None, "operators = 'None': must be a list"),
        (["scales"], [], r"scales = '\[\]': must be an object"),
        (["scales"], {"a": "b"}, r"scales\[a\] = 'b': must be a list of numbers"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_its_rule_and_the_remedy(text, path, value, message):
    with pytest.raises(ProfileError, match=f"{message}.*growsearch profile"):
        record_from_json(changed(text, *path, to=value))


@pytest.mark.parametrize("key", ["conditions", "timings", "networks", "operators", "scales"])
def test_a_missing_key_is_named(text, key):
    data = json.loads(text)
    del data[key]
    with pytest.raises(ProfileError, match=f"{key} is missing"):
        record_from_json(json.dumps(data))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe\x00"])
def test_a_file_that_is_no_profile_is_refused_with_its_path(tmp_path, content):
    path = tmp_path / "cpu.json"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match=r"cpu\.json.*growsearch profile"):
        load_profile(path)


def test_a_missing_file_is_refused_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(ProfileError, match=r"cannot read profile .*none\.json: No such file"):
        load_profile(tmp_path / "none.json")


def test_a_profile_with_too_few_networks_is_refused_with_its_path(text, tmp_path):
    path = tmp_path / "cpu.json"
    path.write_text(changed(text, "networks", to=json.loads(text)["networks"][:4]))
    with pytest.raises(ProfileError, match=r"cpu\.json: .*validation networks"):
        load_profile(path)
