"""Code that was typed into a session: its hash, where it is found, and what is told elsewhere."""

import copy
import linecache
import pickle
import sys
import types

import pytest

from search_spaces.code_origin import FOUND_HERE, CodeOfRun
from search_spaces.errors import OwnCodeError
from search_spaces.typed_code import typed_names
from search_spaces.user_code import find, fingerprint, lend, pinned, reference_to, typed_code

CELL = """
WIDTH = 8

def scaled(x, by=WIDTH):
    return by * x

class Base:
    pass

class Net(Base):
    def size(self):
        return scaled(1)
"""


@pytest.fixture
def session(monkeypatch):
    """Return what makes a session, and runs a cell in it; ``keep`` as notebooks keep its source."""

    def begin():
        main = types.ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", main)
        cells = []

        def run(source, keep=True):
            cells.append(source)
            name = f"<typed {len(cells)} {id(cells)}>"
            if keep:
                entry = (len(source), None, source.splitlines(keepends=True), name)
                monkeypatch.setitem(linecache.cache, name, entry)
            exec(compile(source, name, "exec"), vars(main))
            return main

        return run

    return begin


def digest(session, *cells, keep=True):
    run = session()
    for cell in cells:
        main = run(cell, keep=keep)
    return fingerprint(main.Net)


@pytest.mark.parametrize("keep", [True, False])
def test_the_same_code_has_the_same_hash_in_another_session(session, keep):
    assert digest(session, CELL, keep=keep) == digest(session, "x = 1", CELL, keep=keep)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("scaled(1)", "scaled(2)"),
        ("by * x", "by + x"),
        ("    pass", "    depth = 3"),
        ("WIDTH = 8", "WIDTH = 9"),
        ("class Net(Base):", "class Net(Base):\n    def more(self): return 1"),
    ],
)
def test_another_method_function_base_or_default_is_another_hash(session, before, after, keep):
    assert before in CELL
    changed = digest(session, CELL.replace(before, after), keep=keep)
    assert digest(session, CELL, keep=keep) != changed


@pytest.mark.parametrize("keep", [True, False])
def test_a_method_that_is_put_in_afterwards_counts(session, keep):
    late = "def late(self):\n    return {}\nNet.size = late\n"
    found = {digest(session, CELL, *more, keep=keep) for more in ((), (late.format(1),))}
    assert len(found | {digest(session, CELL, late.format(2), keep=keep)}) == 3


def test_sets_and_lambdas_have_one_hash_each(session):
    cell = (
        "f, g = lambda: 1, lambda: {}\nclass Net:\n    def __call__(self):\n        return f(), g()"
    )
    sets = "class Net:\n    def __call__(self, x):\n        return x in {'a', 'b', 'c', 'd'}"
    assert digest(session, cell.format(1), keep=False) != digest(
        session, cell.format(2), keep=False
    )
    assert digest(session, sets, keep=False) == digest(session, sets, keep=False)


def test_a_comment_counts_where_there_is_source_and_a_copied_object_changes_nothing(session):
    commented = CELL.replace("scaled(1)", "scaled(1)  # one")
    assert digest(session, CELL) != digest(session, commented)
    assert digest(session, CELL, keep=False) == digest(session, commented, keep=False)
    main = session()(CELL, keep=False)
    before = fingerprint(main.Net)
    copy.deepcopy(main.Net())
    pickle.dumps(main.Net())
    assert fingerprint(main.Net) == before


def test_a_file_of_the_cells_name_is_not_taken_for_its_source(session, tmp_path):
    file = tmp_path / "cell.py"
    file.write_text(CELL.replace("scaled(1)", "scaled(2)"))
    linecache.getlines(str(file))
    main = session()("x = 1")
    exec(compile(CELL, str(file), "exec"), vars(main))
    reference_to(main.Net)
    (code,) = typed_code(["__main__:Net"])
    assert not code.of_source
    assert code.digest == digest(session, CELL, keep=False)


def test_what_was_named_is_found_with_its_hash_and_nothing_else_is(session):
    main = session()(CELL)
    assert reference_to(main.Net) == ("__main__:Net", None)
    name = pinned("__main__:Net")
    assert name == f"__main__:Net@{fingerprint(main.Net)}"
    assert find(name) is main.Net
    FOUND_HERE.check(name)
    message = r"__main__:Base was typed into a session .*my_model\.py.*my_model:Base"
    with pytest.raises(OwnCodeError, match=message):
        find("__main__:Base")
    with pytest.raises(OwnCodeError, match=message):
        FOUND_HERE.check("__main__:Base@0123456789ab")
    with pytest.raises(OwnCodeError, match="not what it was"):
        FOUND_HERE.check("__main__:Net@0123456789ab")
    with pytest.raises(OwnCodeError, match="nobody here has named it"):
        FOUND_HERE.check("__main__:Net")
    with pytest.raises(OwnCodeError, match=r"^'__main__:\\x1b"):
        find("__main__:\x1b[31mNet")


def test_a_folder_of_code_admits_nothing_that_was_typed(session, tmp_path):
    main = session()(CELL)
    reference_to(main.Net)
    (tmp_path / "__main__.py").write_text("raise AssertionError('imported')")
    for folder in (None, tmp_path):
        with pytest.raises(OwnCodeError, match="the command line cannot"):
            CodeOfRun(folder).check(pinned("__main__:Net"))


def test_a_worker_takes_the_hash_that_comes_with_the_code(session, monkeypatch):
    main = session()(CELL)
    reference_to(main.Net)
    (code,) = typed_code(["__main__:Net"])
    assert code.of_source
    other = types.ModuleType("__main__")
    other.__file__ = "worker.py"
    monkeypatch.setitem(sys.modules, "__main__", other)
    lend([code])
    assert find(f"__main__:Net@{code.digest}") is main.Net
    assert typed_code(["__main__:Net"]) == (code,)


def test_code_that_has_changed_since_it_was_named_is_not_sent(session):
    run = session()
    reference_to(run(CELL).Net)
    run("def scaled(x):\n    return 7 * x\n")
    with pytest.raises(
        OwnCodeError, match=r"__main__:Net: .* has changed since the study was made"
    ):
        typed_code(["__main__:Net"])


def test_names_are_found_wherever_they_stand_in_a_study():
    study = {"task": "__main__:T@1", "trials": {"a": {"space": ["x", "__main__:N@2"]}}, "n": 3}
    assert list(typed_names(study)) == ["__main__:T", "__main__:N"]
