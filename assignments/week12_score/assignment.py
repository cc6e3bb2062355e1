"""Week 12: scores, score matching, Langevin dynamics and stochastic differential equations."""

import numpy as np
import torch
from torch import Tensor

from autograder.author import (
    Assignment,
    Drawing,
    choice,
    domain,
    exercise,
    floating_dtype,
    integer,
    number,
    optional,
    positive,
    probability,
    probe,
    real,
)
from reference_impl import score

POINTWISE_OR_COMMON = ("*batch dim", "dim")  # one vector per point, or one for all


def falling_sigmas(d: Drawing) -> Tensor:
    """Noise levels from large to small, each 1.25 to 2 times the next."""
    ratios = d.array((d.size("levels"),), (2.0, 1.5, 1.25))
    if d.noise is not None:
        ratios = ratios * np.exp(0.05 * d.noise.standard_normal(ratios.shape))
    return torch.from_numpy((0.25 * np.cumprod(ratios))[::-1].astype(np.float32))


def unequal_times(d: Drawing) -> Tensor:
    """Times that grow by unequal steps, or fall."""
    steps = d.array((d.size("steps"),), (0.25, 1.0, 0.5))
    if d.noise is not None:
        steps = steps * np.exp(0.2 * d.noise.standard_normal(steps.shape))
    times = d.choice((0.0, 0.5)) + np.concatenate([[0.0], np.cumsum(steps)])
    return torch.from_numpy((times if d.choice((True, False)) else times[::-1]).astype(np.float32))


def no_tiny_times(d: Drawing) -> Tensor:
    """Times in [0, 1] that are 0 or not close to it, where 1 - m^2 would lose its digits."""
    t = UNIT_TIME.draw(d)
    return torch.where(t < 0.1, torch.zeros_like(t), t)


MODEL = probe("TimeModel", a=number(0.5, 1.0, -0.75), b=number(0.25, 0.0, -0.5), c=number(0.75, 1.5, 0.25))
FIELD = probe(
    "VectorField", a=number(0.5, 1.0, -0.75), b=number(-0.25, -1.0, 0.5), c=number(0.25, 0.75, -0.5)
)
DRIFT = probe("Drift", a=number(0.5, 0.0, -1.0), b=number(-1.0, 0.5, -0.5), c=number(0.25, 1.0, -0.5))
UNIT_TIME = real(low=0, high=1, scale=0.25, edge=(0.0, 1.0))
RATES = {
    "beta_min": number(0.1, 1.0, 0.5, low=0.05, high=1.5),
    "beta_max": number(20.0, 2.0, 5.0, low=1.5),
}
LEVELS = {
    "sigma_min": number(0.01, 0.5, 0.1, low=0.005, high=0.75),
    "sigma_max": number(50.0, 2.0, 10.0, low=1.0),
}

WITHOUT = {"batches": "one batch dimension, in which every example has its own time, is enough"}
# Twenty-two exercises share the time that one submission may take.
EXAMPLES = {
    "agrees": 20,
    "published": 8,
    "gradients": 8,
    "precision": 8,
    "batches": 8,
    "edges": 8,
    "pure": 3,
}
EVENTS = {"batch": (1, 3), "event": (1, 2)}

assignment = Assignment(
    title="Score matching and stochastic differential equations",
    exercises=[
        exercise(
            score.gaussian_score,
            inputs={
                "x": real(edge=100),
                "mean": domain(lambda d: real(dims=d.choice(POINTWISE_OR_COMMON)).draw(d)),
                "std": domain(
                    lambda d: positive(dims=d.choice(POINTWISE_OR_COMMON), edge=100).draw(d), has_edge=True
                ),
            },
            examples=EXAMPLES,
        ),
        exercise(
            score.mixture_score,
            inputs={"x": real(edge=20), "weights": probability(zeros=False), "stds": positive()},
            sizes={"components": (1, 3), "dim": (1, 3)},
            uses=["gaussian_score"],
            examples=EXAMPLES,
        ),
        exercise(
            score.langevin_step,
            inputs={
                "x": real(edge=100),
                "score": real(edge=100),
                "step": number(0.5, 0.125, 2.0, 0.0, low=0),
            },
            examples=EXAMPLES,
        ),
        exercise(
            score.implicit_score_matching_loss,
            inputs={"model": FIELD},
            sizes=EVENTS,
            differentiable=["model"],
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.sliced_score_matching_loss,
            inputs={"model": FIELD},
            sizes=EVENTS,
            differentiable=["model"],
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.contrastive_divergence_loss,
            inputs={"energy": probe("Energy", a=number(0.5, 2.0, -0.5), b=number(1.0, 0.5, 2.0))},
            sizes={"n_data": (1, 3), "n_model": (1, 3), "event": (1, 2)},
            differentiable=["energy", "x_model"],
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.denoising_score_matching_loss,
            inputs={
                "model": MODEL,
                "t": real(low=0, high=0.99, scale=0.25, edge=(0.99, 0.96)),
                "weighting": optional(probe("Power", p=number(2.0, 1.0, 0.5, low=0))),
            },
            sizes=EVENTS,
            differentiable=["model"],
            examples={**EXAMPLES, "agrees": 32},
            without=WITHOUT,
        ),
        exercise(
            score.tweedie,
            inputs={
                "x": real(edge=100),
                "alpha": number(0.5, 2.0, 1.0, 0.25, low=0.1),
                "beta": number(0.5, 2.0, 1.0, 0.0, low=0),
            },
            examples=EXAMPLES,
        ),
        exercise(
            score.score_to_velocity,
            inputs={
                "t": real(low=0.1, high=1, scale=0.25, edge=(1.0, 0.1)),
                "schedule": choice("linear", "cosine"),
            },
            sizes=EVENTS,
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.velocity_to_score,
            inputs={
                "t": real(low=0, high=0.9, scale=0.25, edge=(0.0, 0.9)),
                "schedule": choice("linear", "cosine"),
            },
            sizes=EVENTS,
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.annealed_langevin,
            inputs={
                "model": MODEL,
                "sigmas": domain(falling_sigmas),
                "eps": number(0.25, 0.5, 0.125, low=0.05, high=1),
            },
            sizes={"levels": (1, 3), "steps": (1, 2), "batch": (1, 2), "event": (1, 2)},
            uses=["langevin_step"],
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.euler_maruyama,
            inputs={
                "drift": DRIFT,
                "diffusion": probe(
                    "Diffusion", a=number(0.5, 1.0, 2.0, low=0.1), b=number(0.25, 1.0, 0.5, low=0)
                ),
                "ts": domain(unequal_times),
            },
            sizes={"steps": (1, 3), "batch": (1, 2), "event": (1, 2)},
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.fokker_planck_residual,
            inputs={
                "p": probe(
                    "Density",
                    a=number(0.0, 0.5, -1.0),
                    b=number(0.5, 1.0, -0.5),
                    c=number(1.0, 0.5, 2.0, low=0.3),
                    d=number(0.25, 0.5, 1.0, low=0),
                ),
                "u": DRIFT,
                "sigma": number(0.5, 2.0, 1.5, 0.0, low=0),
                "t": real(low=0, high=2, scale=0.5),
            },
            examples=EXAMPLES,
        ),
        exercise(
            score.denoising_sde_step,
            inputs={
                "x": real(edge=100),
                "sigma": number(0.5, 2.0, 1.0, 0.0, low=0),
                "dt": number(0.25, 0.0625, 0.5, 0.0, low=0),
            },
            examples=EXAMPLES,
        ),
        exercise(
            score.vp_sde, inputs={"t": UNIT_TIME, **RATES}, sizes=EVENTS, examples=EXAMPLES, without=WITHOUT
        ),
        exercise(
            score.vp_marginal,
            inputs={"t": domain(no_tiny_times, has_edge=True), **RATES},
            examples=EXAMPLES,
        ),
        exercise(
            score.ve_sde, inputs={"t": UNIT_TIME, **LEVELS}, sizes=EVENTS, examples=EXAMPLES, without=WITHOUT
        ),
        exercise(score.ve_marginal, inputs={"t": UNIT_TIME, **LEVELS}, examples=EXAMPLES),
        exercise(
            score.reverse_sde_drift,
            inputs={"diffusion": positive()},
            sizes=EVENTS,
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.probability_flow_drift,
            inputs={"diffusion": positive()},
            sizes=EVENTS,
            examples=EXAMPLES,
            without=WITHOUT,
        ),
        exercise(
            score.edm_preconditioning,
            inputs={"sigma": positive(edge=80), "sigma_data": number(0.5, 2.0, 1.0, 0.25, low=0.1)},
            examples=EXAMPLES,
        ),
        exercise(
            score.edm_sigmas,
            inputs={
                "n": integer(2, 6),
                "sigma_min": number(0.002, 0.5, 0.1, low=0.001, high=0.75),
                "sigma_max": number(80.0, 2.0, 10.0, low=1.0),
                "rho": number(7.0, 1.0, 3.0, 2.0, low=0.5, high=10),
                "dtype": floating_dtype(),
            },
            examples=EXAMPLES,
            without={"pure": "it is given nothing that it could change"},
        ),
    ],
)
