"""Week 7: the checks that students have too."""

import itertools
import math

import torch

from autograder.author import above, at_least, at_most, check, close


@check("reparameterize", examples=4)
def gives_a_worked_draw(reparameterize, mu):
    """With mean 1 and variance 4 (logvar = ln 4), the noise 0.5 gives z = 1 + 2 * 0.5 = 2."""
    one = torch.ones_like(mu)
    close(reparameterize(one, (4 * one).log(), one / 2), 2 * one)


@check("kl_to_standard_normal")
def is_zero_only_at_the_prior(kl_to_standard_normal, mu, logvar):
    """KL is never negative, and it is zero when q is the prior N(0, I), only then."""
    at_least(kl_to_standard_normal(mu, logvar), 0)
    close(kl_to_standard_normal(0 * mu, 0 * logvar), torch.zeros_like(mu[..., 0]))
    above(kl_to_standard_normal(mu.abs() + 1, logvar), 0)


@check("kl_to_standard_normal", examples=4)
def gives_the_worked_example(kl_to_standard_normal, mu):
    """KL(N(1, 2^2) || N(0, 1)) = 2 - ln 2 = 1.306853 nats: logvar is ln 4."""
    one = torch.ones_like(mu[..., :1])
    close(kl_to_standard_normal(one, (4 * one).log()), 2 * one[..., 0] - math.log(2))


@check("bernoulli_log_likelihood")
def has_probabilities_that_add_up_to_one(bernoulli_log_likelihood, logits):
    """It is the logarithm of a distribution: over all x of zeros and ones, the probabilities add up to 1."""
    patterns = itertools.product([0.0, 1.0], repeat=logits.shape[-1])
    every_x = [torch.zeros_like(logits) + torch.tensor(x, dtype=logits.dtype) for x in patterns]
    total = sum(bernoulli_log_likelihood(logits, x).exp() for x in every_x)
    close(total, torch.ones_like(logits[..., 0]))


@check("bernoulli_log_likelihood", examples=4)
def survives_certainty(bernoulli_log_likelihood, x):
    """Logits of +-200 need no infinities: sure and right costs 0 nats, sure and wrong 200 per pixel."""
    ones = torch.ones_like(x)
    close(bernoulli_log_likelihood(200 * ones, ones), 0 * ones.sum(-1))
    close(bernoulli_log_likelihood(-200 * ones, ones), -200 * ones.sum(-1))


@check("elbo")
def is_highest_for_the_prior(elbo, x, logits, mu, logvar):
    """For given logits, the bound is highest where q is the prior: every other q costs KL > 0 nats."""
    above(elbo(x, logits, 0 * mu, 0 * logvar), elbo(x, logits, mu.abs() + 1, logvar))


@check("elbo", examples=4)
def gives_a_worked_bound(elbo, x, mu):
    """Blind logits of 0 cost ln 2 nats per pixel, and q = N(1, 1) costs 1/2 nat per latent dimension."""
    expected = -math.log(2) * torch.ones_like(x).sum(-1) - torch.ones_like(mu).sum(-1) / 2
    close(elbo(x, 0 * x, torch.ones_like(mu), 0 * mu), expected)


@check("vae_loss")
def beta_weighs_the_kl_alone(vae_loss, x, logits, mu, logvar):
    """With beta = 0 the loss does not see q at all; at the prior it does not see beta."""
    close(vae_loss(x, logits, mu, logvar, 0.0), vae_loss(x, logits, 0 * mu, 0 * logvar, 0.0))
    close(vae_loss(x, logits, 0 * mu, 0 * logvar, 4.0), vae_loss(x, logits, 0 * mu, 0 * logvar, 0.5))


@check("vae_loss")
def is_plain_without_beta(vae_loss, x, logits, mu, logvar):
    """Where no beta is given, it is 1: the loss is minus the mean ELBO."""
    close(vae_loss(x, logits, mu, logvar), vae_loss(x, logits, mu, logvar, 1.0))


@check("VAE")
def decodes_alike_in_training_and_sampling(VAE, data, hidden, latent, state, x, eps):
    """`sample` decodes as `forward` does: at z = mu + sigma eps its pixel means are sigmoid(logits)."""
    model = VAE(data, hidden, latent).load(state)
    logits, mu, logvar = model(x, eps)
    pixels = model.sample(mu + (logvar / 2).exp() * eps)
    at_least(pixels, 0)
    at_most(pixels, 1)
    close(pixels, logits.sigmoid())
