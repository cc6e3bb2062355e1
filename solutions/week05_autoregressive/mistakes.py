"""Week 5: wrong ways to write the answers, each with the misunderstanding behind it."""

from collections import Counter
from itertools import pairwise

import torch

from autograder.author import mistake
from reference_impl import autoregressive


def _join(pieces, pair):
    """All occurrences of the pair joined, from left to right."""
    joined = []
    for piece in pieces:
        if joined and (joined[-1], piece) == tuple(pair):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _join_from_the_right(pieces, pair):
    backwards = _join([piece[::-1] for piece in reversed(pieces)], [part[::-1] for part in reversed(pair)])
    return [piece[::-1] for piece in reversed(backwards)]


def _join_as_text(pieces, pair):
    text = "\0".join(pieces).replace("\0".join(pair), "".join(pair))
    return text.split("\0") if text else []


@mistake(
    "bpe_encode",
    "You take the longest known piece at each place; byte-pair encoding follows the merges' ranks.",
)
def longest_match_first(word, merges):
    known = {left + right for left, right in merges}
    pieces = []
    while word:
        size = max((n for n in range(2, len(word) + 1) if word[:n] in known), default=1)
        pieces.append(word[:size])
        word = word[size:]
    return pieces


@mistake(
    "bpe_encode",
    "You join the first pair that is any merge; of all pairs present the one of lowest rank goes first.",
)
def leftmost_pair_whatever_its_rank(word, merges):
    known = {tuple(pair) for pair in merges}
    pieces = list(word)
    while (i := next((i for i, pair in enumerate(pairwise(pieces)) if pair in known), None)) is not None:
        pieces[i : i + 2] = ["".join(pieces[i : i + 2])]
    return pieces


@mistake(
    "bpe_encode",
    "You apply the merges from the last to the first; the one learned first has the lowest rank.",
)
def latest_merge_first(word, merges):
    pieces = list(word)
    for pair in reversed(merges):
        pieces = _join(pieces, pair)
    return pieces


@mistake(
    "bpe_encode", "Each merge is applied to its first occurrence alone; it joins the pair wherever it stands."
)
def first_occurrence_alone(word, merges):
    pieces = list(word)
    for pair in merges:
        for i in range(len(pieces) - 1):
            if (pieces[i], pieces[i + 1]) == tuple(pair):
                pieces[i : i + 2] = ["".join(pair)]
                break
    return pieces


@mistake("bpe_encode", "You stop after one merge; pieces that were joined may be joined again.")
def one_merge_alone(word, merges):
    pieces = list(word)
    present = [pair for pair in merges if tuple(pair) in pairwise(pieces)]
    return _join(pieces, present[0]) if present else pieces


@mistake("bpe_encode", "Characters that no merge knows get lost; they stay as pieces of their own.")
def unknown_characters_lost(word, merges):
    known = set("".join(left + right for left, right in merges))
    return autoregressive.bpe_encode("".join(c for c in word if c in known), merges)


@mistake("bpe_encode", 'In a run you join from the right: "aaa" is "aa", "a", merged from left to right.')
def runs_joined_from_the_right(word, merges):
    pieces = list(word)
    for pair in merges:
        pieces = _join_from_the_right(pieces, pair)
    return pieces


@mistake(
    "bpe_encode",
    "You replace text, which also meets the end of one piece and the beginning of the next: compare pieces.",
)
def replacement_in_the_text(word, merges):
    pieces = list(word)
    for pair in merges:
        pieces = _join_as_text(pieces, pair)
    return pieces


@mistake(
    "bpe_encode",
    "A piece that was just joined is used again for its neighbour: the pieces spell more than the word.",
)
def overlapping_pairs_joined_twice(word, merges):
    pieces = list(word)
    for pair in merges:
        joined, taken = [], False
        for a, b in pairwise([*pieces, None]):
            if (a, b) == tuple(pair):
                joined.append(a + b)
            elif not taken:
                joined.append(a)
            taken = (a, b) == tuple(pair)
        pieces = joined
    return pieces


@mistake("bpe_encode", "You take the merges out of the list that you were given. Leave inputs alone.")
def merges_used_up(word, merges):
    pieces = list(word)
    while merges:
        pieces = _join(pieces, merges.pop(0))
    return pieces


def _train(words, n_merges, count=None, choose=None, join=_join, enough=lambda count: True):
    """Byte-pair encoding with a step done in another way."""
    count = count or (lambda corpus: Counter(pair for pieces in corpus for pair in pairwise(pieces)))
    choose = choose or (lambda counts: min(counts, key=lambda pair: (-counts[pair], pair)))
    corpus, merges = [list(word) for word in words], []
    while len(merges) < n_merges and (counts := count(corpus)):
        pair = choose(counts)
        if not enough(counts[pair]):
            break
        merges.append(pair)
        corpus = [join(pieces, pair) for pieces in corpus]
    return merges


@mistake("bpe_train", "You count each distinct word once; a word counts as often as it stands in the corpus.")
def every_word_once(words, n_merges):
    return _train(sorted(set(words)), n_merges)


@mistake("bpe_train", 'You count a run without overlap; every adjacent pair counts, so "aaa" has two.')
def runs_without_overlap(words, n_merges):
    def count(corpus):
        counts = Counter()
        for pieces in corpus:
            for pair in set(pairwise(pieces)):
                counts[pair] += len(pieces) - len(_join(pieces, pair))
        return counts

    return _train(words, n_merges, count=count)


@mistake(
    "bpe_train", "Among equally frequent pairs you take the one seen first; ties go to the smallest pair."
)
def ties_to_the_first_seen(words, n_merges):
    return _train(words, n_merges, choose=lambda counts: max(counts, key=counts.__getitem__))


@mistake("bpe_train", "Among equally frequent pairs you take the largest; ties go to the smallest pair.")
def ties_to_the_largest(words, n_merges):
    return _train(words, n_merges, choose=lambda counts: max(counts, key=lambda pair: (counts[pair], pair)))


@mistake("bpe_train", "You break ties by the joined text; pairs compare as tuples, the left part first.")
def ties_by_the_joined_text(words, n_merges):
    return _train(
        words,
        n_merges,
        choose=lambda counts: min(counts, key=lambda pair: (-counts[pair], "".join(pair), pair)),
    )


@mistake(
    "bpe_train",
    "You append an end-of-word marker; there is none here, and merges are made of characters alone.",
)
def with_an_end_marker(words, n_merges):
    merges = []
    corpus = [[*word, "</w>"] for word in words]
    for _ in range(n_merges):
        counts = Counter(pair for pieces in corpus for pair in pairwise(pieces))
        if not counts:
            break
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        corpus = [_join(pieces, merges[-1]) for pieces in corpus]
    return merges


@mistake("bpe_train", "Your pairs reach from one word into the next; words are split and counted one by one.")
def across_words(words, n_merges):
    return _train(["".join(words)], n_merges)


@mistake(
    "bpe_train",
    "You count once and take the most frequent pairs; after each merge the pairs are counted anew.",
)
def counted_once(words, n_merges):
    counts = Counter(pair for word in words for pair in pairwise(word))
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:n_merges]


@mistake("bpe_train", "You stop when no pair occurs twice; merging goes on as long as a pair is left.")
def no_pair_that_occurs_once(words, n_merges):
    return _train(words, n_merges, enough=lambda count: count > 1)


@mistake("bpe_train", 'You return the joined pieces; a merge is the pair itself, ("a", "b") and not "ab".')
def pieces_instead_of_pairs(words, n_merges):
    return ["".join(pair) for pair in autoregressive.bpe_train(words, n_merges)]


@mistake(
    "bpe_train",
    "You replace text, which also meets the end of one piece and the beginning of the next: compare pieces.",
)
def training_by_replacement_in_the_text(words, n_merges):
    return _train(words, n_merges, join=_join_as_text)


@mistake("bpe_train", 'In a run you join from the right: "aaa" is "aa", "a", merged from left to right.')
def training_from_the_right(words, n_merges):
    return _train(words, n_merges, join=_join_from_the_right)


@mistake("bpe_train", "You split the words in the list that you were given. Leave inputs alone.")
def words_split_in_place(words, n_merges):
    merges = _train(words, n_merges)
    for i, word in enumerate(words):
        words[i] = list(word)
    return merges


def _first_above(cdf, u):
    return (cdf <= u.unsqueeze(-1)).sum(-1).clamp(max=cdf.shape[-1] - 1)


@mistake(
    "sample_token", "You add up logits; the cumulative distribution adds up probabilities, softmax(logits)."
)
def without_the_softmax(logits, u):
    return _first_above(logits.cumsum(-1), u)


@mistake("sample_token", "You add up exp(logits) without dividing by their sum; probabilities sum to 1.")
def without_normalisation(logits, u):
    return _first_above((logits - logits.amax(-1, keepdim=True)).exp().cumsum(-1), u)


@mistake("sample_token", "You always take the most likely token; u decides which token is drawn.")
def the_most_likely(logits, u):
    return logits.argmax(-1)


@mistake(
    "sample_token",
    "exp(logits) overflows for large logits: take the largest logit off first, as softmax does.",
)
def overflowing_softmax(logits, u):
    p = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return (p.cumsum(-1) > u.unsqueeze(-1)).int().argmax(-1)


@mistake("sample_token", "You return the place in the sorted order; it has to be mapped back to the token.")
def place_in_the_sorted_order(logits, u):
    return _first_above(logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1), u)


@mistake(
    "sample_token",
    "You add up from the most likely token on; here the sum runs in the order of the vocabulary.",
)
def from_the_most_likely_on(logits, u):
    p, order = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
    return order.gather(-1, _first_above(p.cumsum(-1), u).unsqueeze(-1)).squeeze(-1)


@mistake("sample_token", "You count from the other end: 1 - u takes the place of u.")
def from_the_other_end(logits, u):
    return _first_above(logits.softmax(-1).cumsum(-1), 1 - u)


@mistake(
    "sample_token", "You take the last token whose sum does not exceed u: that is one before the right one."
)
def one_before(logits, u):
    return ((logits.softmax(-1).cumsum(-1) <= u.unsqueeze(-1)).sum(-1) - 1).clamp(min=0)


@mistake("sample_token", "You take the token whose sum is nearest to u; it is the first whose sum exceeds u.")
def nearest_sum(logits, u):
    return (logits.softmax(-1).cumsum(-1) - u.unsqueeze(-1)).abs().argmin(-1)


@mistake("sample_token", "All rows are drawn with the first row's number; every row has a u of its own.")
def one_number_for_all_rows(logits, u):
    return _first_above(logits.softmax(-1).cumsum(-1), torch.ones_like(u) * u.flatten()[0])


@mistake(
    "sample_token",
    "The result keeps a last dimension of size 1; there is one token per row, so its shape is that of u.",
)
def a_dimension_too_many(logits, u):
    return autoregressive.sample_token(logits, u).unsqueeze(-1)


def _search(
    model,
    prompt,
    width,
    max_new_tokens,
    eos,
    length_penalty,
    steps=lambda logits: logits.log_softmax(-1),
    length=lambda n, finished: n,
    see=lambda tokens: tokens,
    ends=True,
    start=0.0,
):
    """Beam search with a step done in another way: the last beams, best first, as (score, sum, tokens)."""

    def score(total, tokens):
        n = len(tokens) - len(prompt)
        return total / max(length(n, tokens[-1] == eos), 1) ** length_penalty

    beams = [(0.0, start, prompt.tolist())]
    for _ in range(max_new_tokens):
        candidates = [beam for beam in beams if ends and beam[2][-1] == eos]
        for _, total, tokens in beams:
            if not (ends and tokens[-1] == eos):
                values = steps(model(prompt.new_tensor([see(tokens)]))[0, -1]).tolist()
                for v, value in enumerate(values):
                    extended = [*tokens, v]
                    candidates.append((score(total + value, extended), total + value, extended))
        beams = sorted(candidates, key=lambda beam: -beam[0])[:width]
    return beams


def _best(prompt, beams):
    return prompt.new_tensor(beams[0][2]), beams[0][0]


@mistake(
    "beam_search",
    "The search is greedy: keep `width` different sequences (copies of the prompt stay copies).",
)
def greedy(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    return _best(prompt, _search(model, prompt, 1, max_new_tokens, eos, length_penalty))


@mistake("beam_search", "You add up logits; a score is a sum of log-probabilities, log_softmax(logits).")
def adds_logits(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    return _best(
        prompt,
        _search(model, prompt, width, max_new_tokens, eos, length_penalty, steps=lambda logits: logits),
    )


@mistake("beam_search", "You add up probabilities; those of a sequence multiply, so their logarithms add up.")
def adds_probabilities(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = _search(model, prompt, width, max_new_tokens, eos, length_penalty, steps=lambda x: x.softmax(-1))
    return _best(prompt, beams)


@mistake("beam_search", "Beams go on after eos; a beam that has produced it is finished.")
def goes_on_after_eos(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    return _best(prompt, _search(model, prompt, width, max_new_tokens, eos, length_penalty, ends=False))


@mistake("beam_search", "You stop at the first beam that finishes; another one may still get a better score.")
def first_to_finish_wins(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    for n in range(1, max_new_tokens + 1):
        beams = _search(model, prompt, width, n, eos, length_penalty)
        finished = [beam for beam in beams if beam[2][-1] == eos]
        if finished:
            return _best(prompt, finished)
    return _best(prompt, beams)


@mistake("beam_search", "Your length counts the prompt; the penalty is for new tokens alone.")
def length_with_the_prompt(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = _search(
        model, prompt, width, max_new_tokens, eos, length_penalty, length=lambda n, finished: n + len(prompt)
    )
    return _best(prompt, beams)


@mistake("beam_search", "Your length leaves out eos; it is a new token like the others.")
def length_without_eos(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = _search(
        model, prompt, width, max_new_tokens, eos, length_penalty, length=lambda n, finished: n - finished
    )
    return _best(prompt, beams)


@mistake(
    "beam_search", "You divide by ((5 + len) / 6) ** penalty, as Wu et al. do; here it is len ** penalty."
)
def penalty_of_the_paper(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = _search(
        model, prompt, width, max_new_tokens, eos, length_penalty, length=lambda n, finished: (5 + n) / 6
    )
    return _best(prompt, beams)


@mistake("beam_search", "You multiply by len ** penalty; sums of log-probabilities are divided by it.")
def multiplies_by_the_length(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    return _best(prompt, _search(model, prompt, width, max_new_tokens, eos, -length_penalty))


@mistake("beam_search", "You choose without the length penalty and only report the score with it.")
def penalty_after_the_choice(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    _, total, tokens = _search(model, prompt, width, max_new_tokens, eos, 0.0)[0]
    return prompt.new_tensor(tokens), total / (len(tokens) - len(prompt)) ** length_penalty


@mistake("beam_search", "You return the sum of log-probabilities; the score is divided by len ** penalty.")
def sum_instead_of_score(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    _, total, tokens = _search(model, prompt, width, max_new_tokens, eos, length_penalty)[0]
    return prompt.new_tensor(tokens), total


@mistake(
    "beam_search",
    "Every beam keeps its own best continuation; all candidates of all beams compete for the places.",
)
def one_child_of_each_beam(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    first = _search(model, prompt, width, 1, eos, length_penalty)
    ends = []
    for score, total, tokens in first:
        if tokens[-1] != eos and max_new_tokens > 1:
            rest = _search(model, prompt.new_tensor(tokens), 1, max_new_tokens - 1, eos, 0.0, start=total)[0]
            score, tokens = rest[1] / (len(rest[2]) - len(prompt)) ** length_penalty, rest[2]
        ends.append((score, total, tokens))
    return _best(prompt, sorted(ends, key=lambda beam: -beam[0]))


@mistake("beam_search", "You throw finished beams away; they stay and may win.")
def finished_beams_lost(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = [(0.0, prompt.tolist())]
    for step in range(1, max_new_tokens + 1):
        grown = [(s, t) for s, t in beams if t[-1] != eos]
        if not grown:
            break
        beams = [
            (s + p, [*t, v])
            for s, t in grown
            for v, p in enumerate(model(prompt.new_tensor([t]))[0, -1].log_softmax(-1).tolist())
        ]
        beams = sorted(beams, key=lambda beam: -beam[0])[:width]
        taken = step
    return prompt.new_tensor(beams[0][1]), beams[0][0] / taken**length_penalty


@mistake(
    "beam_search",
    "You put finished beams aside; they stay in the beam, take up places and can be pushed out.",
)
def finished_beams_set_aside(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    live, aside = [(0.0, 0.0, prompt.tolist())], []
    for step in range(1, max_new_tokens + 1):
        grown = [
            ((s + p) / step**length_penalty, s + p, [*t, v])
            for _, s, t in live
            for v, p in enumerate(model(prompt.new_tensor([t]))[0, -1].log_softmax(-1).tolist())
        ]
        aside += [beam for beam in grown if beam[2][-1] == eos]
        live = sorted((beam for beam in grown if beam[2][-1] != eos), key=lambda beam: -beam[0])[:width]
    return _best(prompt, sorted(aside + live, key=lambda beam: -beam[0]))


@mistake(
    "beam_search",
    "You prefer finished beams to better unfinished ones; at the end all compete by their scores.",
)
def finished_beams_preferred(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = _search(model, prompt, width, max_new_tokens, eos, length_penalty)
    return _best(prompt, [beam for beam in beams if beam[2][-1] == eos] or beams)


@mistake(
    "beam_search", "The model sees the last token alone; the next token depends on the whole sequence so far."
)
def sees_the_last_token_alone(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    beams = _search(model, prompt, width, max_new_tokens, eos, length_penalty, see=lambda tokens: tokens[-1:])
    return _best(prompt, beams)


@mistake("beam_search", "The model doesn't see the prompt; the new tokens continue it.")
def forgets_the_prompt(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    n = len(prompt) - 1
    return _best(
        prompt, _search(model, prompt, width, max_new_tokens, eos, length_penalty, see=lambda t: t[n:])
    )


@mistake("beam_search", "You return the new tokens alone; the prompt stands before them.")
def without_the_prompt(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    tokens, score = autoregressive.beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)
    return tokens[len(prompt) :], score


@mistake("beam_search", "The eos that ended the sequence is missing; it belongs to the tokens.")
def without_the_eos(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    tokens, score = autoregressive.beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)
    return tokens[tokens != eos], score


@mistake("beam_search", "You fill up with eos to the full length; a finished sequence ends with its eos.")
def padded_with_eos(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    tokens, score = autoregressive.beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)
    return torch.cat([tokens, tokens.new_full((len(prompt) + max_new_tokens - len(tokens),), eos)]), score


@mistake("beam_search", "Where no length penalty is given it should be 0, which leaves sums as they are.")
def penalty_by_default(model, prompt, width, max_new_tokens, eos, length_penalty=1.0):
    return autoregressive.beam_search(model, prompt, width, max_new_tokens, eos, length_penalty)
