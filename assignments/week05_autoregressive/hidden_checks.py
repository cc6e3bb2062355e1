"""Week 5: the checks that only the instructor has; the battery comes on top."""

import math
from itertools import product

import torch

from autograder.author import check, choice, close, equal
from autograder.probes import Probe


@check("bpe_encode", points=1)
def joins_runs_from_the_left(bpe_encode):
    """In a run of equal pieces pairs are joined from left to right, and none is used twice."""
    equal(bpe_encode("aaa", [("a", "a")]), ["aa", "a"])
    equal(bpe_encode("aaaaaaa", [("a", "a"), ("aa", "aa"), ("aa", "a")]), ["aaaa", "aaa"])


@check("bpe_encode", points=1)
def takes_any_text_and_many_merges(bpe_encode):
    """Spaces, line ends and capitals are characters like others, and there may be any number of merges."""
    equal(bpe_encode(" aA é\n ", [("a", "A")]), [" ", "aA", " ", "é", "\n", " "])
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    merges = [(alphabet[:i], alphabet[i]) for i in range(1, 26)]
    equal(bpe_encode(alphabet + alphabet[:20], merges), [alphabet, alphabet[:20]])


@check("bpe_train", points=1)
def counts_and_breaks_ties_as_agreed(bpe_train):
    """In "bbb" the pair b b stands twice; ties go to the smaller left part, then to the smaller right one."""
    equal(bpe_train(["aa", "bbb"], 1), [("b", "b")])
    equal(bpe_train(["ac", "ab", "ab", "ab", "aba"], 3), [("a", "b"), ("a", "c"), ("ab", "a")])
    equal(bpe_train(["b", "", "a"], 3), [])


@check("sample_token", points=1)
def never_draws_what_has_probability_zero(sample_token):
    """A token of probability 0, as filters leave them, is never drawn, wherever it stands."""
    out = -torch.inf
    logits = torch.tensor([[out, 0.0, 0.0, out], [out, out, 1.0, out], [0.0, out, out, 0.0]])
    equal(sample_token(logits, torch.tensor([0.75, 0.9375, 0.75])), torch.tensor([2, 2, 3]))
    equal(sample_token(logits, torch.tensor([0.25, 0.0625, 0.25])), torch.tensor([1, 2, 0]))


@check("sample_token", points=1)
def survives_large_logits(sample_token):
    """Logits of +-1e4 are logits like others: two that are equal share the probability."""
    logits = torch.tensor([[1e4, 1e4], [-1e4, -1e4], [1e4, 1e4], [-1e4, -1e4]])
    equal(sample_token(logits, torch.tensor([0.25, 0.25, 0.75, 0.75])), torch.tensor([0, 0, 1, 1]))


@check("beam_search", points=1)
def finished_beams_take_up_places(beam_search):
    """Of two beams the one that ended holds its place: A, C, A would be the best, but A, C is pushed out."""
    start, a, b, c, eos = range(5)
    p = torch.full((5, 5), 0.01, dtype=torch.float64)
    p[start, eos], p[start, a] = 0.5, 0.47
    p[a, b], p[a, c] = 0.55, 0.42
    p[b] = 0.2
    p[c, a] = 0.96
    model = Probe("TokenModel", {"table": p.log(), "decay": 0.0})
    tokens, score = beam_search(model, torch.tensor([start]), 2, 3, eos, 1.0)
    equal(tokens, torch.tensor([start, eos]))
    close(score, math.log(0.5))


@check("beam_search", points=1)
def goes_on_when_the_best_beam_has_ended(beam_search):
    """With a length penalty a beam that goes on may overtake one that ended: ln 0.452 / 3 is above ln 0.5."""
    start, a, b, eos = range(4)
    p = torch.full((4, 4), 0.01, dtype=torch.float64)
    p[start, eos], p[start, a] = 0.5, 0.48
    p[a, b] = p[b, eos] = 0.97
    model = Probe("TokenModel", {"table": p.log(), "decay": 0.0})
    tokens, score = beam_search(model, torch.tensor([start]), 2, 4, eos, 1.0)
    equal(tokens, torch.tensor([start, a, b, eos]))
    close(score, math.log(0.48 * 0.97 * 0.97) / 3)


@check("beam_search", points=1, examples=24, max_new_tokens=choice(2, 1))
def finds_the_best_of_all_when_nothing_is_pruned(
    beam_search, model, prompt, max_new_tokens, eos, length_penalty
):
    """As wide as the vocabulary the beam prunes none of the first tokens: it finds the best of all pairs."""
    vocabulary = range(model.parameters["table"].shape[0])
    width = len(vocabulary)
    endings = torch.tensor(list(product(vocabulary, repeat=max_new_tokens)))
    tokens = torch.cat([prompt.expand(len(endings), -1), endings], 1)
    log_probs = model.build()(tokens[:, :-1])[:, len(prompt) - 1 :].log_softmax(-1)
    alive = ((endings == eos).cumsum(1) - (endings == eos).long()) == 0  # up to eos
    terms = log_probs.gather(-1, endings.unsqueeze(-1)).squeeze(-1) * alive
    scores = terms.sum(1) / alive.sum(1).to(terms.dtype) ** length_penalty
    best = int(scores.argmax())
    found, score = beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)
    equal(found, tokens[best, : len(prompt) + int(alive[best].sum())])
    close(score, float(scores[best]))
