"""Week 6: transformers."""

import torch
from torch import Tensor

from autograder.author import (
    Assignment,
    Drawing,
    choice,
    dimension,
    domain,
    exercise,
    flags,
    floating_dtype,
    index,
    integer,
    mask,
    real,
)
from reference_impl import transformers


def draw_attention_mask(d: Drawing) -> Tensor | None:
    """None, or a mask of any shape that broadcasts to (*batch, n_q, n_k); some rows keep nothing."""
    dims = d.choice((None, "n_q n_k", "*batch n_q n_k", "*batch 1 n_k", "1 n_k"))
    return None if dims is None else mask(dims=dims).draw(d)


def draw_cross_mask(d: Drawing) -> Tensor | None:
    """None, or a mask of any shape that broadcasts to (*batch, n, m); some rows keep nothing."""
    dims = d.choice((None, "n m", "*batch n m", "*batch 1 m", "1 m"))
    return None if dims is None else mask(dims=dims).draw(d)


def draw_head_mask(d: Drawing, n_k: str = "n") -> Tensor | None:
    """None, or a mask of any shape that broadcasts to (batch, n_heads, n, n_k); some rows keep nothing."""
    h = d["n_heads"]
    dims = d.choice(
        (None, f"n {n_k}", f"batch 1 1 {n_k}", f"batch 1 n {n_k}", f"{h} n {n_k}", f"batch {h} n {n_k}")
    )
    return None if dims is None else mask(dims=dims).draw(d)


def draw_tokens(d: Drawing) -> Tensor:
    """(batch, n, heads * size); the heads are drawn first, because sizes taken before are avoided."""
    d.size("heads")
    return real(dims="batch n heads*size").draw(d)


def draw_layer_input(d: Drawing) -> Tensor:
    """(batch, n, dim), no token constant: the slope of its normalisation would be 1 / sqrt(eps)."""
    return real(dims=f"batch n {d['dim']}").draw(d) + 0.3 * torch.arange(d["dim"])


def draw_cache(d: Drawing) -> tuple[Tensor, Tensor] | None:
    """Nothing, or keys and values of m tokens before."""
    if not d.choice((True, False)):
        return None
    return real(dims="*batch m d_k").draw(d), real(dims="*batch m d_v").draw(d)


def draw_token_ids(d: Drawing) -> Tensor:
    """Sequences as long as the context, or shorter; tokens repeat."""
    n = d.integer(1, d["context"])
    return index("vocab", dims=f"batch {n}").draw(d)


WEIGHTS = {name: real(dims="heads*size heads*size", scale=0.5) for name in ("w_q", "w_k", "w_v", "w_o")}
HEADS = domain(lambda d: d.choice([h for h in (2, 1, 3) if d["dim"] % h == 0]))
# Normalised, a token of one entry is 0 whatever it is, and one of two entries is +-1.
LAYER = {"dim": choice(4, 3), "n_heads": HEADS, "hidden": dimension("hidden")}
LAYER_SIZES = {"batch": (1, 2), "n": (2, 4), "hidden": (1, 5)}
LAYER_METHODS = {
    "forward": {
        "x": domain(draw_layer_input),
        "mask": domain(draw_head_mask),
    }
}

# Fourteen exercises share the time that one submission may take.
EXAMPLES = {
    "agrees": 24,
    "published": 10,
    "gradients": 12,
    "precision": 10,
    "batches": 12,
    "edges": 10,
    "pure": 4,
}
LAYER_EXAMPLES = {"agrees": 16, "published": 8, "gradients": 8, "precision": 6, "pure": 3}

assignment = Assignment(
    title="Transformers",
    exercises=[
        exercise(
            transformers.causal_mask,
            inputs={"n": integer(1, 6)},
            examples=EXAMPLES,
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
            examples=EXAMPLES,
        ),
        exercise(
            transformers.attention_weights,
            inputs={"q": real(edge=30), "k": real(edge=30), "mask": domain(draw_attention_mask)},
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            transformers.scaled_dot_product_attention,
            inputs={"q": real(edge=30), "k": real(edge=30), "mask": domain(draw_attention_mask)},
            differentiable=True,
            uses=["attention_weights"],
            examples=EXAMPLES,
        ),
        exercise(
            transformers.cross_attention,
            inputs={
                **{name: real(scale=0.5) for name in ("w_q", "w_k", "w_v")},
                "mask": domain(draw_cross_mask),
            },
            sizes={"n": (1, 3), "m": (1, 3), "d_q": (1, 3), "d_kv": (1, 3), "d_k": (1, 3), "d_v": (1, 3)},
            differentiable=True,
            uses=["scaled_dot_product_attention", "attention_weights"],
            examples=EXAMPLES,
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
            uses=["scaled_dot_product_attention", "attention_weights"],
            examples=EXAMPLES,
        ),
        exercise(
            transformers.sinusoidal_positional_encoding,
            inputs={"n": integer(1, 8), "dim": choice(4, 2, 6, 8), "dtype": floating_dtype()},
            examples=EXAMPLES,
            without={"pure": "it has no input that it could change"},
        ),
        exercise(
            transformers.feed_forward,
            inputs={"b1": domain(lambda d: real().draw(d) + 0.1)},  # no unit stands at the ReLU's kink
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            transformers.PostLNBlock,
            inputs=LAYER,
            methods=LAYER_METHODS,
            sizes=LAYER_SIZES,
            differentiable=True,
            uses=["multi_head_attention", "feed_forward"],
            examples=LAYER_EXAMPLES,
        ),
        exercise(
            transformers.Block,
            inputs=LAYER,
            methods=LAYER_METHODS,
            sizes=LAYER_SIZES,
            differentiable=True,
            uses=["multi_head_attention", "feed_forward"],
            examples=LAYER_EXAMPLES,
        ),
        exercise(
            transformers.GPT,
            inputs={
                "vocab": dimension("vocab"),
                "context": integer(3, 4),
                **LAYER,
                "n_layers": integer(1, 2),
            },
            methods={"forward": {"tokens": domain(draw_token_ids)}},
            sizes={"batch": (1, 2), "vocab": (2, 5), "hidden": (1, 3)},
            differentiable=True,
            uses=["causal_mask", "Block"],
            examples=LAYER_EXAMPLES,
        ),
        exercise(
            transformers.attention_with_cache,
            inputs={"cache": domain(draw_cache)},
            sizes={"n": (1, 3), "m": (0, 3), "d_k": (1, 3), "d_v": (1, 3)},
            uses=["causal_mask", "scaled_dot_product_attention", "attention_weights"],
            examples=EXAMPLES,
        ),
        exercise(
            transformers.masked_token_loss,
            inputs={"logits": real(edge=1e4), "tokens": index("vocab"), "mask": flags(as_float=False)},
            sizes={"batch": (1, 3), "n": (1, 4), "vocab": (2, 4)},
            differentiable=["logits"],
            examples=EXAMPLES,
        ),
        exercise(
            transformers.DecoderBlock,
            inputs=LAYER,
            methods={
                "forward": {
                    "x": domain(draw_layer_input),
                    "memory": domain(lambda d: real(dims=f"batch m {d['dim']}").draw(d)),
                    "memory_mask": domain(lambda d: draw_head_mask(d, "m")),
                }
            },
            sizes={"batch": (1, 2), "n": (1, 3), "m": (1, 3), "hidden": (1, 4)},
            differentiable=True,
            uses=["causal_mask", "multi_head_attention", "scaled_dot_product_attention", "feed_forward"],
            examples=LAYER_EXAMPLES,
        ),
    ],
)
