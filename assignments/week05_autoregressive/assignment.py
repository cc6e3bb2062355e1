"""Week 5: autoregressive models, from text to tokens and from logits back to sequences."""

from itertools import pairwise
from typing import Any

import torch
from hypothesis import assume
from torch import Tensor

from autograder.author import Assignment, Drawing, choice, domain, exercise, number, real
from autograder.probes import Probe
from reference_impl import autoregressive


def up_to(d: Drawing, largest: int) -> int:
    """A number that shrinks to 0, and is the largest in every second example: short inputs show little."""
    return min(d.integer(0, 2 * largest), largest)


def a_word(d: Drawing, letters: str, longest: int) -> str:
    return "".join(d.choice(letters) for _ in range(up_to(d, longest)))


def corpus(d: Drawing) -> list[str]:
    """Words with repetitions, over few letters, so pairs meet; "A" sorts before "a", and "é" after "b"."""
    letters = d.choice(("ab", "abAé"))
    vocabulary = [a_word(d, letters, 6) for _ in range(up_to(d, 4))]
    return [word for word in vocabulary for _ in range(d.integer(1, 3))]


def merges_of_a_text(d: Drawing) -> list[tuple[str, str]]:
    """Pairs that stand side by side in a text, in any order: the word read backwards, and another one."""
    text = d["word"][::-1].replace("c", "") + a_word(d, "ab", 6)
    merges: list[tuple[str, str]] = []
    for _ in range(up_to(d, 7)):
        pairs = list(pairwise(autoregressive.bpe_encode(text, merges)))
        if pairs:
            merges.append(d.choice(pairs))
    return merges


def filtered_logits(d: Drawing) -> Tensor:
    """Logits of which some are -inf, as after a filter, but not all of a row."""
    logits = real(edge=1e4).draw(d)
    out = torch.from_numpy(d.array(logits.shape, (False, False, False, True))).bool()
    out[..., d.integer(0, logits.shape[-1] - 1)] = False
    return logits.masked_fill(out, -torch.inf)


def off_the_edges(d: Drawing) -> Tensor:
    """u well inside the interval of a token, every likely token as likely as the others."""
    p = d["logits"].double().softmax(-1)
    likely = p > 0.01
    which = torch.from_numpy(d.array(d.shape(), (0.0, 0.5, 0.75, 0.25, 0.99))) * likely.sum(-1)
    token = (likely.cumsum(-1) <= which.floor().unsqueeze(-1)).sum(-1, keepdim=True)
    inside = torch.from_numpy(d.array(d.shape(), (0.5, 0.25, 0.75)))
    u = p.cumsum(-1).gather(-1, token) - inside.unsqueeze(-1) * p.gather(-1, token)
    return u.squeeze(-1).round(decimals=3).float()


def prompt_without_eos(d: Drawing) -> Tensor:
    others = [v for v in range(d.size("V")) if v != d["eos"]]
    return torch.from_numpy(d.array(d.shape(), others)).long()


def clear_cut_model(d: Drawing) -> Probe:
    """A model whose search hangs neither on rounding nor on whether beams are pruned by score or by sum.

    If one is near, one for which the search finds more than the greedy one does.
    """
    table = real(dims="V V").draw(d)
    irregular = (torch.arange(table.numel()) + 1.0).square().cos().reshape(table.shape)
    names = ("prompt", "width", "max_new_tokens", "eos", "length_penalty")
    prompt, width, *rest = (d[name] for name in names)
    found = None
    for step in range(1, 17):
        shaken = Probe("TokenModel", {"table": (table + step / 8 * irregular).round(decimals=2)})
        if _is_clear_cut(shaken, prompt, width, *rest):
            wide, greedy = (autoregressive.beam_search(shaken.build(), prompt, w, *rest) for w in (width, 1))
            if width == 1 or not torch.equal(wide[0], greedy[0]):
                return shaken
            found = found or shaken
    assume(found is not None)
    return found


def _is_clear_cut(
    probe: Probe,
    prompt: Tensor,
    width: int,
    max_new_tokens: int,
    eos: int,
    penalty: float,
    margin: float = 1e-3,
) -> bool:
    model = probe.build()
    beams: list[tuple[float, float, list[int]]] = [(0.0, 0.0, prompt.tolist())]  # score, sum, tokens
    for step in range(1, max_new_tokens + 1):
        candidates = [beam for beam in beams if beam[2][-1] == eos]
        for _, total, tokens in (beam for beam in beams if beam[2][-1] != eos):
            log_probs = model(torch.tensor([tokens]))[0, -1].log_softmax(-1).tolist()
            candidates += [
                ((total + p) / step**penalty, total + p, [*tokens, v]) for v, p in enumerate(log_probs)
            ]
        by_score, by_sum = (sorted(candidates, key=lambda beam: beam[i], reverse=True) for i in (0, 1))
        if len(candidates) > width:
            gaps = by_score[width - 1][0] - by_score[width][0], by_sum[width - 1][1] - by_sum[width][1]
            if min(gaps) < margin or sorted(by_score[:width]) != sorted(by_sum[:width]):
                return False
        beams = by_score[:width]
    return len(beams) == 1 or beams[0][0] - beams[1][0] > margin


SEARCH: dict[str, Any] = {
    "model": domain(clear_cut_model),
    "prompt": domain(prompt_without_eos),
    "width": choice(1, 2, 3),
    "max_new_tokens": domain(lambda d: 1 + up_to(d, 3)),
    "eos": domain(lambda d: d.integer(0, d.size("V") - 1)),
    "length_penalty": number(0.0, 1.0, 0.5, low=0.0, high=2.0),
}

assignment = Assignment(
    title="Autoregressive models",
    exercises=[
        exercise(
            autoregressive.bpe_encode,
            inputs={
                # "c" is in no merge.
                "word": domain(lambda d: a_word(d, "ababc", 8)),
                "merges": domain(merges_of_a_text),
            },
        ),
        exercise(
            autoregressive.bpe_train,
            inputs={"words": domain(corpus), "n_merges": domain(lambda d: up_to(d, 8))},
            uses=["bpe_encode"],
        ),
        exercise(
            autoregressive.sample_token,
            inputs={"logits": domain(filtered_logits, has_edge=True), "u": domain(off_the_edges)},
            sizes={"V": (1, 5)},
            without={"batches": "one batch dimension, as `generate` has it, is enough"},
        ),
        exercise(
            autoregressive.beam_search,
            inputs=SEARCH,
            sizes={"T": (1, 3), "V": (3, 4)},
            without={"precision": "scores choose between sequences; the last digits play no part in that"},
        ),
    ],
)
