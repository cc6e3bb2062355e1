"""Week 6: transformers."""

import torch

from autograder.author import Assignment, Drawing, choice, dimension, domain, exercise, integer, mask, real
from reference_impl import transformers


def draw_attention_mask(d: Drawing) -> object:
    """None, or a mask of any shape that broadcasts to (*batch, n_q, n_k); some rows keep nothing."""
    dims = d.choice((None, "n_q n_k", "*batch n_q n_k", "*batch 1 n_k", "1 n_k"))
    return None if dims is None else mask(dims=dims).draw(d)


def draw_head_mask(d: Drawing) -> object:
    """None, or a mask of any shape that broadcasts to (batch, n_heads, n, n); some rows keep nothing."""
    h = d["n_heads"]
    dims = d.choice((None, "n n", "batch 1 1 n", "batch 1 n n", f"{h} n n", f"batch {h} n n"))
    return None if dims is None else mask(dims=dims).draw(d)


def draw_tokens(d: Drawing) -> object:
    """(batch, n, heads * size); the heads are drawn first, because sizes taken before are avoided."""
    d.size("heads")
    return real(dims="batch n heads*size").draw(d)


WEIGHTS = {name: real(dims="heads*size heads*size", scale=0.5) for name in ("w_q", "w_k", "w_v", "w_o")}

assignment = Assignment(
    title="Transformers",
    exercises=[
        exercise(
            transformers.causal_mask,
            inputs={"n": integer(1, 6)},
            without={"pure": "it has no input that it could change"},
        ),
        exercise(
            transformers.padding_mask,
            inputs={
                "lengths": domain(
                    lambda d: torch.tensor([d.integer(0, d["n"]) for _ in range(d.size("batch"))])
                ),
                "n": integer(1, 5),
            },
        ),
        exercise(
            transformers.scaled_dot_product_attention,
            inputs={"q": real(edge=30), "k": real(edge=30), "mask": domain(draw_attention_mask)},
            differentiable=True,
        ),
        exercise(
            transformers.multi_head_attention,
            inputs={
                "x": domain(draw_tokens),
                **WEIGHTS,
                "n_heads": dimension("heads"),
                "mask": domain(draw_head_mask),
            },
            sizes={"batch": (1, 2), "n": (2, 4), "heads": (1, 3), "size": (1, 2)},
            differentiable=True,
            uses=["scaled_dot_product_attention"],
        ),
        exercise(
            transformers.Block,
            inputs={
                # Normalised, a token of one entry is 0 whatever it is, and one of two entries is +-1.
                "dim": choice(4, 3, 6),
                "n_heads": domain(lambda d: d.choice([h for h in (2, 1, 3) if d["dim"] % h == 0])),
                "hidden": dimension("hidden"),
            },
            methods={
                "forward": {
                    "x": domain(lambda d: real(dims=f"batch n {d['dim']}").draw(d)),
                    "mask": domain(draw_head_mask),
                }
            },
            sizes={"batch": (1, 2), "n": (2, 4)},
            differentiable=True,
            uses=["multi_head_attention"],
        ),
    ],
)
