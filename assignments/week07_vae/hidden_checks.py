"""Week 7: the checks that only the instructor has; the battery comes on top."""

import math

import torch

from autograder.author import at_least, check, close, differ, equal, real


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


@check("gaussian_log_likelihood")
def fits_best_with_the_squared_error_as_its_variance(gaussian_log_likelihood, x, mean, logvar):
    """Of all variances, the one that makes a given error likeliest is the error's square."""
    error = (x - mean).abs() + 0.5
    best = gaussian_log_likelihood(mean + error, mean, 2 * error.log())
    at_least(best, gaussian_log_likelihood(mean + error, mean, logvar))
    close(best, -(2 * error.log() + 1 + math.log(2 * math.pi)).sum(-1) / 2)


@check("gaussian_log_likelihood", more=real(dims="*batch data"))
def counts_the_constant_for_each_dimension(gaussian_log_likelihood, x, mean, logvar, more):
    """Independent dimensions add up, each with its own -1/2 ln 2 pi."""
    both = gaussian_log_likelihood(*(torch.cat(v, -1) for v in ([x, more], [mean, x], [logvar, logvar])))
    close(both, gaussian_log_likelihood(x, mean, logvar) + gaussian_log_likelihood(more, x, logvar))


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


@check("VAE", examples=32)
def encodes_without_seeing_the_noise(VAE, data, hidden, latent, state, x, eps):
    """q(z | x) depends on x alone: another noise gives other logits, but the same mu and logvar."""
    model = VAE(data, hidden, latent).load(state)
    logits, *q = model(x, eps)
    others, *same_q = model(x, -eps)
    close(same_q, q)
    differ(others, logits)


@check("VAE", examples=32)
def is_right_for_large_weights_too(VAE, data, hidden, latent, state, x, eps, reference):
    """Nothing is clamped: narrow and wide q(z | x) and pixels that are all but certain stay as they are."""
    large = {name: 6 * value for name, value in state.items()}
    mine, right = (model(data, hidden, latent).load(large) for model in (VAE, reference))
    close(mine(x, eps), right(x, eps))
    close(mine.sample(eps), right.sample(eps))


@check("iwae_bound")
def does_not_see_samples_shown_twice(iwae_bound, log_w):
    """A mean over samples stays what it is when every sample is shown twice."""
    close(iwae_bound(torch.cat([log_w, log_w])), iwae_bound(log_w))


@check("iwae_bound")
def judges_each_example_by_itself(iwae_bound, log_w):
    """Examples whose log-weights lie hundreds of nats apart don't touch each other; nothing overflows."""
    apart = 400 * torch.arange(log_w.shape[1]).to(log_w.dtype) - 600
    close(iwae_bound(log_w + apart), iwae_bound(log_w) + apart)


@check("vector_quantize", examples=4)
def takes_the_first_of_equal_codes(vector_quantize, z):
    """Of equal codes, which are at the same distance, the first is taken."""
    codes, origin = z.new_tensor([[1, 2], [0, 0], [3, 1], [0, 0]]), z.new_zeros(2, 2)
    equal(vector_quantize(origin, codes)[1], torch.tensor([1, 1]))
    equal(vector_quantize(origin, 0 * codes)[1], torch.tensor([0, 0]))


@check("vector_quantize")
def averages_over_vectors_and_dimensions(vector_quantize, z, codebook):
    """Vectors shown twice, or every dimension twice, leave both means as they are."""
    losses = vector_quantize(z, codebook)[2:]
    close(vector_quantize(torch.cat([z, z]), codebook)[2:], losses)
    close(vector_quantize(torch.cat([z, z], 1), torch.cat([codebook, codebook], 1))[2:], losses)


@check("interpolate_latents")
def is_the_same_path_backwards(interpolate_latents, z0, z1, n, spherical):
    """From z1 to z0 it comes past the same points in the other order."""
    there, back = interpolate_latents(z0, z1, n, spherical), interpolate_latents(z1, z0, n, spherical)
    close(back.flip(0), there)


@check("interpolate_latents")
def is_a_line_where_there_is_no_angle(interpolate_latents, z0, n):
    """Vectors in the same direction have the angle 0, where sin(t a) / sin(a) is t in the limit."""
    close(interpolate_latents(z0, 2 * z0, n, True), interpolate_latents(z0, 2 * z0, n, False))
    close(interpolate_latents(z0, z0, n, True), z0.expand(n, *z0.shape))


@check("conv_vae_tables")
def has_the_right_totals(conv_vae_tables):
    """The encoder has 653,584 parameters, the decoder 700,803."""
    encoder, decoder = conv_vae_tables()
    equal([sum(row[1] for row in table) for table in (encoder, decoder)], [653_584, 700_803])
