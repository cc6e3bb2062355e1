"""Week 5 against hand-made examples, other people's algorithms written out, and brute force."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from scipy import stats

from autograder.probes import TokenModel
from reference_impl.autoregressive import beam_search, bpe_encode, bpe_train, sample_token

SENNRICH = 5 * ["low"] + 2 * ["lower"] + 6 * ["newest"] + 3 * ["widest"]


def texts(count: int, letters: str = "ab", seed: int = 0) -> list[list[str]]:
    """Corpora of a few words of up to twelve letters."""
    draw = random.Random(seed)
    return [
        ["".join(draw.choices(letters, k=draw.randint(0, 12))) for _ in range(draw.randint(0, 5))]
        for _ in range(count)
    ]


def joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def trained_step_by_step(words: list[str], n_merges: int) -> list[tuple[str, str]]:
    """Sennrich et al.'s algorithm 1: the corpus itself is merged, never encoded anew."""
    corpus = [list(word) for word in words]
    merges: list[tuple[str, str]] = []
    for _ in range(n_merges):
        counts = Counter(pair for pieces in corpus for pair in itertools.pairwise(pieces))
        if not counts:
            break
        most = max(counts.values())
        merges.append(min(pair for pair, count in counts.items() if count == most))
        corpus = [joined(pieces, merges[-1]) for pieces in corpus]
    return merges


@pytest.mark.parametrize("letters", ["ab", "abc", "aab", "Aaé "])
def test_training_merges_the_corpus_step_by_step(letters):
    for words in texts(200, letters):
        assert bpe_train(words, 12) == trained_step_by_step(words, 12)


@pytest.mark.parametrize("letters", ["ab", "abc", "aab"])
def test_encoding_by_rank_is_applying_one_merge_after_another(letters):
    for words, others in zip(texts(200, letters), texts(200, letters + "z", seed=1), strict=True):
        merges, word = bpe_train(words, 12), "".join(others)
        pieces = list(word)
        for pair in merges:
            pieces = joined(pieces, pair)
        assert bpe_encode(word, merges) == pieces
        assert "".join(pieces) == word


def test_sennrichs_merges_and_lowest():
    merges = bpe_train(SENNRICH, 4)
    assert merges == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]
    assert bpe_encode("lowest", merges) == ["low", "est"]


def test_runs_ties_and_the_end_of_pairs():
    assert bpe_train(["aa", "bbb"], 1) == [("b", "b")]  # bbb has two
    assert bpe_train(["ba", "ab"], 1) == [("a", "b")]
    assert bpe_train(["ac", "ab", "ab", "ab", "aba"], 3)[1:] == [("a", "c"), ("ab", "a")]  # though aba < ac
    assert bpe_train(["abc"], 9) == [("a", "b"), ("ab", "c")]
    assert bpe_train(["a", "", "b"], 9) == bpe_train([], 9) == bpe_train(["ab"], 0) == []
    assert bpe_encode("aaa", [("a", "a")]) == ["aa", "a"]
    assert bpe_encode("", [("a", "a")]) == []


@pytest.mark.parametrize(
    "merges", [[("a", "bc")], [("a", "a"), ("a", "a")], [("", "a")], [("ab", "c"), ("a", "b")]]
)
def test_merges_that_no_training_gives_are_rejected(merges):
    with pytest.raises(ValueError, match="merges"):
        bpe_encode("abc", merges)


def test_negative_n_merges_is_rejected():
    with pytest.raises(ValueError, match="n_merges"):
        bpe_train(["ab"], -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sampling_is_scipys_percent_point_function(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 5, generator=generator, dtype=dtype)
    u = torch.rand(200, generator=generator, dtype=dtype)
    tokens = sample_token(logits, u)
    assert tokens.dtype is torch.int64
    for row, number, token in zip(
        logits.double().softmax(-1).tolist(), u.tolist(), tokens.tolist(), strict=True
    ):
        assert token == stats.rv_discrete(values=(range(5), [p / math.fsum(row) for p in row])).ppf(number)


def test_dyadic_probabilities_are_cut_exactly():
    logits = torch.zeros(9, 4)
    u = torch.tensor([0, 0.2, 0.25, 0.3, 0.5, 0.7, 0.75, 0.9, 1 - 2**-24])
    assert sample_token(logits, u).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]


def test_probability_zero_is_never_drawn_not_at_the_ends_either():
    generator = torch.Generator().manual_seed(0)
    for size in range(1, 40):
        logits = torch.full((3, size + 2), -math.inf)
        logits[:, 1:-1] = torch.randn(3, size, generator=generator)
        tokens = sample_token(logits, torch.tensor([0, 1 - 2**-24, 0.5]))
        assert tokens[0] == 1 and (tokens >= 1).all() and (tokens <= size).all()


def test_large_logits_and_any_batch():
    logits = torch.tensor([[1e4, -1e4, 1e4], [-1e4, 1e4, 0.0]])
    assert sample_token(logits, torch.tensor([0.75, 0.5])).tolist() == [2, 1]
    assert sample_token(logits[0], torch.tensor(0.25)).shape == ()
    assert sample_token(logits.reshape(1, 2, 1, 3), torch.zeros(1, 2, 1)).tolist() == [[[0], [1]]]


@pytest.mark.parametrize(
    "logits, u, name",
    [
        ([0.0, 0.0], 1.0, "u"),
        ([0.0, 0.0], -0.1, "u"),
        ([0.0, math.nan], 0.5, "logits"),
        ([0.0, math.inf], 0.5, "logits"),
        ([-math.inf, -math.inf], 0.5, "logits"),
    ],
)
def test_sampling_outside_the_domain_is_rejected(logits, u, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        sample_token(torch.tensor(logits), torch.tensor(u))


def a_model(seed: int, size: int = 4) -> TokenModel:
    return TokenModel(
        torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )


def best_of_all(model, prompt: list[int], n: int, eos: int, penalty: float) -> tuple[list[int], float]:
    """Every sequence that ends with its first eos or has n tokens, scored one token at a time."""
    size = model.table.shape[0]
    found = []
    for length in range(1, n + 1):
        for new in itertools.product(range(size), repeat=length):
            if eos in new[:-1] or (length < n and new[-1] != eos):
                continue
            total = 0.0
            for i, token in enumerate(new):
                logits = model(torch.tensor([[*prompt, *new[:i]]]))[0, -1]
                total += float(logits[token] - logits.logsumexp(0))
            found.append((total / length**penalty, [*prompt, *new]))
    score, tokens = max(found)
    return tokens, score


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_an_unpruned_beam_finds_the_best_of_all(seed, penalty):
    model = a_model(seed)
    expected, best = best_of_all(model, [1, 3], 3, 0, penalty)
    tokens, score = beam_search(model, torch.tensor([1, 3]), 64, 3, 0, penalty)
    assert tokens.tolist() == expected
    assert score == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy(seed):
    model, tokens = a_model(seed), [2]
    while len(tokens) < 6 and tokens[-1] != 0:
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    assert beam_search(model, torch.tensor([2]), 1, 5, 0)[0].tolist() == tokens


def chain(**rows: list[float]) -> TokenModel:
    """A Markov chain with these rows of probabilities, one per token in order."""
    return TokenModel(torch.tensor(list(rows.values()), dtype=torch.float64).log(), decay=0.0)


def test_finished_beams_take_places_and_can_be_pushed_out():
    # eos is token 2. With one beam it has 0.4 in the first step and loses its place to token 1 with 0.6,
    # although both ways on from there end below 0.4.
    model = chain(start=[1e-9, 0.6, 0.4], token=[0.5, 0.3, 0.2], eos=[1.0, 1.0, 1.0])
    assert beam_search(model, torch.tensor([0]), 1, 2, 2)[0].tolist() == [0, 1, 0]
    tokens, score = beam_search(model, torch.tensor([0]), 2, 2, 2)
    assert tokens.tolist() == [0, 2]
    assert score == pytest.approx(math.log(0.4), abs=1e-8)


def test_the_penalty_divides_by_the_number_of_new_tokens_with_eos():
    model = chain(start=[1e-9, 0.6, 0.4], token=[1e-9, 1e-9, 1.0], eos=[1.0, 1.0, 1.0])
    for penalty in (0.0, 1.0, 2.0):
        tokens, score = beam_search(model, torch.tensor([0, 0, 0]), 2, 5, 2, penalty)
        assert tokens.tolist() == [0, 0, 0, 1, 2]
        assert score == pytest.approx(math.log(0.6) / 2**penalty, abs=1e-8)


@pytest.mark.parametrize(
    "change, name",
    [
        ({"prompt": torch.tensor([[1]])}, "prompt"),
        ({"prompt": torch.tensor([], dtype=torch.int64)}, "prompt"),
        ({"prompt": torch.tensor([1, 0])}, "prompt"),
        ({"width": 0}, "width"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_searching_outside_the_domain_is_rejected(change, name):
    arguments = {"prompt": torch.tensor([1]), "width": 2, "max_new_tokens": 2, "eos": 0} | change
    with pytest.raises(ValueError, match=f"^{name} "):
        beam_search(a_model(0), **arguments)
