"""Week 7: the checks that students have too."""

import itertools
import math

import torch

from autograder.author import above, at_least, at_most, check, close, equal


@check("reparameterize", examples=4)
def gives_a_worked_draw(reparameterize, mu):
    """With mean 1 and variance 4 (logvar = ln 4), the noise 0.5 gives z = 1 + 2 * 0.5 = 2."""
    one = torch.ones_like(mu)
    close(reparameterize(one, (4 * one).log(), one / 2), 2 * one)


@check("reparameterize")
def doubles_its_distance_with_four_times_the_variance(reparameterize, mu, logvar, eps):
    """Four times the variance (logvar + ln 4) is twice the standard deviation: z is twice as far from mu."""
    once, twice = reparameterize(mu, logvar, eps), reparameterize(mu, logvar + math.log(4), eps)
    close(twice - mu, 2 * (once - mu))


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


@check("gaussian_log_likelihood")
def has_a_density_that_integrates_to_one(gaussian_log_likelihood, mean, logvar):
    """It is the logarithm of a density: in one dimension, the area under it, out to 8 sigma, is 1."""
    mean, logvar = mean[0, :1], logvar[0, :1]
    sigma = (logvar / 2).exp()
    x = mean + torch.arange(-16, 17)[:, None] / 2 * sigma  # (33, 1)
    log_density = gaussian_log_likelihood(x, mean.expand(33, 1), logvar.expand(33, 1))
    close(log_density.exp().sum(0) * sigma[0] / 2, torch.ones_like(sigma[0]))


@check("gaussian_log_likelihood", examples=4)
def gives_a_worked_density(gaussian_log_likelihood, x):
    """An x one sigma from the mean, sigma = 2, costs (1 + ln 4 + ln 2 pi) / 2 = 2.112086: logvar is ln 4."""
    one = torch.ones_like(x)
    expected = -0.5 * (1 + math.log(4) + math.log(2 * math.pi)) * one.sum(-1)
    close(gaussian_log_likelihood(3 * one, one, (4 * one).log()), expected)


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


@check("VAE", examples=32)
def decodes_alike_in_training_and_sampling(VAE, data, hidden, latent, state, x, eps):
    """`sample` decodes as `forward` does: at z = mu + sigma eps its pixel means are sigmoid(logits)."""
    model = VAE(data, hidden, latent).load(state)
    logits, mu, logvar = model(x, eps)
    pixels = model.sample(mu + (logvar / 2).exp() * eps)
    at_least(pixels, 0)
    at_most(pixels, 1)
    close(pixels, logits.sigmoid())


@check("iwae_bound")
def lies_between_the_mean_and_the_largest(iwae_bound, log_w):
    """The bound is at least the mean of log w, the ELBO's estimate, and at most the largest log w."""
    bound = iwae_bound(log_w)
    at_least(bound, log_w.mean(0))
    at_most(bound, log_w.amax(0))


@check("iwae_bound")
def is_the_elbo_for_one_sample(iwae_bound, log_w):
    """With a single sample, K = 1, the bound is log w itself: the ELBO's estimate."""
    close(iwae_bound(log_w[:1]), log_w[0])


@check("iwae_bound", examples=4)
def averages_the_weights(iwae_bound, log_w):
    """The weights 1 and 3 have the mean 2: the bound is ln 2, not the mean of logarithms, ln 3 / 2."""
    pair = torch.stack([0 * log_w[0], 0 * log_w[0] + math.log(3)])
    close(iwae_bound(pair), 0 * log_w[0] + math.log(2))


@check("vector_quantize")
def leaves_codes_as_they_are(vector_quantize, codebook):
    """A vector that is a code stays what it is, gets this code's index, and costs nothing."""
    quantized, indices, codebook_loss, commitment_loss = vector_quantize(codebook, codebook)
    close(quantized, codebook)
    equal(indices, torch.arange(len(codebook)))
    close([codebook_loss, commitment_loss], [0 * codebook.sum()] * 2)


@check("vector_quantize", examples=4)
def gives_a_worked_example(vector_quantize, z):
    """(2, 1) is nearer to (1, 0) than to (9, 9): index 0, and both losses are (1 + 1) / 2 = 1."""
    codes, one = z.new_tensor([[1, 0], [9, 9]]), z.new_tensor(1)
    close(vector_quantize(z.new_tensor([[2, 1]]), codes), [codes[:1], torch.tensor([0]), one, one])


@check("vector_quantize", examples=32)
def lets_the_gradient_straight_through(vector_quantize, z, codebook):
    """What arrives at `quantized` goes on to z as it is; no gradient of it reaches the codebook."""
    arriving, none = torch.cos(z), 0 * z.sum()
    asked = {"wrt": [0, 1], "cotangents": [arriving, none, none]}
    to_z, to_codes = vector_quantize.ask([z, codebook], **asked)["gradients"]
    close(0 * z if to_z is None else to_z, arriving)
    close(0 * codebook if to_codes is None else to_codes, 0 * codebook)


@check("vector_quantize", examples=32)
def moves_each_side_by_its_own_loss(vector_quantize, z, codebook):
    """The codebook loss (third) has no gradient for z, the commitment loss (fourth) none for the codebook."""
    none, one = 0 * z.sum(), 0 * z.sum() + 1
    asked = {"wrt": [0, 1], "cotangents": [0 * z, one, none]}
    to_z = vector_quantize.ask([z, codebook], **asked)["gradients"][0]
    close(0 * z if to_z is None else to_z, 0 * z)
    asked = {"wrt": [0, 1], "cotangents": [0 * z, none, one]}
    to_codes = vector_quantize.ask([z, codebook], **asked)["gradients"][1]
    close(0 * codebook if to_codes is None else to_codes, 0 * codebook)


@check("interpolate_latents")
def begins_and_ends_where_it_should(interpolate_latents, z0, z1, n, spherical):
    """The first of the n points is z0, the last is z1."""
    path = interpolate_latents(z0, z1, n, spherical)
    equal(len(path), n)
    close([path[0], path[-1]], [z0, z1])


@check("interpolate_latents", examples=4)
def meets_halfway(interpolate_latents, z0):
    """Halfway from (2, 0) to (0, 2) the line is at (1, 1); the arc keeps the length: sqrt(2) (1, 1)."""
    ends, one = (z0.new_tensor([2, 0]), z0.new_tensor([0, 2])), z0.new_tensor([1, 1])
    close(interpolate_latents(*ends, 3)[1], one)
    close(interpolate_latents(*ends, 3, True)[1], math.sqrt(2) * one)


@check("interpolate_latents")
def keeps_the_length_on_the_sphere(interpolate_latents, z0, z1, n):
    """Between two vectors of the same length, every point of the spherical path has this length."""
    length = z0.norm(dim=-1, keepdim=True)
    path = interpolate_latents(z0, z1 / z1.norm(dim=-1, keepdim=True) * length, n, True)
    close(path.norm(dim=-1), length[..., 0].expand(path.shape[:-1]))


@check("conv_vae_tables", gate=True)
def counts_the_first_convolution(conv_vae_tables):
    """128 kernels of 3 x 3 x 3 weights and a bias make 3,584 parameters; stride 2 halves 32 to 16."""
    encoder, decoder = conv_vae_tables()
    equal([len(encoder), len(decoder)], [17, 18])
    equal(encoder[:2], [((3, 32, 32), 0), ((128, 16, 16), 3584)])


@check("conv_vae_tables", gate=True)
def comes_back_to_the_size_of_the_image(conv_vae_tables):
    """The decoder's four blocks undo the encoder's: its sizes are those of the encoder, backwards."""
    encoder, decoder = conv_vae_tables()
    down, up = ([shape[-1] for shape, _ in table if len(shape) == 3] for table in (encoder, decoder))
    equal([*down[1::3][::-1], 32], [up[0], *up[1:-1:3]])
    equal(decoder[-1][0], encoder[0][0])


@check("conv_vae_tables", gate=True)
def counts_as_many_weights_both_ways(conv_vae_tables):
    """From 128 to 128 channels, a transposed convolution has as many parameters as a plain one."""
    encoder, decoder = conv_vae_tables()
    equal([row[1] for row in decoder[5:17:3]], [encoder[4][1]] * 4)
    equal(encoder[4][1], encoder[7][1])
