import importlib
import sys

import pytest

from search_spaces import SearchSpaceError
from search_spaces.user_code import (
    add_code_folder,
    arguments_for,
    find,
    fingerprint,
    is_own,
    pinned,
    reference_to,
)

SOURCE = """
from {helper} import scale
DEPTH = {depth}
class Base:
    pass
class Net(Base):
    def size(self):
        return scale(DEPTH)
"""
HELPER = "def scale(x):\n    return {factor} * x\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write a module that uses another one, and import it under a name of its own."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = []

    def make(name, *, depth=2, factor=3):
        folder = tmp_path / name
        folder.mkdir()
        helper = "own_helper"
        (folder / "own_net.py").write_text(SOURCE.format(helper=helper, depth=depth))
        (folder / f"{helper}.py").write_text(HELPER.format(factor=factor))
        for module in ("own_net", helper):
            sys.modules.pop(module, None)
        sys.path[:] = [path for path in sys.path if not path.startswith(str(tmp_path))]
        add_code_folder(folder)
        made.append(folder)
        return importlib.import_module("own_net")

    yield make
    for module in ("own_net", "own_helper"):
        sys.modules.pop(module, None)


def test_a_name_of_own_code_has_a_colon():
    assert is_own("my_model:Net")
    assert not is_own("resnet20")


def test_the_same_code_has_the_same_hash_wherever_it_lies(own):
    assert fingerprint(own("first").Net) == fingerprint(own("second").Net)


@pytest.mark.parametrize("change", [{"depth": 5}, {"factor": 4}])
def test_a_constant_or_a_function_of_another_module_changes_the_hash(own, change):
    assert fingerprint(own("first").Net) != fingerprint(own("second", **change).Net)


def test_a_base_class_and_a_comment_in_it_change_the_hash(own, tmp_path):
    before = fingerprint(own("first").Net)
    module = own("second")
    source = (tmp_path / "second" / "own_net.py").read_text()
    (tmp_path / "second" / "own_net.py").write_text(source.replace("pass", "pass  # changed"))
    importlib.reload(module)
    assert fingerprint(module.Net) != before


def test_a_name_with_the_hash_of_other_code_is_refused_with_the_remedy(own):
    own("first")
    name = pinned("own_net:Net")
    assert find(name).__name__ == "Net"
    own("second", factor=9)
    with pytest.raises(SearchSpaceError, match=r"its code is not what it was .*--fresh"):
        find(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my model:Net", "no name of own code; write it as module:attribute"),
        ("no_such_module_anywhere:Net", "put no_such_module_anywhere.py beside the study"),
        ("json:NoSuch", "json has no NoSuch"),
    ],
)
def test_what_cannot_be_found_is_said_by_name(name, message):
    with pytest.raises(SearchSpaceError, match=message):
        find(name)


def test_a_module_that_fails_says_how(own, tmp_path):
    own("first")
    (tmp_path / "first" / "own_broken.py").write_text("1 / 0")
    with pytest.raises(SearchSpaceError, match="importing own_broken fails: ZeroDivisionError"):
        find("own_broken:Net")


def test_a_function_of_c_has_no_hash_of_its_source(own):
    module = own("first")
    module.built_in = len
    assert len(fingerprint(module.built_in)) == 12


def test_an_imported_class_is_named_by_its_module(own):
    assert reference_to(own("first").Net) == ("own_net:Net", None)


def test_what_workers_cannot_import_is_refused():
    class Local:
        pass

    with pytest.raises(SearchSpaceError, match="move it to a module's top level"):
        reference_to(Local)
    with pytest.raises(SearchSpaceError, match="give the class or the function"):
        reference_to(Local())


def test_the_running_script_is_named_by_its_file(monkeypatch, tmp_path):
    main = type(sys)("__main__")
    main.__file__ = str(tmp_path / "my_script.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    made = type("Net", (), {"__module__": "__main__", "__qualname__": "Net"})
    assert reference_to(made) == ("my_script:Net", tmp_path)


def test_only_what_a_function_takes_is_handed_over():
    offered = {"num_classes": 3, "input_shape": (1, 8, 8)}
    assert arguments_for(lambda num_classes=10: None, offered) == {"num_classes": 3}
    assert arguments_for(lambda: None, offered) == {}
    with pytest.raises(SearchSpaceError, match="needs depth; what it may take is num_classes"):
        arguments_for(lambda depth: None, offered)
