import subprocess
import sys

import pytest

import growsearch


def test_importing_the_package_imports_neither_torch_nor_ray():
    code = "import sys, growsearch; print({'torch', 'ray', 'optuna', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_name_of_the_package_is_there():
    for name in growsearch.__all__:
        assert getattr(growsearch, name) is not None
    assert set(growsearch.__all__) <= set(dir(growsearch))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Studi'"):
        _ = growsearch.Studi
