import pytest
import torch

from growsearch.datasets import TokenDataset

WORDS = 11


def _text(tokens: int, seed: int) -> torch.Tensor:
    """After word w mostly comes 3 w + 1: 11 guesses without reading, 1.7 with."""
    generator = torch.Generator().manual_seed(seed)
    words = [0]
    chances = torch.rand(tokens, generator=generator)
    others = torch.randint(WORDS, (tokens,), generator=generator)
    for chance, other in zip(chances[1:].tolist(), others[1:].tolist(), strict=True):
        words.append((3 * words[-1] + 1) % WORDS if chance < 0.9 else other)
    return torch.tensor(words)


@pytest.fixture
def text():
    return TokenDataset(
        name="text",
        train=_text(6001, 0),
        validation=_text(501, 1),
        test=_text(501, 2),
        vocabulary=tuple("abcdefghijk"),
    )
