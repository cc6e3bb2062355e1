"""Week 12: scores, denoising score matching and Langevin dynamics."""

from autograder.author import Assignment, domain, exercise, number, optional, positive, probe, real
from reference_impl import score

POINTWISE_OR_COMMON = ("*batch dim", "dim")  # one vector per point, or one for all

MODEL = probe("TimeModel", a=number(0.5, 1.0, -0.75), b=number(0.25, 0.0, -0.5), c=number(0.75, 1.5, 0.25))

assignment = Assignment(
    title="Score matching and Langevin dynamics",
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
        ),
        exercise(
            score.denoising_score_matching_loss,
            inputs={
                "model": MODEL,
                "t": real(low=0, high=0.99, scale=0.25, edge=(0.99, 0.96)),
                "weighting": optional(probe("Power", p=number(2.0, 1.0, 0.5, low=0))),
            },
            sizes={"event": (1, 2)},
            differentiable=["model"],
            without={"batches": "the batch is one dimension, as the model takes one time for each example"},
        ),
        exercise(
            score.langevin_step,
            inputs={
                "x": real(edge=100),
                "score": real(edge=100),
                "step": number(0.5, 0.125, 2.0, 0.0, low=0),
            },
        ),
    ],
)
