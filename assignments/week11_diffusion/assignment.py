"""Week 11: denoising diffusion."""

import numpy as np
import torch

from autograder.author import (
    Assignment,
    Drawing,
    choice,
    dimension,
    domain,
    exercise,
    floating_dtype,
    index,
    integer,
    number,
    probe,
    real,
)
from reference_impl import diffusion


def schedule(d: Drawing) -> torch.Tensor:
    """Increasing betas, few and large, so that one left out or taken twice shows."""
    steps = d.array((d.size("steps"),), (0.1, 0.05, 0.125))
    steps[0] += d.choice((0.0, 0.1, 0.2))
    if d.noise is not None:
        steps = steps * np.exp(0.2 * d.noise.standard_normal(steps.shape))
    return torch.from_numpy(np.cumsum(steps).clip(max=0.9).astype(np.float32))


def remaining(d: Drawing) -> torch.Tensor:
    """The alpha_bars of such a schedule."""
    return torch.cumprod(1 - schedule(d), 0)


EXAMPLES = {"published": 16, "agrees": 32, "gradients": 16, "precision": 12}
FEW = {"published": 12, "agrees": 24, "gradients": 12, "precision": 8}  # of losses of a model
FEWER = {"published": 8, "agrees": 24, "precision": 6, "edges": 6, "pure": 3}  # of whole samplers
WITHOUT = {"batches": "the dimensions after the batch, one to three of them, vary in every check"}
SIZES = {"batch": (1, 3), "event": (1, 3), "steps": (1, 6)}

MODEL = probe(
    "TimeModel",
    a=number(0.5, 0.25),
    b=number(0.25, 0.0, -0.5),
    c=number(0.75, 0.5),
    mixing=choice(0.5, 0.0),
)

assignment = Assignment(
    title="Denoising diffusion",
    exercises=[
        exercise(
            diffusion.linear_betas,
            inputs={
                "T": integer(1, 6),
                "first": number(0.1, 0.01, 1e-3, low=1e-4, high=0.3),
                "last": number(0.5, 0.2, 0.02, low=5e-3, high=0.9),
                "dtype": floating_dtype(),
            },
            without={"pure": "it is given nothing that it could change"},
        ),
        exercise(diffusion.alpha_bars, inputs={"betas": domain(schedule)}, sizes=SIZES),
        exercise(
            diffusion.cosine_alpha_bars,
            inputs={
                "T": integer(1, 8),
                "s": number(0.25, 0.0, 0.008, 1.0, low=0),
                "dtype": floating_dtype(),
            },
            uses=["alpha_bars"],
            without={"pure": "it is given nothing that it could change"},
        ),
        exercise(
            diffusion.q_sample,
            inputs={"t": index("steps"), "alpha_bars": domain(remaining)},
            sizes=SIZES,
            examples=EXAMPLES,
            differentiable=["x0"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.noise_prediction_loss,
            inputs={"model": MODEL, "t": index("steps"), "alpha_bars": domain(remaining)},
            sizes=SIZES | {"event": (1, 2)},
            examples=FEW,
            differentiable=["model"],
            uses=["q_sample"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.predict_x0,
            inputs={"t": index("steps"), "alpha_bars": domain(remaining)},
            sizes=SIZES,
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            diffusion.predict_eps,
            inputs={"t": index("steps"), "alpha_bars": domain(remaining)},
            sizes=SIZES,
            examples=EXAMPLES,
            uses=["predict_x0"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.velocity,
            inputs={"t": index("steps"), "alpha_bars": domain(remaining)},
            sizes=SIZES,
            examples=EXAMPLES,
            uses=["q_sample"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.score_from_eps,
            inputs={"t": index("steps"), "alpha_bars": domain(remaining)},
            sizes=SIZES,
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            diffusion.posterior_mean_variance,
            inputs={"t": index("steps"), "betas": domain(schedule)},
            sizes=SIZES,
            examples=EXAMPLES,
            uses=["alpha_bars"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.ddpm_step,
            inputs={
                "t": domain(lambda d: d.integer(0, d.size("steps") - 1)),
                "betas": domain(schedule),
            },
            sizes=SIZES,
            examples=EXAMPLES,
            uses=["alpha_bars", "predict_x0", "posterior_mean_variance"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.sample,
            inputs={
                "model": probe(
                    "TimeModel",
                    a=number(0.5, 0.25),
                    b=number(0.25, 0.0, -0.5),
                    c=number(0.75, 0.5),
                    counting=choice(True),
                    mixing=choice(0.5, 0.0),
                ),
                "x_T": real(edge=100),
                "betas": domain(schedule),
            },
            sizes={"batch": (1, 2), "event": (1, 2), "steps": (1, 4)},
            examples=FEWER,
            uses=["alpha_bars", "ddpm_step"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.ddim_step,
            inputs={
                "alpha_bars": domain(remaining),
                "t": domain(lambda d: d.integer(0, d.size("steps") - 1)),
                "t_prev": domain(lambda d: d.integer(-1, d["t"] - 1)),
                "eta": number(0.5, 1.0, 0.0, 0.25, low=0, high=1),
            },
            sizes=SIZES,
            examples=EXAMPLES,
            uses=["predict_x0"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.ddim_timesteps,
            inputs={"T": integer(1, 12), "n": domain(lambda d: d.integer(1, d["T"]))},
            without={"pure": "it is given nothing that it could change"},
        ),
        exercise(
            diffusion.guided_noise, inputs={"w": number(2.0, 0.5, 0.0, 1.0, 7.5, -1.0)}, examples=EXAMPLES
        ),
        exercise(
            diffusion.latent_diffusion_loss,
            inputs={
                "encode": probe("PairEncoder", a=number(0.5, 1.0, -0.5)),
                "scale": number(0.5, 2.0, 0.18215, low=0.1),
                "model": MODEL,
                "x": real(dims="batch *half 2*width"),
                "t": index("steps"),
                "eps": real(dims="batch *half width"),
                "alpha_bars": domain(remaining),
            },
            sizes={"batch": (1, 3), "half": (0, 1), "width": (1, 2), "steps": (1, 6)},
            examples=FEW,
            differentiable=["model"],
            uses=["noise_prediction_loss", "q_sample"],
            without=WITHOUT,
        ),
        exercise(
            diffusion.cascade_condition,
            inputs={"factor": dimension("factor"), "t": index("steps"), "alpha_bars": domain(remaining)},
            sizes={"batch": (1, 3), "channels": (1, 2), "height": (1, 2), "width": (1, 3), "factor": (1, 3)},
            examples=EXAMPLES,
            uses=["q_sample"],
        ),
        exercise(
            diffusion.action_chunk_denoise,
            inputs={
                "model": probe(
                    "TimeModel",
                    a=number(0.5, 0.25),
                    c=number(0.75, 0.5),
                    counting=choice(True),
                    mixing=choice(0.5),
                ),
                "noise": real(),
                "betas": domain(schedule),
                "execute": domain(lambda d: d.integer(1, d.size("horizon"))),
            },
            sizes={"batch": (1, 2), "horizon": (1, 4), "dim": (1, 2), "steps": (1, 3)},
            examples=FEWER,
            uses=["sample", "ddpm_step", "alpha_bars"],
        ),
    ],
)
