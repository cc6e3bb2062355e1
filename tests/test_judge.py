"""Right answers in odd styles pass, wrong ones that almost pass do not."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograder import grade_function
from autograder.results import ExerciseResult
from reference_impl import reinforcement, vae

VAE_WEEK, RL = "week07_vae", "week15_reinforcement"
KL, kl = "kl_to_standard_normal", vae.kl_to_standard_normal


class _Callable:
    """An object that is called like a function."""

    def __call__(self, mean, log_variance):
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        return torch.distributions.kl_divergence(q, p).sum(-1)


def _in_place_on_views(mu, logvar):
    terms = torch.stack([mu, logvar]).clone()
    squares, logs = terms.unbind()
    total = squares.mul(squares)
    total += logs.exp()
    total.sub_(logs).sub_(1)
    return total.sum(dim=-1).div(2)


def _with_float64_inside(mu, logvar):
    wide_mu, wide_logvar = mu.double(), logvar.double()
    return (0.5 * (wide_mu**2 + wide_logvar.exp() - 1 - wide_logvar).sum(-1)).to(mu.dtype)


@torch.jit.ignore
def _recursive(mu, logvar):
    if mu.shape[-1] == 0:
        return torch.zeros(mu.shape[:-1], dtype=mu.dtype)
    head = (mu[..., 0] ** 2 + logvar[..., 0].exp() - 1 - logvar[..., 0]) / 2
    return head + _recursive(mu[..., 1:], logvar[..., 1:])


RIGHT = [
    (VAE_WEEK, "kl_to_standard_normal", _Callable()),
    (VAE_WEEK, "kl_to_standard_normal", _in_place_on_views),
    (VAE_WEEK, "kl_to_standard_normal", _with_float64_inside),
    (VAE_WEEK, "kl_to_standard_normal", _recursive),
    (VAE_WEEK, "kl_to_standard_normal", lambda *arguments: vae.kl_to_standard_normal(*arguments)),
    (VAE_WEEK, "vae_loss", functools.partial(lambda scale, *a: scale * vae.vae_loss(*a), 1.0)),
    (VAE_WEEK, "reparameterize", lambda a, b, c: torch.einsum("...,...->...", torch.exp(b / 2), c) + a),
    (RL, "normalize_advantages", lambda a: (a - a.mean()) / (torch.std(a) + 1e-8)),
]


@pytest.mark.parametrize(("week", "exercise", "answer"), RIGHT)
def test_right_answers_in_odd_styles(week: str, exercise: str, answer) -> None:
    result = grade_function(week, exercise, answer)
    assert result.score == result.max_score, [c.message for c in result.checks if c.message]


def _lost(result: ExerciseResult) -> set[str]:
    return {c.name for c in result.checks if c.points < c.max_points}


def _off_by_one_in_a_thousand(mu, logvar):
    return vae.kl_to_standard_normal(mu, logvar) * 1.001


def _slightly_off(mu, logvar):
    return vae.kl_to_standard_normal(mu, logvar) + 2e-5


def _memorises_the_published(mu, logvar):
    return vae.kl_to_standard_normal(mu, logvar) if mu.ndim == 2 and mu.numel() <= 2 else mu.sum(-1)


WRONG = [
    (KL, _off_by_one_in_a_thousand, {"agrees"}),
    (KL, _slightly_off, {"agrees"}),
    (KL, _memorises_the_published, {"agrees"}),
    (KL, lambda mu, logvar: kl(mu, logvar)[..., None], {"agrees"}),
    (KL, lambda mu, logvar: kl(mu, logvar).numpy(), {"agrees"}),
    (KL, lambda mu, logvar: None, {"agrees"}),
    (KL, lambda mu: mu, {"agrees"}),
    (KL, lambda mu, logvar: kl(mu, logvar).double(), {"precision"}),
    (KL, lambda mu, logvar: kl(mu.detach(), logvar), {"gradients"}),
]


@pytest.mark.parametrize(("exercise", "answer", "lost"), WRONG)
def test_wrong_answers_that_almost_pass(exercise: str, answer, lost: set[str]) -> None:
    result = grade_function(VAE_WEEK, exercise, answer)
    assert lost <= _lost(result)
    if "agrees" in lost:
        assert result.score == 0


def test_the_counterexample_is_code_that_runs_and_fails() -> None:
    def mean_instead_of_sum(mu, logvar):
        return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(-1)

    result = grade_function(VAE_WEEK, "kl_to_standard_normal", mean_instead_of_sum)
    example = result.checks[0].counterexample
    assert example is not None
    namespace = {"kl_to_standard_normal": mean_instead_of_sum}
    exec(example.code, namespace)
    mu, logvar = namespace["mu"], namespace["logvar"]
    assert mu.shape == (1, 2), "the smallest input on which mean and sum differ"
    assert example.got.startswith(str(mean_instead_of_sum(mu, logvar).tolist())[:6])
    assert example.expected.startswith(str(vae.kl_to_standard_normal(mu, logvar).tolist())[:6])
    assert example.where == "[0]"


def test_the_misconception_is_named() -> None:
    def my_own_wrong_way(m, s):
        return -(m**2 + s.exp() - 1 - s).sum(-1) / 2

    result = grade_function(VAE_WEEK, "kl_to_standard_normal", my_own_wrong_way)
    assert result.misconception == "The sign is turned: this is minus the KL divergence."


def test_an_unknown_mistake_gets_no_name() -> None:
    result = grade_function(VAE_WEEK, "kl_to_standard_normal", lambda mu, logvar: mu.sum(-1) + 17)
    assert (result.score, result.misconception) == (0, "")


def test_a_class_with_other_parameter_names_is_told_so() -> None:
    class VAE(nn.Module):
        def __init__(self, data, hidden, latent):
            super().__init__()
            self.enc = nn.Linear(data, hidden)

    result = grade_function(VAE_WEEK, "VAE", VAE)
    assert result.score == 0
    assert "parameter" in result.checks[0].message and "enc" in result.checks[0].message


def test_public_checks_alone() -> None:
    public = grade_function(VAE_WEEK, "kl_to_standard_normal", vae.kl_to_standard_normal, tier="public")
    hidden = grade_function(VAE_WEEK, "kl_to_standard_normal", vae.kl_to_standard_normal)
    assert 0 < public.max_score < hidden.max_score
    assert {c.tier for c in public.checks} == {"public"}


@pytest.mark.parametrize(
    ("week", "exercise", "tier", "word"),
    [
        ("week99", "kl_to_standard_normal", "hidden", "week99"),
        (VAE_WEEK, "klee", "hidden", "klee"),
        (VAE_WEEK, "elbo", "secret", "secret"),
    ],
)
def test_errors_name_the_value_and_the_way_out(week: str, exercise: str, tier: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        grade_function(week, exercise, F.relu, tier=tier)


def test_a_sampler_that_misses_the_newest_is_caught() -> None:
    class Forgetful(reinforcement.ReplayBuffer):
        def sample(self, batch_size, generator):
            return super().sample(batch_size, torch.Generator().manual_seed(7))

    right = grade_function(RL, "ReplayBuffer", reinforcement.ReplayBuffer)
    wrong = grade_function(RL, "ReplayBuffer", Forgetful)
    assert right.score == right.max_score
    assert wrong.score < wrong.max_score
