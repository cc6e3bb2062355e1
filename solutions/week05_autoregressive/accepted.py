"""Week 5: other right ways to write the answers."""

import heapq
from collections import Counter, defaultdict
from itertools import pairwise, product

import torch
from torch.distributions import Categorical

from autograder.author import accepted


@accepted("bpe_encode")
def one_merge_after_another(word, merges):
    pieces = list(word)
    for left, right in merges:
        joined = []
        for piece in pieces:
            if piece == right and joined and joined[-1] == left:
                joined[-1] = left + right
            else:
                joined.append(piece)
        pieces = joined
    return pieces


@accepted("bpe_encode")
def leftmost_of_the_lowest_rank_as_tiktoken(text, merge_list):
    rank = {a + b: r for r, (a, b) in enumerate(merge_list)}
    parts = list(text)
    while len(parts) > 1:
        candidates = [
            (rank[parts[i] + parts[i + 1]], i)
            for i in range(len(parts) - 1)
            if (parts[i], parts[i + 1]) in map(tuple, merge_list)
        ]
        if not candidates:
            break
        _, i = min(candidates)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


@accepted("bpe_encode")
def rank_by_rank_recursively(word, merges):
    """The last merge applied to what the merges before it give."""

    def join(pieces, pair):
        if len(pieces) < 2:
            return pieces
        if (pieces[0], pieces[1]) == tuple(pair):
            return (pieces[0] + pieces[1], *join(pieces[2:], pair))
        return (pieces[0], *join(pieces[1:], pair))

    return (
        list(join(tuple(rank_by_rank_recursively(word, merges[:-1])), merges[-1])) if merges else list(word)
    )


@accepted("bpe_encode")
def linked_list_and_heap(word, merges):
    rank = {tuple(m): r for r, m in enumerate(merges)}
    pieces = dict(enumerate(word))
    following = {i: i + 1 if i + 1 < len(word) else None for i in pieces}
    before = {i: i - 1 if i else None for i in pieces}
    heap = []

    def push(i):
        j = following.get(i)
        if j is not None and (pieces[i], pieces[j]) in rank:
            heapq.heappush(heap, (rank[pieces[i], pieces[j]], i, pieces[i], pieces[j]))

    for i in pieces:
        push(i)
    while heap:
        _, i, left, right = heapq.heappop(heap)
        j = following.get(i)
        if pieces.get(i) != left or j is None or pieces[j] != right:
            continue
        pieces[i] = left + right
        following[i] = following.pop(j)
        del pieces[j]
        if following[i] is not None:
            before[following[i]] = i
        push(i)
        if before[i] is not None:
            push(before[i])
    return [pieces[i] for i in sorted(pieces)]


@accepted("bpe_train")
def merging_the_corpus_as_it_goes(words, n_merges):
    corpus, merges = [list(w) for w in words], []
    while len(merges) < n_merges:
        counts = Counter()
        for pieces in corpus:
            counts.update((pieces[i], pieces[i + 1]) for i in range(len(pieces) - 1))
        if not counts:
            return merges
        most = max(counts.values())
        best = sorted(pair for pair, count in counts.items() if count == most)[0]
        merges.append(best)
        for k, pieces in enumerate(corpus):
            merged, i = [], 0
            while i < len(pieces):
                if i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) == best:
                    merged.append(pieces[i] + pieces[i + 1])
                    i += 2
                else:
                    merged.append(pieces[i])
                    i += 1
            corpus[k] = merged
    return merges


@accepted("bpe_train")
def by_distinct_words_with_frequencies(words, n_merges):
    frequency = Counter(words)
    split = {word: tuple(word) for word in frequency}
    merges = []
    for _ in range(n_merges):
        pairs = defaultdict(int)
        for word, pieces in split.items():
            for i in range(1, len(pieces)):
                pairs[pieces[i - 1], pieces[i]] += frequency[word]
        if len(pairs) == 0:
            break
        ranked = sorted(pairs.items(), key=lambda item: item[0])
        ranked.sort(key=lambda item: item[1], reverse=True)
        (left, right), _count = ranked[0]
        merges.append([left, right])
        for word, pieces in split.items():
            stack = []
            for piece in pieces:
                if stack and stack[-1] == left and piece == right:
                    stack.pop()
                    stack.append(left + right)
                else:
                    stack.append(piece)
            split[word] = tuple(stack)
    return merges


@accepted("bpe_train")
def on_one_string_with_separators(words, n_merges):
    """The corpus as one list of pieces with None between words; merged by index, recursively."""
    stream = [piece for word in words for piece in [*word, None]]

    def train(stream, n):
        pairs = [(a, b) for a, b in pairwise(stream) if a is not None and b is not None]
        if n == 0 or not pairs:
            return ()
        left, right = min(set(pairs), key=lambda pair: (-pairs.count(pair), pair))
        merged = []
        for piece in stream:
            if merged and piece == right and merged[-1] == left:
                merged[-1] = left + right
            else:
                merged.append(piece)
        return ((left, right), *train(merged, n - 1))

    return train(stream, n_merges)


@accepted("sample_token")
def with_searchsorted(logits, u):
    cdf = torch.softmax(logits, dim=-1).cumsum(dim=-1)
    return (
        torch.searchsorted(cdf, u[..., None].contiguous(), right=True)
        .squeeze(-1)
        .clamp(max=logits.shape[-1] - 1)
    )


@accepted("sample_token")
def as_a_quantile(logits, u):
    cdf = logits.softmax(1).cumsum(1)
    return (cdf < u[:, None]).sum(1).clamp(max=logits.shape[1] - 1)


@accepted("sample_token")
def row_by_row(logits, u):
    tokens = []
    for row, number in zip(logits.reshape(-1, logits.shape[-1]), u.reshape(-1), strict=True):
        p = (row - row.max()).exp()
        p /= p.sum()
        token, total = 0, p[0]
        while total <= number and token + 1 < len(p):
            token += 1
            total = total + p[token]
        tokens.append(token)
    return torch.tensor(tokens, dtype=torch.int64).reshape(u.shape)


@accepted("sample_token")
def first_true_of_the_distribution_in_float64(logits, u):
    p = Categorical(logits=logits.double()).probs
    return (torch.cumsum(p, -1) > u.double().unsqueeze(-1)).to(torch.uint8).argmax(-1)


@accepted("sample_token")
def in_logarithms(logits, u):
    log_cdf = torch.logcumsumexp(logits - logits.logsumexp(-1, keepdim=True), -1)
    return (log_cdf > u.log()[..., None]).long().argmax(-1)


@accepted("sample_token")
def with_a_triangular_matrix(logits, u):
    p = torch.nn.functional.softmax(logits, -1)
    cdf = p @ torch.ones(p.shape[-1], p.shape[-1], dtype=p.dtype).triu()
    return torch.count_nonzero(cdf <= u[..., None], dim=-1).clamp_max(p.shape[-1] - 1)


@accepted("beam_search")
def all_beams_in_one_tensor(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    tokens = prompt.unsqueeze(0)
    total = torch.zeros(1)
    lengths = torch.zeros(1, dtype=torch.long)
    done = torch.zeros(1, dtype=torch.bool)
    for _ in range(max_new_tokens):
        log_p = torch.log_softmax(model(tokens)[:, -1, :], dim=-1)
        vocabulary = log_p.shape[-1]
        stay = torch.full((vocabulary,), -torch.inf, dtype=log_p.dtype)
        stay[eos] = 0
        log_p = torch.where(done[:, None], stay, log_p)
        sums = total.to(log_p.dtype)[:, None] + log_p
        longer = lengths + (~done).long()
        scores = sums / longer[:, None].to(log_p.dtype) ** length_penalty
        kept = scores.flatten().topk(width).indices
        row, token = kept // vocabulary, kept % vocabulary
        tokens = torch.cat([tokens[row], token[:, None]], 1)
        total, lengths, done = sums.flatten()[kept], longer[row], done[row] | (token == eos)
    scores = total / lengths.to(total.dtype) ** length_penalty
    best = scores.argmax()
    return tokens[best, : len(prompt) + lengths[best]], scores[best]


@accepted("beam_search")
@torch.no_grad()
def pruned_by_sum_and_chosen_by_score(model, prompt, width, max_new_tokens, eos, length_penalty=0.0):
    class Beam:
        def __init__(self, new=(), total=0.0):
            self.new, self.total = new, total

        @property
        def finished(self):
            return bool(self.new) and self.new[-1] == eos

        @property
        def score(self):
            return self.total / len(self.new) ** length_penalty

        def children(self):
            if self.finished:
                return [self]
            tokens = torch.cat([prompt, torch.tensor(self.new, dtype=torch.long)])
            p = model(tokens.reshape(1, -1))[0, -1].softmax(0)
            return [Beam((*self.new, v), self.total + p[v].log()) for v in range(len(p))]

    beams = [Beam()]
    for _ in range(max_new_tokens):
        beams = heapq.nlargest(width, [c for b in beams for c in b.children()], key=lambda b: b.total)
        if all(b.finished for b in beams):
            break
    best = max(beams, key=lambda b: b.score)
    return torch.tensor([*prompt.tolist(), *best.new]), float(best.score)


@accepted("beam_search")
def recursively_with_one_call_a_step(net, context, k, steps, end, alpha=0.0):
    start = context.numel()

    def value(item):
        return item[1] / (len(item[0]) - start) ** alpha

    def search(beams, left):
        alive = [b for b in beams if len(b[0]) == start or b[0][-1] != end]
        if left == 0 or not alive:
            return max(beams, key=value)
        logits = net(torch.tensor([b[0] for b in alive]))[:, -1]
        log_p = logits - logits.logsumexp(1, keepdim=True)
        grown = [
            (alive[i][0] + (v,), alive[i][1] + log_p[i, v].item())
            for i, v in product(range(len(alive)), range(log_p.shape[1]))
        ]
        pool = [b for b in beams if b not in alive] + grown
        pool.sort(key=lambda b: -value(b))
        return search(pool[:k], left - 1)

    best = search([(tuple(context.tolist()), 0.0)], steps)
    return torch.tensor(best[0]), value(best)
