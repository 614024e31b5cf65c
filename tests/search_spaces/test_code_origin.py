"""Which names in a file are imported? Nothing runs that no person has named."""

import importlib
import itertools
import sys
from pathlib import Path

import pytest

from search_spaces import SearchSpaceError
from search_spaces.code_origin import FOUND_HERE, CodeOfRun
from search_spaces.user_code import add_code_folder, fingerprint, pinned

SOURCE = """
import functools
import os
import subprocess
from os import abort
from json import JSONDecoder
from {helper} import Helped
from growsearch.datasets import digits

open({mark!r}, "a").close()

class Net:
    class Inner:
        pass

def make():
    return Net()

def wipe():
    open({mark!r} + ".called", "a").close()

partial = functools.partial(Net)
foreign = functools.partial(os.getpid)
pair = ([1.0], [0])
"""

_numbers = itertools.count()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a module of its own name, that name, and the mark of its import."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    folder = tmp_path / "code"
    folder.mkdir()
    name, helper = (f"origin_{part}_{next(_numbers)}" for part in ("net", "helper"))
    mark = tmp_path / "imported"
    (folder / f"{helper}.py").write_text("class Helped:\n    pass\n")
    (folder / f"{name}.py").write_text(SOURCE.format(helper=helper, mark=str(mark)))
    yield folder, name, mark
    for each in set(sys.modules) - before:
        if each.startswith("origin_"):
            del sys.modules[each]


def _named(folder: Path, name: str, attribute: str) -> str:
    """The name as a run holds it, as if it had been pinned where the run was made."""
    add_code_folder(folder)
    found = importlib.import_module(name)
    for part in attribute.split("."):
        found = getattr(found, part)
    return f"{name}:{attribute}@{fingerprint(found)}"


def test_a_name_of_a_registry_is_no_code():
    for names in (FOUND_HERE, CodeOfRun(), CodeOfRun(Path("anywhere"))):
        names.check("resnet20")


@pytest.mark.parametrize("name", ["http.server:test", "os:abort", "os:abort@0123456789ab", "a:b"])
def test_without_a_folder_nothing_that_a_run_names_is_imported(name):
    sys.modules.pop("http.server", None)
    for check in (CodeOfRun().check, CodeOfRun().check_data):
        with pytest.raises(SearchSpaceError, match=r"read it, then give its folder with --code"):
            check(name)
    assert "http.server" not in sys.modules


@pytest.mark.parametrize("name", ["os:abort", "os:abort@0123456789ab", "json:JSONDecoder@x"])
def test_a_library_is_not_in_the_folder_whatever_the_run_says(name, own):
    folder, _, _ = own
    with pytest.raises(SearchSpaceError, match=r"not in|no hash"):
        CodeOfRun(folder).check(name)


@pytest.mark.parametrize("attribute", ["Net", "make", "Net.Inner", "partial", "Helped"])
def test_what_the_folder_holds_is_found_by_its_hash(attribute, own):
    folder, module, _ = own
    CodeOfRun(folder).check(_named(folder, module, attribute))


@pytest.mark.parametrize("hash_", ["", "@", "@zzzzzzzzzzzz", "@0123456789ab0"])
def test_a_name_without_a_hash_is_refused_before_anything_is_imported(hash_, own):
    folder, module, mark = own
    with pytest.raises(SearchSpaceError, match="no hash"):
        CodeOfRun(folder).check(f"{module}:Net{hash_}")
    assert not mark.exists()


def test_another_hash_is_refused_with_both(own):
    folder, module, _ = own
    with pytest.raises(SearchSpaceError, match=r"not what it was \(0123456789ab then"):
        CodeOfRun(folder).check(f"{module}:Net@0123456789ab")


@pytest.mark.parametrize("attribute", ["nothing", "Inner", "__doc__"])
def test_a_module_that_does_not_bind_the_name_is_not_imported(attribute, own):
    folder, module, mark = own
    with pytest.raises(SearchSpaceError, match="was not imported"):
        CodeOfRun(folder).check(f"{module}:{attribute}@0123456789ab")
    assert not mark.exists()


@pytest.mark.parametrize(
    "attribute", ["abort", "JSONDecoder", "os.system", "subprocess.run", "foreign", "digits.load"]
)
def test_what_a_module_of_the_folder_has_from_elsewhere_is_refused(attribute, own):
    folder, module, _ = own
    name = _named(folder, module, attribute)
    for check in (CodeOfRun(folder).check, CodeOfRun(folder).check_data):
        with pytest.raises(SearchSpaceError, match=r"not written in|of its own|not imported"):
            check(name.replace("@", "@0123456789ab-") if check.__name__ == "check_data" else name)


def test_a_module_that_is_a_link_to_elsewhere_is_not_in_the_folder(own, tmp_path):
    folder, _, _ = own
    (tmp_path / "origin_outside.py").write_text("class Net:\n    pass\n")
    (folder / "origin_outside.py").symlink_to(tmp_path / "origin_outside.py")
    with pytest.raises(SearchSpaceError, match="not in"):
        CodeOfRun(folder).check("origin_outside:Net@0123456789ab")


def test_a_file_with_a_librarys_name_is_said_and_neither_is_imported(own):
    folder, _, mark = own
    (folder / "sched.py").write_text(f"open({str(mark)!r}, 'a').close()\nclass Net:\n    pass\n")
    sys.modules.pop("sched", None)
    with pytest.raises(SearchSpaceError, match="sched is another module here"):
        CodeOfRun(folder).check("sched:Net@0123456789ab")
    assert "sched" not in sys.modules
    assert not mark.exists()


def test_a_module_in_a_package_is_found_and_one_above_the_folder_is_not(own, tmp_path):
    folder, _, _ = own
    package = folder / "origin_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("class Net:\n    pass\n")
    CodeOfRun(folder).check(_named(folder, "origin_package.part", "Net"))
    for name in ("..part:Net@0123456789ab", "a/b:Net@0123456789ab", "a.:Net@0123456789ab"):
        with pytest.raises(SearchSpaceError, match="no name of own code"):
            CodeOfRun(folder).check(name)


def test_a_function_of_data_must_have_the_hash_of_its_code_and_is_not_called_before(own):
    folder, module, mark = own
    content = "0123456789ab"
    for name in (f"{module}:wipe@{content}", f"{module}:wipe@{content}-ba9876543210"):
        with pytest.raises(SearchSpaceError, match=r"no hash|not what it was"):
            CodeOfRun(folder).check_data(name)
    code = _named(folder, module, "wipe").partition("@")[2]
    CodeOfRun(folder).check_data(f"{module}:wipe@{content}-{code}")
    CodeOfRun(folder).check_data(f"{module}:pair@{content}")
    assert not Path(f"{mark}.called").exists()


def test_this_process_knows_what_it_has_found_and_nothing_else(own):
    folder, module, mark = own
    add_code_folder(folder)
    with pytest.raises(SearchSpaceError, match="nobody here has named it"):
        FOUND_HERE.check(f"{module}:Net@0123456789ab")
    assert not mark.exists()
    name = pinned(f"{module}:Net")
    FOUND_HERE.check(name)
    for other in (f"{module}:Net", f"{module}:Net@0123456789ab", f"{module}:make@{name[-12:]}"):
        with pytest.raises(SearchSpaceError, match="nobody here has named it"):
            FOUND_HERE.check(other)
