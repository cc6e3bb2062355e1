"""Week 15: reinforcement learning."""

import numpy as np
import torch

from autograder.author import (
    Assignment,
    Drawing,
    choice,
    domain,
    exercise,
    flags,
    index,
    integer,
    number,
    probe,
    real,
)
from reference_impl import reinforcement

GAMMA = number(0.5, 0.9, 1.0, 0.0, low=0, high=1)
LAM = number(0.8, 0.25, 1.0, 0.0, low=0, high=1)
EPISODES = {"time": (1, 6)}
CHAIN = {"S": (2, 4), "A": (1, 3)}
EXAMPLES = {
    "published": 8,
    "agrees": 20,
    "gradients": 10,
    "precision": 8,
    "batches": 10,
    "edges": 8,
    "pure": 3,
}
LOW, HIGH = choice(-1.0, -2.0, -0.25), choice(1.0, 2.0, 0.5)
FREE_OF_EPSILONS = {"precision": "1e-8 in a denominator is right too; another check asks for the dtype"}


def probabilities(d: Drawing, fractions: tuple[float, ...] = (0.5, 0.25, 0.75, 0.0)) -> torch.Tensor:
    """Sticks broken at a fraction of what is left: float32 holds the parts exactly, and they add up to 1."""
    *rows, n = d.shape()
    fraction = d.array((*rows, n - 1), fractions)
    if d.noise is not None:
        fraction = np.where(fraction > 0, d.noise.integers(2, 15, fraction.shape) / 16, 0)
    left = np.cumprod(np.concatenate([np.ones((*rows, 1)), 1 - fraction], -1), -1)
    return torch.from_numpy(left * np.concatenate([fraction, np.ones((*rows, 1))], -1)).float()


def positive_probabilities(d: Drawing) -> torch.Tensor:
    """The same without zeros."""
    return probabilities(d, (0.5, 0.25, 0.75))


def log_probs_away_from_the_clip(d: Drawing) -> torch.Tensor:
    """New log-probabilities, none of whose ratios to the old ones is near 1 +- 0.1, 0.2 or 0.3, the kinks."""
    old = d["old_log_probs"].double()
    steps = torch.from_numpy(d.array(old.shape, (0.5, -0.5, 0.0, 1.0, -1.0, 0.0625, -0.0625, 3.0, -3.0)))
    if d.noise is not None:
        steps *= torch.from_numpy(d.noise.uniform(0.85, 1.15, old.shape))
    return (old + steps).float()


def values_away_from_the_clip(d: Drawing) -> torch.Tensor:
    """New values, none of whose differences to the old ones is near 0.1, 0.2 or 0.3, the kinks."""
    old = d["old_values"].double()
    steps = torch.from_numpy(d.array(old.shape, (0.5, -0.5, 0.0, 1.0, -1.0, 0.0625, -0.0625, 3.0)))
    if d.noise is not None:
        steps *= torch.from_numpy(d.noise.uniform(0.85, 1.15, old.shape))
    return (old + steps).float()


def divergence_off_the_limits(d: Drawing) -> float:
    """A divergence that is not at 1.5 times the target, nor at the target divided by 1.5."""
    return float(d["target"] * d.choice((1.0, 2.0, 0.5, 0.0, 0.6, 0.7, 1.4, 1.6, 0.1, 5.0)))


def positive_definite(d: Drawing) -> torch.Tensor:
    """A well-conditioned matrix R R^T + I."""
    root = d.array(d.shape("n n"), (0.5, 0.0, -0.5, 1.0))
    if d.noise is not None:
        root = root + 0.2 * d.noise.standard_normal(root.shape)
    return torch.from_numpy(root @ root.T + np.eye(len(root))).float()


def not_zero(d: Drawing) -> torch.Tensor:
    """A vector without zeros."""
    values = torch.from_numpy(d.array(d.shape("n"), (1.0, -1.0, 2.0, 0.5, -2.0)))
    return values.float() if d.noise is None else (values * d.noise.uniform(0.8, 1.2, values.shape)).float()


def tolerance(d: Drawing) -> float:
    """The usual one, or a part of b^T b."""
    return max(1e-10, float(d["b"] @ d["b"]) * d.choice((0.0, 0.05, 0.3)))


def along_the_step(d: Drawing) -> torch.Tensor:
    """Where the objective peaks: at a part of the step, or against it; no candidate is as good as theta."""
    return d["theta"] + d.choice((1.0, 0.3, 0.15, 0.075, 0.02, -0.5)) * d["step"]


def part_of_the_steps_divergence(d: Drawing) -> float:
    """A limit that no fraction 0.5^j or 0.8^j of the step meets exactly."""
    full = float((d["kl"].parameters["weights"] * d["step"].square()).sum())
    return full * d.choice((2.0, 0.5, 0.3, 0.09, 0.02))


def parameters(d: Drawing) -> list[torch.Tensor]:
    """Tensors of different shapes."""
    return [
        real(dims=dims).draw(d) + k for k, dims in enumerate(("n m", "m", "")) if k < d.size("parameters")
    ]


def another_value(d: Drawing) -> torch.Tensor:
    """Values that differ from q1: at equal ones the minimum has a kink."""
    steps = torch.from_numpy(d.array(d.shape(), (1.0, -1.0, 0.5, -0.5, 2.0)))
    return (d["q1"].double() + steps).float()


def spread_advantages(d: Drawing) -> torch.Tensor:
    """At least two advantages that are not all alike: rounding decides what equal ones become."""
    advantages = real().draw(d).double().flatten()
    if advantages.max() - advantages.min() < 0.5:
        advantages[0] += 2
    return advantages.reshape(d.shape()).float()


assignment = Assignment(
    title="Reinforcement learning",
    exercises=[
        exercise(
            reinforcement.trajectory_log_prob,
            inputs={
                "p0": domain(positive_probabilities),
                "P": domain(positive_probabilities),
                "pi": domain(positive_probabilities),
                "states": index("S"),
                "actions": index("A"),
            },
            sizes={**CHAIN, "time": (1, 4)},
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.policy_evaluation,
            inputs={
                "P": domain(probabilities),
                "pi": domain(probabilities),
                "gamma": number(0.5, 0.9, 0.75, 0.0, low=0, high=0.95),
            },
            sizes=CHAIN,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.value_iteration,
            inputs={"P": domain(probabilities), "gamma": GAMMA, "n_iter": integer(0, 4)},
            sizes=CHAIN,
            examples=EXAMPLES,
        ),
        exercise(reinforcement.discounted_return, inputs={"gamma": GAMMA}, sizes=EPISODES, examples=EXAMPLES),
        exercise(
            reinforcement.rewards_to_go,
            inputs={"dones": flags(), "gamma": GAMMA},
            sizes=EPISODES,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.categorical_log_prob,
            inputs={"logits": real(edge=1e4), "actions": index("A")},
            sizes={"A": (2, 5)},
            differentiable=["logits"],
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.diagonal_gaussian_log_prob,
            inputs={"log_std": real(low=-3, high=2)},
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.tanh_gaussian_sample,
            inputs={
                "mean": real(low=-4, high=4, edge=(30.0, -30.0)),
                "log_std": real(low=-2, high=0.5),
                "noise": real(low=-3, high=3),
            },
            differentiable=True,
            examples=EXAMPLES,
            uses=["diagonal_gaussian_log_prob"],
        ),
        exercise(
            reinforcement.exact_policy_gradient,
            inputs={"baseline": number(1.0, 0.0, -2.0, 0.5)},
            sizes={"arms": (2, 5)},
            examples=EXAMPLES,
        ),
        exercise(reinforcement.policy_gradient_loss, sizes=EPISODES, differentiable=True, examples=EXAMPLES),
        exercise(reinforcement.value_loss, sizes=EPISODES, differentiable=True, examples=EXAMPLES),
        exercise(
            reinforcement.gae,
            inputs={"dones": flags(), "gamma": GAMMA, "lam": LAM},
            sizes=EPISODES,
            uses=["rewards_to_go"],
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.normalize_advantages,
            inputs={"advantages": domain(spread_advantages)},
            sizes={"time": (2, 6)},
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.ppo_clip_loss,
            inputs={
                "log_probs": domain(log_probs_away_from_the_clip),
                "old_log_probs": real(edge=(-200.0, -120.0)),
                "clip": choice(0.2, 0.1, 0.3),
            },
            sizes=EPISODES,
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.ppo_kl_penalty_loss,
            inputs={
                "log_probs": domain(log_probs_away_from_the_clip),
                "old_log_probs": real(edge=(-200.0, -120.0)),
                "kl": real(low=0),
                "coef": number(1.0, 0.5, 2.0, 0.0, low=0),
            },
            sizes=EPISODES,
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.adapt_kl_coefficient,
            inputs={
                "coef": number(1.0, 0.5, 3.0, low=0.01),
                "kl": domain(divergence_off_the_limits),
                "target": number(1.0, 0.01, 0.5, low=0.001),
            },
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.clipped_value_loss,
            inputs={"values": domain(values_away_from_the_clip), "clip": choice(0.2, 0.1, 0.3)},
            sizes=EPISODES,
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.entropy_bonus,
            inputs={"logits": real(edge=1e4)},
            sizes={"A": (2, 5)},
            differentiable=True,
            examples=EXAMPLES,
            without={"precision": "log(p + 1e-8) is right too; another check asks for the dtype"},
        ),
        exercise(
            reinforcement.surrogate_advantage,
            inputs={
                "log_probs": domain(log_probs_away_from_the_clip),
                "old_log_probs": real(edge=(-200.0, -120.0)),
            },
            sizes=EPISODES,
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.mean_categorical_kl,
            inputs={"logits": real(edge=40), "old_logits": real(edge=40)},
            sizes={"A": (2, 5)},
            differentiable=True,
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.conjugate_gradient,
            inputs={
                "hvp": probe("MatrixProduct", matrix=domain(positive_definite)),
                "iters": choice(10, 1, 2, 3),
                "tol": domain(tolerance),
            },
            examples=EXAMPLES,
            without=FREE_OF_EPSILONS,
        ),
        exercise(
            reinforcement.trpo_step,
            inputs={
                "g": domain(not_zero),
                "hvp": probe("MatrixProduct", matrix=domain(positive_definite)),
                "delta": number(0.01, 0.5, 0.1, low=0.001),
            },
            examples=EXAMPLES,
            without=FREE_OF_EPSILONS,
            uses=["conjugate_gradient"],
        ),
        exercise(
            reinforcement.backtracking_line_search,
            inputs={
                "step": domain(not_zero),
                "objective": probe(
                    "Quadratic",
                    centre=domain(along_the_step),
                    weights=domain(lambda d: -torch.arange(1.0, 1 + d.size("n"))),
                    offset=number(0.0, 1.0, -2.0),
                ),
                "kl": probe(
                    "Quadratic",
                    centre=domain(lambda d: d["theta"].clone()),
                    weights=domain(lambda d: 1 / torch.arange(1.0, 1 + d.size("n"))),
                ),
                "delta": domain(part_of_the_steps_divergence),
                "alpha": choice(0.8, 0.5),
                "max_steps": choice(10, 5, 3, 1),
            },
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.q_learning_target,
            inputs={"dones": flags(), "gamma": GAMMA},
            sizes={"A": (2, 4)},
            examples=EXAMPLES,
        ),
        exercise(reinforcement.ReplayBuffer, inputs={"capacity": integer(1, 4)}),
        exercise(
            reinforcement.polyak_update,
            inputs={
                "target": domain(parameters),
                "source": domain(parameters),
                "rho": number(0.9, 0.5, 0.995, 0.0, 1.0, low=0, high=1),
            },
            sizes={"parameters": (1, 3)},
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.ddpg_losses,
            inputs={"dones": flags(), "gamma": GAMMA},
            differentiable=["q", "q_next", "q_pi", "rewards"],
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.exploration_action,
            inputs={
                "low": LOW,
                "high": HIGH,
            },
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.td3_targets,
            inputs={
                "dones": flags(),
                "policy": probe("Policy", weight=real(dims="action state")),
                "q1": probe("Critic", a=real(dims="state"), b=real(dims="action")),
                "q2": probe("Critic", a=real(dims="state"), b=real(dims="action")),
                "gamma": GAMMA,
                "noise_clip": choice(0.5, 1.0, 0.25),
                "low": LOW,
                "high": HIGH,
            },
            sizes={"action": (1, 3), "state": (1, 3)},
            examples=EXAMPLES,
            uses=["exploration_action"],
        ),
        exercise(
            reinforcement.sac_targets,
            inputs={"dones": flags(), "gamma": GAMMA, "alpha": number(0.5, 1.0, 0.25, 0.0, low=0)},
            examples=EXAMPLES,
        ),
        exercise(
            reinforcement.sac_policy_loss,
            inputs={"q2": domain(another_value), "alpha": number(0.5, 1.0, 0.25, 0.0, low=0)},
            differentiable=True,
            examples=EXAMPLES,
        ),
    ],
)
