"""Week 7: the checks that only the instructor has; the battery comes on top."""

from autograder.author import check, close, real


@check("kl_to_standard_normal", points=1, more=real(dims="*batch latent"), logvar_more=real(dims="*batch latent"))
def adds_up_over_independent_dimensions(kl_to_standard_normal, mu, logvar, more, logvar_more):
    """The KL of two independent blocks of dimensions is the sum of their KLs."""
    import torch

    both = kl_to_standard_normal(torch.cat([mu, more], -1), torch.cat([logvar, logvar_more], -1))
    close(both, kl_to_standard_normal(mu, logvar) + kl_to_standard_normal(more, logvar_more))
