"""Building the kernel: cached, safe for several processes, and missed without harm."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run_python(code: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "UNI4D_CACHE": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


LOAD = "from uni4d.splatting import native; native.load(); print('loaded')"
RENDER = """
    import torch, warnings
    from uni4d.splatting import rasterise
    from uni4d_shared.cameras import orbit_rig
    ones = torch.ones(1, 3)
    scene = 0 * ones, torch.tensor([[1.0, 0, 0, 0]]), 0.1 * ones, torch.ones(1), ones
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            alpha = rasterise(*scene, orbit_rig((0, 0, 0), 1.0, size=17)[0], antialiased=False).alpha
    print(len(caught), round(float(alpha.max()), 2), *(str(w.message) for w in caught))
"""


def test_the_kernel_is_built_once_and_found_again(tmp_path: Path) -> None:
    first = run_python(LOAD, tmp_path)
    assert first.stdout.strip() == "loaded", first.stderr
    (library,) = (tmp_path / "kernels").iterdir()
    built = library.stat().st_mtime_ns
    assert run_python(LOAD, tmp_path, PATH=str(Path(sys.executable).parent), CC="/usr/bin/cc").returncode == 0
    assert [p.name for p in (tmp_path / "kernels").iterdir()] == [library.name]
    assert library.stat().st_mtime_ns == built


def test_processes_that_build_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    import os

    environment = {**os.environ, "UNI4D_CACHE": str(tmp_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", LOAD], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [p.communicate(timeout=120)[0].strip() for p in processes] == ["loaded"] * 2
    assert len(list((tmp_path / "kernels").iterdir())) == 1


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler_the_twin_renders_and_says_so_once(tmp_path: Path, compiler: str) -> None:
    done = run_python(RENDER, tmp_path, CC=compiler)
    count, alpha, message = done.stdout.split(" ", 2)
    assert (int(count), float(alpha)) == (1, 0.99), done.stderr
    assert "Install a C compiler" in message


COMPARE = """
    import torch
    from uni4d.splatting import rasterise
    from uni4d_shared.cameras import orbit_rig
    generator = torch.Generator().manual_seed(3)
    def random(*shape):
        return torch.rand(*shape, generator=generator)
    scene = [random(100, 3) - 0.5, random(100, 4) - 0.5, 0.1 * random(100, 3), random(100), random(100, 3)]
    leaves = [t.requires_grad_(True) for t in scene]
    camera, moved, weights = orbit_rig((0, 0, 0), 1.0, size=45)[0], scene[0].detach() * 1.1, random(45, 45, 3)
    results = []
    for implementation in ("cpu", "torch"):
        drawn = rasterise(*leaves, camera, implementation=implementation, other_means=moved)
        flow = drawn.flow * drawn.alpha[..., None]
        total = (drawn.image * weights).sum() + flow.sum()
        results.append([drawn.image, flow, *torch.autograd.grad(total, leaves)])
    print(max(float((a - b).norm() / b.norm()) for a, b in zip(*results)))
"""


@pytest.mark.slow
def test_a_processor_without_wide_vectors_draws_the_same(tmp_path: Path) -> None:
    """The kernel's plain path, as on a processor that is not x86 or is an old one, against the twin."""
    compiler = tmp_path / "plain-cc"
    compiler.write_text('#!/bin/bash\nexec cc "${@/-march=native/-O2}"\n')
    compiler.chmod(0o755)
    done = run_python(COMPARE, tmp_path / "cache", CC=str(compiler))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-3
