from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from growsearch.errors import UsageError
from growsearch.search.config.file import load_study, parse_study
from growsearch.search.study.study import Study


@pytest.fixture
def images(tiny: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A study of two classes of small images, in class folders alone."""
    for number, name in enumerate(("dark", "light")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(20):
            level = np.full((8, 8, 3), 120 * number + 4 * index, np.uint8)
            Image.fromarray(level).save(tmp_path / "images" / name / f"{index}.png")
    sparse = {"space": "resnet-digits", "transform": "none", "sparsity": 0.5, "epochs": 1}
    trials = {"sparse": {**tiny["trials"]["sparse"], **sparse}}
    tiny |= {"dataset": "image-folder", "data_dir": str(tmp_path / "images"), "trials": trials}
    tiny["search"] |= {"trials": 1, "sampler": "random"}
    return tiny


def test_the_section_is_read_and_written_as_it_was(images: dict[str, Any]) -> None:
    images["data"] = {
        "image_size": 32,
        "validation": "20%",
        "test": 0.1,
        "layout": "classes",
        "memory": "40%",
        "workers": 2,
    }
    study = parse_study(images)
    assert parse_study(study.to_plain()) == study
    choice = study.data_choice
    assert choice.keys.image_size == (32, 32)
    assert (choice.keys.validation, choice.keys.test, choice.keys.memory) == (0.2, 0.1, 0.4)
    assert choice.loading.workers == 2
    assert choice.keys.copies == 2
    images["data"] = {"image_size": [24, 40], "validation": "val"}
    choice = parse_study(images).data_choice
    assert choice.keys.image_size == (24, 40)
    assert choice.keys.validation == "val"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"image_sise": 3}, ["data.image_sise", "unknown key", "image_size"]),
        ({"image_size": 2}, ["data.image_size", "from 4 to 4,096"]),
        ({"image_size": [3, 4, 5]}, ["data.image_size", "[height, width]"]),
        ({"image_size": True}, ["data.image_size"]),
        ({"validation": "0%"}, ["data.validation", "above 0%"]),
        ({"validation": 2}, ["data.validation", "10%"]),
        ({"validation": "../elsewhere"}, ["data.validation", "below data_dir"]),
        ({"memory": "150%"}, ["data.memory", "150%"]),
        ({"workers": -1}, ["data.workers", "-1"]),
        ({"layout": "flat"}, ["data.layout", "'classes'"]),
    ],
)
def test_a_wrong_key_is_told_with_its_rule(
    images: dict[str, Any], data: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UsageError) as found:
        parse_study({**images, "data": data})
    for word in words:
        assert word in str(found.value)


@pytest.mark.parametrize(
    ("dataset", "key", "there"),
    [
        ("digits", "workers", "it has no such keys"),
        ("digits", "image_size", "it has no such keys"),
        ("my_data:rows", "image_size", "valid for it: workers"),
    ],
)
def test_a_key_without_an_effect_is_refused(
    tiny: dict[str, Any], dataset: str, key: str, there: str
) -> None:
    with pytest.raises(UsageError) as found:
        parse_study({**tiny, "dataset": dataset, "data": {key: 8}})
    assert f"data.{key}: not for {dataset.partition('@')[0]} ({there})" in str(found.value)


def test_a_run_ends_the_same_streamed_or_not_and_is_resumed_either_way(
    images: dict[str, Any], tmp_path: Path
) -> None:
    held = Study(images, tmp_path / "held")
    held.run()
    streamed = Study(
        {**images, "data": {"memory": "0.000001%", "workers": 2}}, tmp_path / "streamed"
    )
    streamed.run()
    assert held.trials[0].finished, held.trials[0].error
    assert held.trials[0].metrics == streamed.trials[0].metrics
    assert any("held in memory" in line for line in held.data_lines)
    assert any("read batch by batch by 2 workers" in line for line in streamed.data_lines)
    written = yaml.safe_load((tmp_path / "held" / "study.yaml").read_text())
    # What was found out is written down.
    assert written["data"] == {"image_size": [8, 8]}
    Study({**images, "data": {"workers": 0}}, tmp_path / "streamed").run()
    with pytest.raises(UsageError, match=r"data\.image_size was"):
        Study({**images, "data": {"image_size": 32}}, tmp_path / "held").run()
    with pytest.raises(UsageError, match=r"data\.test was None and is 0.2"):
        Study({**images, "data": {"test": "20%"}}, tmp_path / "held").run()
    assert load_study(tmp_path / "held" / "study.yaml", run=True).data_choice.keys.image_size
