"""A class of week 7, as the judge would report it: right, half right, wrong, broken, and our own faults."""

from __future__ import annotations

from collections.abc import Iterator

from autograder import dashboard
from autograder.results import CellProblem, CheckResult, Counterexample, ExerciseResult, Report

TITLES = {
    "published": "It gives the published answers on the published examples.",
    "agrees": "It agrees with the reference on examples drawn from the whole domain.",
    "gradients": "Its gradients agree with the reference's: nothing is detached that should not be.",
    "precision": "In float64 it is right to float64's precision, and the dtype of the inputs is kept.",
    "batches": "It works with any number of leading batch dimensions, also with none.",
    "edges": "It stays right at the edges of the domain, without overflow.",
    "pure": "It leaves its inputs as they are and gives the same answer twice.",
    "gpu": "It agrees with the reference on a GPU, in bfloat16 too.",
    "zero": "KL is never negative, and it is zero when q is the prior N(0, I), only then.\n\n"
    "A divergence of zero from something else than the prior means that a term is missing.",
}
_BATTERY = ("published", "agrees", "gradients", "precision", "batches", "edges", "pure")
EXERCISES = {
    "reparameterize": ("published", "agrees", "gradients", "precision", "batches", "pure"),
    "kl_to_standard_normal": (*_BATTERY, "zero"),
    "bernoulli_log_likelihood": _BATTERY,
    "elbo": _BATTERY,
    "vae_loss": ("published", "agrees", "gradients", "precision", "edges", "pure"),
    "VAE": ("published", "agrees", "gradients", "pure"),
}

KL = Counterexample(
    "import torch\n\nmu = torch.tensor([0.0, 0.0])\nlogvar = torch.tensor([0.0, 1.0])\n"
    "kl_to_standard_normal(mu, logvar)",
    "0.35914091",
    "2.194528",
)
KL_BATCH = Counterexample(
    "import torch\n\nmu = torch.tensor([[0.0], [0.0]])\nlogvar = torch.tensor([[0.0], [1.0]])\n"
    "kl_to_standard_normal(mu, logvar)",
    "[0.0, 0.35914091]  # shape (2,)",
    "[0.0, 2.194528]  # shape (2,)",
    "[1]",
)
OVERFLOW = Counterexample(
    "import torch\n\nlogits = torch.tensor([[0.0, -104.0], [1.0, 0.5]])\n"
    "x = torch.tensor([[1.0, 1.0], [1.0, 0.0]])\nbernoulli_log_likelihood(logits, x)",
    "[-104.69315, -1.2873386]  # shape (2,)",
    '[float("-inf"), -1.2873386]  # shape (2,)',
    "[0]",
)
LOG_STD = "You treat `logvar` as the logarithm of the standard deviation: it is that of the variance."
SUM_OVER_BATCH = "You average over the latent dimensions where the KL sums over them."
EXPONENT = "You take the logarithm of a sigmoid: that is minus infinity for large logits. Use `logsigmoid`."
TRACEBACK = (
    "\x1b[0;31m---------------------------------------------------------------------------\x1b[0m\n"
    "\x1b[0;31mNameError\x1b[0m                                 Traceback (most recent call last)\n"
    "Cell \x1b[0;32mIn[7], line 3\x1b[0m\n"
    "\x1b[1;32m      1\x1b[0m model \x1b[38;5;241m=\x1b[39m VAE(4, 8, 2)\n"
    "\x1b[0;32m----> 3\x1b[0m losses \x1b[38;5;241m=\x1b[39m train(model, loader)\n\n"
    "\x1b[0;31mNameError\x1b[0m: name 'loader' is not defined"
)


def a_check(
    name: str, verdict: str = "passed", message: str = "", example: Counterexample | None = None
) -> CheckResult:
    most = 2 if name == "agrees" else 1
    tier = "public" if name in ("published", "zero") else "hidden"
    earned = float(most) if verdict == "passed" else 0.0
    return CheckResult(
        name, TITLES[name], tier, verdict, earned, most, message, example, examples=64, left_out=1
    )


def an_exercise(
    name: str, status: str = "passed", misconception: str = "", notes: tuple[str, ...] = (), **checks
):
    """An exercise in which all checks have the status's verdict, but for those given by name."""
    verdict = {"passed": "passed", "partial": "passed", "fault": "passed"}.get(status, "failed")
    results = [checks.get(n) or a_check(n, verdict) for n in EXERCISES[name]]
    score = sum(c.points for c in results)
    most = sum(c.max_points for c in results if c.verdict != "skipped")
    return ExerciseResult(name, score, most, results, status, misconception, list(notes))


def a_report(student: str, **exercises: ExerciseResult) -> Report:
    """A report of week 7 in which all is right but the exercises given."""
    results = [exercises.get(n) or an_exercise(n) for n in EXERCISES]
    return Report(
        "week07_vae",
        "Variational autoencoders",
        student,
        sum(e.score for e in results),
        sum(e.max_score for e in results),
        results,
        submission={"week07_vae.ipynb": "sha256:5f0c6d1e9d4b1c6a"},
        tiers=["public", "hidden"],
        confinement={"box": "bubblewrap", "seal": "landlock"},
        corpus="c41f9be07d25",
        versions={"autograder": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
        times={"notebook": 3.25, "checks": 4.5},
    )


def wrong_kl() -> ExerciseResult:
    """logvar taken for the logarithm of the standard deviation."""
    numbers = "a different value: expected 0.35914091, got 2.194528"
    at = "a different value at [1] (1 of 2 elements): expected 0.35914091, got 2.194528"
    late = {name: a_check(name) for name in ("pure", "zero")}
    for check in late.values():
        check.points = 0.0
    return an_exercise(
        "kl_to_standard_normal",
        "failed",
        LOG_STD,
        published=a_check("published", "failed", numbers, KL),
        agrees=a_check("agrees", "failed", at, KL_BATCH),
        gradients=a_check("gradients", "failed", "the gradient with respect to logvar has " + at, KL_BATCH),
        precision=a_check("precision", "failed", at, KL_BATCH),
        batches=a_check("batches", "failed", at, KL_BATCH),
        edges=a_check("edges", "failed", at, KL_BATCH),
        **late,
    )


def overflowing() -> ExerciseResult:
    """A logarithm of a sigmoid."""
    message = "a different value at [0] (1 of 2 elements): expected -104.69315, got -inf"
    return an_exercise(
        "bernoulli_log_likelihood", "partial", EXPONENT, edges=a_check("edges", "failed", message, OVERFLOW)
    )


def half_way() -> Report:
    """One of everything that a student may meet."""
    gpu = CheckResult("gpu", TITLES["gpu"], "gpu", "skipped", 0.0, 2.0, "no GPU on the grading machine")
    bernoulli = overflowing()
    bernoulli.checks.append(gpu)
    broken = a_check("gradients", "fault", "The reference did not answer within 60 s on this machine.")
    report = a_report(
        "ada.lovelace",
        kl_to_standard_normal=wrong_kl(),
        bernoulli_log_likelihood=bernoulli,
        elbo=an_exercise(
            "elbo",
            notes=(
                "Your `kl_to_standard_normal` is wrong, and `elbo` calls it. "
                "With the right one it is right: full marks.",
            ),
        ),
        vae_loss=an_exercise("vae_loss", "fault", gradients=broken),
        VAE=an_exercise("VAE", "untouched"),
    )
    report.cells.append(CellProblem(7, "NameError", "name 'loader' is not defined", TRACEBACK))
    report.problems.append(
        "A cell of tests (`reparameterize`) was changed; the released one was used instead."
    )
    return report


def _unjudged() -> list[ExerciseResult]:
    """Exercises to which grading has not come."""
    return [ExerciseResult(name, 0.0, an_exercise(name).max_score, status="failed") for name in EXERCISES]


def unreadable() -> Report:
    report = Report("week07_vae", "Variational autoencoders", "grace", 0.0, 44.0, _unjudged(), "unreadable")
    report.problems.append("week07_vae.ipynb is no JSON: line 41, column 7: expected a comma")
    return report


def our_fault() -> Report:
    report = Report("week07_vae", "Variational autoencoders", "li.wei", 0.0, 44.0, _unjudged(), "fault")
    report.problems.append("The box could not be made: bwrap: No space left on device")
    return report


def class_of_week_7() -> list[Report]:
    """Sixteen students."""
    error = "TypeError: VAE.__init__() takes 3 positional arguments but 4 were given"
    crash = Counterexample("import torch\n\nvae = VAE(1, 1, 1)", "", error)
    vae = {n: a_check(n, "failed", error, crash) for n in EXERCISES["VAE"]}
    averaging = an_exercise("kl_to_standard_normal", "failed", SUM_OVER_BATCH)
    reports = [half_way(), unreadable(), our_fault()]
    reports += [
        a_report(name)
        for name in ("emmy.noether", "Zoë Müller-Lüdenscheidt", "ingrid", "o'brien", "ש. אגנון")
    ]
    reports += [a_report(name, kl_to_standard_normal=wrong_kl()) for name in ("kurt", "sofia", "srinivasa")]
    reports += [a_report(name, bernoulli_log_likelihood=overflowing()) for name in ("alan", "tu.youyou")]
    reports.append(a_report("carl", kl_to_standard_normal=averaging, VAE=an_exercise("VAE", "failed", **vae)))
    reports.append(
        a_report("paul", elbo=an_exercise("elbo", "missing"), vae_loss=an_exercise("vae_loss", "untouched"))
    )
    reports.append(a_report("mary", **{n: an_exercise(n, "untouched") for n in EXERCISES}))
    return reports


HOSTILE = (
    "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    "<a href=\"javascript:document.title='run'\">go</a><style>body { display: none }</style>"
    "</pre></code></textarea><iframe src=https://example.com></iframe>"
    "{{ 7 * 7 }}{% raw %}\"' onclick=alert(1) "
    "\x1b[31mred\x1b[0m\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\\x1b[2J\x9b5A\x00\x07 "
    "\u202ereversed\u2066 \u200f\ud800 &amp; ]]> -->"
)


def hostile(text: str = HOSTILE) -> Report:
    """Every string that a report may hold is an attack."""
    example = Counterexample(text, text, text, text)
    checks = [
        CheckResult(text, text, text, v, 0.0, 1.0, text, example)
        for v in ("passed", "failed", "skipped", "fault")
    ]
    exercises = [ExerciseResult(text, 0.0, 4.0, checks, s, text, [text]) for s in _STATUSES]
    return Report(
        text, text, text, 0.0, 24.0, exercises, "graded", [text], [CellProblem(1, text, text, text)],
        {text: text}, text, [text], {text: text}, text, {text: text}, {text: 1.0},
    )  # fmt: skip


_STATUSES = ("passed", "partial", "failed", "untouched", "missing", "fault")


def strings(report: object) -> Iterator[str]:
    """All strings in nested dicts and lists."""
    if isinstance(report, str):
        yield report
    elif isinstance(report, dict):
        for key, value in report.items():
            yield from strings(key)
            yield from strings(value)
    elif isinstance(report, list):
        for value in report:
            yield from strings(value)


def without_ours(page: str) -> str:
    """A page without the one script that is ours."""
    return page.replace(f"<script>{dashboard.script()}</script>", "")
