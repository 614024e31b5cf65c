"""Mistakes in a study whose messages once named what nobody wrote, or the wrong line."""

from pathlib import Path

import pytest

from growsearch.errors import UsageError
from growsearch.search.config.file import load_study

STUDY = """name: t
dataset: digits
trials:
  sparse: {space: mlp-digits, transform: none, sparsity: 0.5, epochs: 1}
objectives: {accuracy: maximize, macs: minimize}
"""


def message(tmp_path: Path, *changes: tuple[str, str]) -> str:
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_study(file)
    return str(caught.value).removeprefix(str(file))


@pytest.mark.parametrize("key", ["epochs", "distribution", "recipe"])
def test_a_key_left_empty_is_told_by_its_own_name_once(tmp_path: Path, key: str) -> None:
    old = "epochs: 1" if key == "epochs" else "epochs: 1}"
    new = f"{key}: " if key == "epochs" else f"epochs: 1, {key}: }}"
    told = message(tmp_path, (old, new))
    assert told.startswith(f":4: trials.sparse.{key} = None: it is empty; write a value, a list of")
    assert "Categorical" not in told
    assert "Range" not in told


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("objectives", ("macs: minimize", '"latency[gpu9]": minimize')),
        (
            "constraints",
            ("minimize}\n", 'minimize}\nconstraints: {"latency[gpu9]": {max: 1 ms}}\n'),
        ),
    ],
)
def test_a_device_that_is_not_there_is_told_with_its_key_and_line(
    tmp_path: Path, key: str, change: tuple[str, str]
) -> None:
    line = 5 if key == "objectives" else 6
    told = message(tmp_path, change)
    assert told.startswith(f":{line}: {key}.latency[gpu9]: unknown device 'gpu9'; valid: cpu,")
