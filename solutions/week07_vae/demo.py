"""Week 7: a sample class for `autograder demo`."""

from autograder.demo import Student

ALL = (
    "reparameterize",
    "kl_to_standard_normal",
    "bernoulli_log_likelihood",
    "gaussian_log_likelihood",
    "elbo",
    "vae_loss",
    "VAE",
    "iwae_bound",
    "vector_quantize",
    "interpolate_latents",
    "conv_vae_tables",
)

ALTERNATIVE = {
    "reparameterize": """
def reparameterize(mean, log_variance, noise):
    return torch.addcmul(mean, (0.5 * log_variance).exp(), noise)
""",
    "kl_to_standard_normal": """
from torch.distributions import Normal, kl_divergence

def kl_to_standard_normal(mean, log_variance):
    q = Normal(mean, torch.exp(0.5 * log_variance))
    return kl_divergence(q, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(-1)
""",
    "bernoulli_log_likelihood": """
def bernoulli_log_likelihood(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
""",
    "elbo": """
def elbo(x, logits, mu, logvar):
    reconstruction = torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(x).sum(-1)
    return reconstruction - kl_to_standard_normal(mu, logvar)
""",
    "vae_loss": """
def vae_loss(x, logits, mu, logvar, beta=1.0):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
    return reconstruction + beta * kl_to_standard_normal(mu, logvar).mean()
""",
    "gaussian_log_likelihood": """
def gaussian_log_likelihood(x, mean, logvar):
    return torch.distributions.Normal(mean, torch.exp(0.5 * logvar)).log_prob(x).sum(-1)
""",
    "iwae_bound": """
def iwae_bound(log_w):
    largest = log_w.max(dim=0).values
    return largest + (log_w - largest).exp().mean(dim=0).log()
""",
    "vector_quantize": """
def vector_quantize(z, codebook):
    indices = torch.cdist(z, codebook).argmin(dim=1)
    codes = F.embedding(indices, codebook)
    return z + (codes - z).detach(), indices, F.mse_loss(codes, z.detach()), F.mse_loss(z, codes.detach())
""",
}

LOOPS = {
    "reparameterize": """
def reparameterize(mu, logvar, eps):
    z = torch.zeros_like(mu)
    for i in range(mu.shape[-1]):
        z[..., i] += eps[..., i]
        z[..., i] *= torch.exp(logvar[..., i] / 2)
        z[..., i] += mu[..., i]
    return z
""",
    "kl_to_standard_normal": """
def kl_to_standard_normal(mu, logvar):
    total = torch.zeros(mu.shape[:-1], dtype=mu.dtype)
    for i in range(mu.shape[-1]):
        total += mu[..., i] ** 2 / 2
        total += (torch.exp(logvar[..., i]) - logvar[..., i]) / 2
        total -= 0.5
    return total
""",
    "bernoulli_log_likelihood": """
def bernoulli_log_likelihood(logits, x):
    total = torch.zeros(x.shape[:-1], dtype=x.dtype)
    for i in range(x.shape[-1]):
        total += x[..., i] * F.logsigmoid(logits[..., i])
        total += (1 - x[..., i]) * F.logsigmoid(-logits[..., i])
    return total
""",
    "elbo": """
def elbo(x, logits, mu, logvar):
    return bernoulli_log_likelihood(x=x, logits=logits) - kl_to_standard_normal(mu, logvar=logvar)
""",
    "vae_loss": """
def vae_loss(x, logits, mu, logvar, beta=1.0):
    kl = kl_to_standard_normal(logvar=logvar, mu=mu)
    cost = (beta * kl - bernoulli_log_likelihood(logits, x=x)).reshape(-1)
    total = torch.zeros((), dtype=x.dtype)
    for one in cost:
        total += one
    return total / len(cost)
""",
    "gaussian_log_likelihood": """
def gaussian_log_likelihood(x, mean, logvar):
    total = torch.zeros(x.shape[:-1], dtype=x.dtype)
    for i in range(x.shape[-1]):
        sigma = torch.exp(logvar[..., i] / 2)
        total -= ((x[..., i] - mean[..., i]) / sigma) ** 2 / 2
        total -= torch.log(sigma) + math.log(2 * math.pi) / 2
    return total
""",
    "iwae_bound": """
def iwae_bound(log_w):
    total = log_w[0]
    for row in log_w[1:]:
        total = torch.logaddexp(total, row)
    return total - math.log(len(log_w))
""",
    "vector_quantize": """
def vector_quantize(z, codebook):
    indices = torch.zeros(len(z), dtype=torch.int64)
    for i in range(len(z)):
        indices[i] = ((codebook - z[i]) ** 2).sum(dim=1).argmin()
    codes = codebook[indices]
    squares = [(codes - z.detach()) ** 2, (z - codes.detach()) ** 2]
    return codes.detach() + z - z.detach(), indices, *(v.sum() / v.numel() for v in squares)
""",
    "interpolate_latents": """
def interpolate_latents(z0, z1, n, spherical=False):
    path = torch.zeros(n, *z0.shape, dtype=z0.dtype)
    cosine = F.cosine_similarity(z0, z1, dim=-1).clamp(-1, 1).unsqueeze(-1)
    for k in range(n):
        t = k / (n - 1)
        path[k] = (1 - t) * z0 + t * z1
        if spherical:
            a = torch.arccos(cosine)
            arc = (torch.sin((1 - t) * a) * z0 + torch.sin(t * a) * z1) / torch.sin(a)
            path[k] = torch.where(cosine > 0.9999, path[k], arc)
    return path
""",
}

SINGLE = {
    "reparameterize": """
def reparameterize(mu, logvar, eps):
    z = mu.float() + torch.exp(logvar.float() / 2) * eps.float()
    return z.to(mu.dtype)
""",
    "kl_to_standard_normal": """
def kl_to_standard_normal(mu, logvar):
    mu, logvar, dtype = mu.float(), logvar.float(), mu.dtype
    return (0.5 * (mu ** 2 + logvar.exp() - 1 - logvar).sum(-1)).to(dtype)
""",
    "bernoulli_log_likelihood": """
def bernoulli_log_likelihood(logits, x):
    return (x.float() * logits.float() - F.softplus(logits.float())).sum(-1).to(x.dtype)
""",
    "elbo": """
def elbo(x, logits, mu, logvar):
    x, logits, mu, logvar, dtype = x.float(), logits.float(), mu.float(), logvar.float(), x.dtype
    return (bernoulli_log_likelihood(logits, x) - kl_to_standard_normal(mu, logvar)).to(dtype)
""",
    "vae_loss": """
def vae_loss(x, logits, mu, logvar, beta=1.0):
    x, logits, mu, logvar, dtype = x.float(), logits.float(), mu.float(), logvar.float(), x.dtype
    return (beta * kl_to_standard_normal(mu, logvar) - bernoulli_log_likelihood(logits, x)).mean().to(dtype)
""",
    "gaussian_log_likelihood": """
def gaussian_log_likelihood(x, mean, logvar):
    x, mean, logvar, dtype = x.float(), mean.float(), logvar.float(), x.dtype
    return -0.5 * ((x - mean) ** 2 / logvar.exp() + logvar + math.log(2 * math.pi)).sum(-1).to(dtype)
""",
}


def _delete_checks(notebook):
    notebook.cells = [c for c in notebook.cells if not c.metadata.get("nbgrader", {}).get("grade")]


def _kl(body: str) -> dict[str, str]:
    return {"kl_to_standard_normal": f"def kl_to_standard_normal(mu, logvar):\n{body}"}


def _loss(body: str) -> dict[str, str]:
    return {"vae_loss": f"def vae_loss(x, logits, mu, logvar, beta=1.0):\n{body}"}


STUDENTS = {
    "model": Student("the model solution: full marks"),
    "alternative": Student("another style throughout: full marks", ALTERNATIVE),
    "untouched": Student("the notebook as it was handed out: nothing", untouched=ALL),
    "half-done": Student("the first three exercises alone", untouched=ALL[3:]),
    "missing-half": Student(
        "the KL without its factor 1/2, and a right ELBO and loss built on it",
        {
            **_kl("    return (mu.square() + logvar.exp() - 1 - logvar).sum(-1)\n"),
            **{name: ALTERNATIVE[name] for name in ("elbo", "vae_loss")},
        },
    ),
    "wrong-sign": Student(
        "maximises instead of minimising",
        _loss(
            "    kl = kl_to_standard_normal(mu, logvar)\n"
            "    return (bernoulli_log_likelihood(logits, x) - beta * kl).mean()\n"
        ),
    ),
    "loops": Student("Python loops, in place on its own temporaries, keywords mixed: full marks", LOOPS),
    "single-precision": Student("casts to float32 inside: loses the precision points alone", SINGLE),
    "detached": Student(
        "the loss is a number without a gradient",
        _loss(
            "    kl = kl_to_standard_normal(mu, logvar).detach()\n"
            "    return (beta * kl - bernoulli_log_likelihood(logits, x)).mean()\n"
        ),
    ),
    "syntax-error": Student(
        "a colon is missing in one cell", {"elbo": "def elbo(x, logits, mu, logvar)\n    return 0\n"}
    ),
    "crashes": Student(
        "a segmentation fault in the loss", _loss("    import ctypes\n    return ctypes.string_at(0)\n")
    ),
    "exits": Student("ends the process from inside the loss", _loss("    import os\n    os._exit(0)\n")),
    "loops-forever": Student("never comes back from the loss", _loss("    while True:\n        pass\n")),
    "eats-memory": Student(
        "takes all the memory it can get",
        _loss("    hoard = []\n    while True:\n        hoard.append(torch.ones(1 << 24))\n"),
    ),
    "deletes-checks": Student("deletes every check cell: full marks all the same", edit=_delete_checks),
    "renames-function": Student(
        "calls its function kl_divergence",
        {
            "kl_to_standard_normal": "def kl_divergence(mu, logvar):\n"
            "    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1)\n",
            **{n: LOOPS[n].replace("kl_to_standard_normal", "kl_divergence") for n in ("elbo", "vae_loss")},
        },
    ),
    "noisy": Student(
        "prints, warns and plots while it computes: full marks",
        _kl(
            "    import sys\n"
            "    import warnings\n"
            "    print('mu', mu)\n"
            "    print('logvar', logvar, file=sys.stderr)\n"
            "    warnings.warn('this is deprecated')\n"
            "    plt.plot(mu.detach().reshape(-1))\n"
            "    plt.show()\n"
            "    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1)\n"
        ),
    ),
}
