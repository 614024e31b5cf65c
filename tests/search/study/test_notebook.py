"""A study in a notebook: its picture and its front, and no text of a run as part of the page."""

import base64
import re

from growsearch import Study


def _study(folder, name="noted"):
    sparse = {"space": "mlp-digits", "transform": "none", "sparsity": [0.5, 0.8], "epochs": 1}
    return Study(
        {
            "name": name,
            "dataset": "digits",
            "subset": 100,
            "trials": {"sparse": {**sparse, "distribution": "erk", "updater": "static"}},
            "objectives": {"accuracy": "maximize", "macs": "minimize"},
            "search": {"trials": 2, "backend": "serial", "sampler": "random"},
        },
        folder,
    )


def test_before_it_has_run_it_says_where_it_will_be(tmp_path):
    html = _study(tmp_path / "<run>")._repr_html_()
    assert "not run yet" in html
    assert "&lt;run&gt;" in html
    assert "<run>" not in html


def test_its_picture_and_its_front_are_there_once_it_has_run(tmp_path):
    study = _study(tmp_path / "run")
    front = study.run()
    html = study._repr_html_()
    assert "2 finished trials" in html
    (picture,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert base64.b64decode(picture).lstrip().startswith(b"<?xml")
    assert all(member.id in html for member in front.members)
    (tmp_path / "run" / "trials.jsonl").write_text("<script>\n{}\n")
    broken = study._repr_html_()
    assert "<script>" not in broken
    assert "trials.jsonl" in broken
