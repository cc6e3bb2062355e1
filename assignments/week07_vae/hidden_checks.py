"""Week 7: the checks that only the instructor has; the battery comes on top."""

import torch

from autograder.author import check, close, differ, real


@check("reparameterize")
def spreads_by_the_standard_deviation(reparameterize, mu, logvar, eps):
    """Opposite noises give draws around mu, 2 sigma |eps| apart: squared, that is 4 exp(logvar) eps^2."""
    up, down = reparameterize(mu, logvar, eps), reparameterize(mu, logvar, -eps)
    close(up + down, 2 * mu)
    close((up - down).square(), 4 * logvar.exp() * eps.square())


@check("kl_to_standard_normal", more=real(dims="*batch latent"), logvar_more=real(dims="*batch latent"))
def adds_up_over_independent_dimensions(kl_to_standard_normal, mu, logvar, more, logvar_more):
    """The KL of two independent blocks of dimensions is the sum of their KLs."""
    both = kl_to_standard_normal(torch.cat([mu, more], -1), torch.cat([logvar, logvar_more], -1))
    close(both, kl_to_standard_normal(mu, logvar) + kl_to_standard_normal(more, logvar_more))


@check("bernoulli_log_likelihood")
def treats_black_and_white_alike(bernoulli_log_likelihood, logits, x):
    """Swapping the names of 0 and 1 (x to 1 - x, logits to -logits) leaves the likelihood as it is."""
    close(bernoulli_log_likelihood(-logits, 1 - x), bernoulli_log_likelihood(logits, x))


@check("elbo")
def adds_up_over_pixels_and_latent_dimensions(elbo, x, logits, mu, logvar):
    """Both terms are sums: every pixel and every latent dimension shown twice, the bound is doubled."""
    close(elbo(*(torch.cat([v, v], -1) for v in (x, logits, mu, logvar))), 2 * elbo(x, logits, mu, logvar))


@check("vae_loss")
def averages_over_examples_and_adds_up_over_pixels(vae_loss, x, logits, mu, logvar, beta):
    """A batch shown twice has the same loss; every pixel and latent shown twice, twice the loss."""
    once = vae_loss(x, logits, mu, logvar, beta)
    close(vae_loss(*(torch.cat([v, v], 0) for v in (x, logits, mu, logvar)), beta), once)
    close(vae_loss(*(torch.cat([v, v], -1) for v in (x, logits, mu, logvar)), beta), 2 * once)


@check("VAE")
def encodes_without_seeing_the_noise(VAE, data, hidden, latent, state, x, eps):
    """q(z | x) depends on x alone: another noise gives other logits, but the same mu and logvar."""
    model = VAE(data, hidden, latent).load(state)
    logits, *q = model(x, eps)
    others, *same_q = model(x, -eps)
    close(same_q, q)
    differ(others, logits)


@check("VAE")
def is_right_for_large_weights_too(VAE, data, hidden, latent, state, x, eps, reference):
    """Nothing is clamped: narrow and wide q(z | x) and pixels that are all but certain stay as they are."""
    large = {name: 6 * value for name, value in state.items()}
    mine, right = (model(data, hidden, latent).load(large) for model in (VAE, reference))
    close(mine(x, eps), right(x, eps))
    close(mine.sample(eps), right.sample(eps))
