"""Marks don't depend on the processor's vector instructions, nor on how many threads torch has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
EXERCISES = (
    "7/kl_to_standard_normal",  # a formula and its gradients
    "7/VAE",  # a module
    "6/causal_mask",  # true or false
    "5/sample_token",  # draws
    "5/bpe_encode",  # plain Python
    "12/euler_maruyama",  # a function of functions
)


def _judged(cache: Path, capability: str, threads: int) -> dict[str, Any]:
    """What comes out in a process of that capability, examples and tolerances from this cache."""
    variables = {"ATEN_CPU_CAPABILITY": capability.lower(), "OMP_WAIT_POLICY": "passive"}
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, "-m", "tests.verdicts", str(ROOT), str(cache), str(threads), *EXERCISES]
    done = subprocess.run(
        [*command, "--few", "2"],
        cwd=ROOT,
        env=os.environ | variables | numbers,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["capability"], found["threads"]) == (capability, threads)
    return found


@pytest.mark.slow
@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in CAPABILITIES, reason="another kind of processor"
)
def test_known_answers_get_the_same_verdicts_everywhere(tmp_path: Path) -> None:
    own = CAPABILITIES.index(torch.backends.cpu.get_cpu_capability())
    runs = [_judged(tmp_path, name, 1 + i % 2) for i, name in enumerate(CAPABILITIES[: own + 1])]
    again = _judged(tmp_path, CAPABILITIES[own], 1)
    for run in runs:
        assert run["verdicts"] == again["verdicts"]
        assert run["earned"] > 30, "tolerances of another capability are not used"
    assert again["earned"] == 0, "what was earned with other threads is used"

    verdicts = again["verdicts"]
    assert set(verdicts["kl_to_standard_normal: the reference"].values()) == {"passed", ""}
    wrong = [answer for answer in verdicts.values() if "failed" in answer.values()]
    assert len(wrong) > 20
    assert any(answer["named"] for answer in wrong)
