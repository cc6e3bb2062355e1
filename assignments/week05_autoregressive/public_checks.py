"""Week 5: the checks that students have too."""

import math

import torch
from hypothesis import strategies as st

from autograder.author import at_most, check, choice, close, equal, holds, strategy
from autograder.probes import Probe


@check("bpe_encode", points=1, text=strategy(st.text(max_size=8)))
def spells_the_word(bpe_encode, text, merges):
    """The pieces joined together are the word again, whatever text it is."""
    pieces = bpe_encode(text, merges)
    holds(all(isinstance(piece, str) for piece in pieces), "the pieces are strings")
    equal("".join(pieces), text)


@check("bpe_encode", points=1)
def follows_the_ranks(bpe_encode):
    """Which of two overlapping pairs is joined is decided by their ranks: the merge learned first wins."""
    equal(bpe_encode("abcd", [("a", "b"), ("c", "d"), ("b", "c"), ("a", "bc")]), ["ab", "cd"])
    equal(bpe_encode("abc", [("b", "c"), ("a", "b")]), ["a", "bc"])
    equal(bpe_encode("abcab", [("b", "c"), ("a", "b"), ("a", "bc")]), ["abc", "ab"])


@check("bpe_train", points=1)
def learns_the_suffix_est(bpe_train):
    """From 5 low, 2 lower, 6 newest and 3 widest (Sennrich et al.) come e s, es t, l o, lo w, and so on."""
    words = 5 * ["low"] + 2 * ["lower"] + 6 * ["newest"] + 3 * ["widest"]
    first = [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w"), ("e", "w"), ("ew", "est")]
    equal(bpe_train(words, 6), first)
    equal(bpe_train(words, 2), first[:2])


@check("bpe_train", points=1)
def does_not_depend_on_the_words_order(bpe_train, words, n_merges):
    """Words are counted, so their order plays no part."""
    equal(bpe_train(words[::-1], n_merges), bpe_train(words, n_merges))


@check("sample_token", points=1)
def gives_the_worked_example(sample_token):
    """With probabilities 1/2, 1/8, 1/8, 1/4 the tokens' intervals end at 1/2, 5/8, 3/4 and 1."""
    logits = torch.tensor([0.5, 0.125, 0.125, 0.25]).log()
    u = torch.tensor([0.1, 0.45, 0.55, 0.7, 0.8, 0.95])
    equal(sample_token(logits.repeat(6, 1), u), torch.tensor([0, 0, 1, 2, 3, 3]))


@check("sample_token", points=1, examples=24)
def gives_each_token_its_share(sample_token, logits):
    """Ten numbers spread evenly over [0, 1) give token i about 10 p_i times: one more or less, no more."""
    row = logits[0]
    u = (torch.arange(10, dtype=row.dtype) + 0.5) / 10
    tokens = sample_token(row.repeat(10, 1), u)
    counts = (tokens.unsqueeze(-1) == torch.arange(len(row))).sum(0)
    at_most((counts - 10 * row.softmax(-1)).abs(), 1)


@check("beam_search", points=1)
def finds_what_greedy_search_misses(beam_search):
    """A better first token may lead to a worse sequence: A, then x has 0.33, but B, then x has 0.36."""
    start, a, b, x, eos = range(5)
    p = torch.full((5, 5), 0.01, dtype=torch.float64)
    p[start, a], p[start, b] = 0.57, 0.4
    p[a, x], p[a, start] = 0.58, 0.39
    p[b, x], p[b, a] = 0.9, 0.07
    p[x, eos] = p[eos, eos] = 0.96
    model, prompt = Probe("TokenModel", {"table": p.log(), "decay": 0.0}), torch.tensor([start])
    for width, path in ((1, [a, x, eos]), (2, [b, x, eos])):
        tokens, score = beam_search(model, prompt, width, 4, eos)  # no penalty is a penalty of 0
        equal(tokens, torch.tensor([start, *path]))
        close(score, sum(math.log(p[i, j]) for i, j in zip([start, *path], path, strict=False)))


@check("beam_search", points=1, examples=24, width=choice(1))
def is_greedy_with_one_beam(beam_search, model, prompt, width, max_new_tokens, eos, length_penalty):
    """With width 1 every new token is the most likely one, until eos or the last step."""
    network, tokens = model.build(), prompt
    for _ in range(max_new_tokens):
        if tokens[-1] != eos:
            tokens = torch.cat([tokens, network(tokens[None])[0, -1:].argmax(-1)])
    equal(beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)[0], tokens)


@check("beam_search", points=1, examples=24)
def scores_the_tokens_that_it_returns(beam_search, model, prompt, width, max_new_tokens, eos, length_penalty):
    """The score is the log-probability of the returned new tokens, divided by their number to the penalty."""
    tokens, score = beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)
    new = tokens[len(prompt) :]
    log_probs = model.build()(tokens[None, :-1])[0, len(prompt) - 1 :].log_softmax(-1)
    total = log_probs.gather(-1, new.unsqueeze(-1)).sum()
    close(score, float(total / len(new) ** length_penalty))
