"""Week 7: wrong ways to write the answers, each with the misunderstanding behind it."""

import torch
from reference_impl import vae

from autograder.author import mistake


@mistake("kl_to_standard_normal", "You treat logvar as the logarithm of the standard deviation; it is log sigma^2.")
def log_std_for_logvar(mu, logvar):
    return 0.5 * (mu.square() + (2 * logvar).exp() - 1 - 2 * logvar).sum(-1)


@mistake("kl_to_standard_normal", "The factor 1/2 in front of the sum is missing.")
def without_the_half(mu, logvar):
    return (mu.square() + logvar.exp() - 1 - logvar).sum(-1)


@mistake("kl_to_standard_normal", "The sign is turned: this is minus the KL divergence.")
def wrong_sign(mu, logvar):
    return -vae.kl_to_standard_normal(mu, logvar)


@mistake("kl_to_standard_normal", "You average over the latent dimensions; the KL of independent dimensions adds up.")
def mean_over_latent(mu, logvar):
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(-1)


@mistake("kl_to_standard_normal", "You sum over the batch too: every example has a KL of its own.")
def sum_over_batch(mu, logvar):
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()


@mistake("kl_to_standard_normal", "This is the reverse divergence KL(N(0, I) || q); the prior comes second.")
def reversed_arguments(mu, logvar):
    return 0.5 * ((1 + mu.square()) / logvar.exp() - 1 + logvar).sum(-1)


@mistake("VAE", "`sample` returns logits; the pixel means are their sigmoid.")
class SampleReturnsLogits(vae.VAE):
    def sample(self, noise):
        return self.logits(torch.tanh(self.decoder(noise)))
