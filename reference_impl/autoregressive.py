"""Week 5: autoregressive models: from text to tokens, and from logits back to sequences."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from reference_impl._require import require


def bpe_encode(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """Split a word into pieces by byte-pair encoding: start from its characters, then apply merges by rank.

    merges[r] is the pair (left, right) of rank r. While some adjacent pair of pieces is a merge, the one of
    lowest rank is joined wherever it stands, from left to right ("aaa" with ("a", "a") gives "aa", "a").
    Characters that no merge knows stay as they are, so the pieces joined together are the word, whatever it
    is; the empty word has no pieces. `merges` are such as `bpe_train` finds: both parts of a pair are single
    characters or made by an earlier merge, and no two pairs make the same piece.
    (Sennrich, Haddow and Birch, 2016, section 3.2, without their end-of-word marker.)
    """
    require(len(set(map("".join, merges))) == len(merges), "merges must not make a piece twice")
    require(
        all(len(p) == 1 or p in map("".join, merges[:r]) for r, pair in enumerate(merges) for p in pair),
        "merges must join single characters or what an earlier merge has made",
    )
    rank = {tuple(pair): r for r, pair in enumerate(merges)}
    pieces = list(word)
    while known := [pair for pair in pairwise(pieces) if pair in rank]:
        best = min(known, key=rank.__getitem__)
        i = 0
        while i < len(pieces) - 1:
            if (pieces[i], pieces[i + 1]) == best:
                pieces[i : i + 2] = ["".join(best)]
            i += 1
    return pieces


def bpe_train(words: list[str], n_merges: int) -> list[tuple[str, str]]:
    """The first `n_merges` merges of byte-pair encoding, as pairs (left, right) of strings, in their order.

    `words` is the corpus: a word that stands in it three times counts three times, and pairs don't reach
    across words. Each merge joins the adjacent pair of pieces that is most frequent in the corpus as split
    by the merges before it. Every adjacent pair counts ("aaa" has ("a", "a") twice); among equally frequent
    ones the smallest as Python compares tuples of strings is taken. There is no end-of-word marker, and a
    pair that occurs once is still merged: the list is shorter than `n_merges` only if no pair is left.
    (Sennrich, Haddow and Birch, 2016, algorithm 1.)
    """
    require(n_merges >= 0, f"n_merges must not be negative, as {n_merges} is")
    merges: list[tuple[str, str]] = []
    for _ in range(n_merges):
        counts = Counter(pair for word in words for pair in pairwise(bpe_encode(word, merges)))
        if not counts:
            break
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
    return merges


def sample_token(logits: Float[Tensor, "*batch V"], u: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """A draw from softmax(logits) by the inverse of its cumulative distribution at u, an int64 token index.

    The token is the first i, in the order of the vocabulary, with p_0 + ... + p_i > u, where
    p = softmax(logits). u lies in [0, 1): uniform u gives token i with probability p_i. Logits are finite
    (+-1e4 included) or -inf, which is probability 0: such a token is never drawn.
    """
    require(((u >= 0) & (u < 1)).all(), f"u must lie in [0, 1), not reach from {u.min()} to {u.max()}")
    require((logits < torch.inf).all(), "logits must be finite or -inf, not inf or NaN")
    require((logits > -torch.inf).any(-1).all(), "logits must not be -inf for all tokens")
    cdf = logits.softmax(-1).cumsum(-1)
    # Scaled by the last entry, which rounding keeps from being 1, u stays below it.
    return (cdf <= u.unsqueeze(-1) * cdf[..., -1:]).sum(-1)


def beam_search(
    model: Callable[[Int[Tensor, "B T"]], Float[Tensor, "B T V"]],
    prompt: Int[Tensor, "T"],
    width: int,
    max_new_tokens: int,
    eos: int,
    length_penalty: float = 0.0,
) -> tuple[Int[Tensor, "L"], float]:
    """The best continuation of a prompt that a beam of `width` sequences finds: (tokens, score).

    `prompt` is one sequence (T,) of at least one token, none of them `eos`. model(tokens) maps (B, T) tokens
    to (B, T, V) logits, of which the last position's give the next token; call it on one beam at a time or
    on all together. The score of a sequence is the sum of the log-probabilities (nats) of its new tokens
    divided by len ** length_penalty, where len >= 1 counts the new tokens, eos included, the prompt not.

    The search starts from the prompt alone. In each of max_new_tokens >= 1 steps every unfinished beam is
    extended by every token of the vocabulary, and of all these candidates together the `width` best are kept
    (all, if there are fewer). A beam that has produced eos is finished: it is extended no more, but stays
    among the candidates, can be pushed out by better ones, and keeps a place that it wins. At the end
    finished and unfinished beams compete, and the best is returned: `tokens` is the prompt followed by the
    new tokens, with eos if it was produced and with no padding after it; `score` is a float (a tensor
    without dimensions is as good). (Wu et al., 2016, section 7, with len for their length penalty.)
    """
    require(
        prompt.ndim == 1 and len(prompt) > 0, f"prompt must be (T,) with T >= 1, not {tuple(prompt.shape)}"
    )
    require((prompt != eos).all(), f"prompt must not contain eos, {eos}")
    require(width >= 1, f"width must be at least 1, not {width}")
    require(max_new_tokens >= 1, f"max_new_tokens must be at least 1, not {max_new_tokens}")

    def score(beam: tuple[list[int], float]) -> float:
        tokens, log_prob = beam
        return log_prob / (len(tokens) - len(prompt)) ** length_penalty

    beams = [(prompt.tolist(), 0.0)]
    for _ in range(max_new_tokens):
        live = [beam for beam in beams if beam[0][-1] != eos]
        if not live:
            break
        candidates = [beam for beam in beams if beam[0][-1] == eos]
        log_probs = model(prompt.new_tensor([tokens for tokens, _ in live]))[:, -1].log_softmax(-1)
        for (tokens, log_prob), following in zip(live, log_probs.tolist(), strict=True):
            candidates += [([*tokens, v], log_prob + step) for v, step in enumerate(following)]
        beams = sorted(candidates, key=score, reverse=True)[:width]
    return prompt.new_tensor(beams[0][0]), score(beams[0])
