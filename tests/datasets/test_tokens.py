import pytest
import torch

from growsearch.datasets import load_token_dataset, streams, windows
from growsearch.errors import UsageError


@pytest.fixture
def ptb(tmp_path):
    folder = tmp_path / "ptb"
    folder.mkdir()
    (folder / "ptb.train.txt").write_text(" the cat <unk> \n the dog \n")
    (folder / "ptb.valid.txt").write_text(" the dog \n")
    (folder / "ptb.test.txt").write_text(" <unk> cat \n cat \n")
    return folder


def test_every_line_ends_in_eos_and_words_are_numbered_as_they_appear(ptb):
    loaded = load_token_dataset("ptb", ptb.parent)
    assert loaded.vocabulary == ("the", "cat", "<unk>", "<eos>", "dog")
    assert loaded.train.tolist() == [0, 1, 2, 3, 0, 4, 3]
    assert loaded.validation.tolist() == [0, 4, 3]
    assert loaded.test.tolist() == [2, 1, 3, 1, 3]
    assert loaded.train.dtype == torch.int64


def test_the_folders_of_the_published_archive_are_found(ptb):
    (ptb.parent / "simple-examples").mkdir()
    ptb.rename(ptb.parent / "simple-examples" / "data")
    assert len(load_token_dataset("ptb", ptb.parent).train) == 7


def test_a_word_that_training_lacks_is_named_with_its_file(ptb):
    (ptb / "ptb.test.txt").write_text("the emu\n")
    with pytest.raises(UsageError, match=r"ptb\.test\.txt: the word 'emu'"):
        load_token_dataset("ptb", ptb.parent)


def test_empty_binary_and_missing_files_are_named(ptb):
    (ptb / "ptb.valid.txt").write_text("")
    with pytest.raises(UsageError, match=r"ptb\.valid\.txt: empty"):
        load_token_dataset("ptb", ptb.parent)
    (ptb / "ptb.valid.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"ptb\.valid\.txt: not UTF-8"):
        load_token_dataset("ptb", ptb.parent)
    (ptb / "ptb.valid.txt").unlink()
    with pytest.raises(UsageError, match=r"ptb\.valid\.txt missing.*aa0affc06ff7c36e977d7cd49e38"):
        load_token_dataset("ptb", ptb.parent)


def test_windows_do_not_overlap_and_targets_are_one_token_later():
    inputs, targets = windows(torch.arange(8), 3)
    assert inputs.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert targets.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_the_last_window_needs_a_target_for_its_last_token():
    assert windows(torch.arange(6), 3)[0].tolist() == [[0, 1, 2]]
    assert windows(torch.arange(7), 3)[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_each_column_of_the_streams_is_a_continuous_text():
    inputs, targets = streams(torch.arange(8), 2)
    assert inputs.T.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert targets.T.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("cut", [windows, streams])
@pytest.mark.parametrize("size", [0, 4, 9])
def test_too_few_tokens_are_refused(cut, size):
    with pytest.raises(UsageError, match="valid: 1 to 3"):
        cut(torch.arange(4), size)
