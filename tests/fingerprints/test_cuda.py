"""The path of CUDA tensors, checked where there is no device: by Triton's interpreter and compiler.

The same code runs on tensors in main memory, whose digests are known.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from ato.fingerprints import cuda, digest_array, observe


def tensors():
    """Tensors with sizes around those of XXH3, of leaves and of pieces; odd dtypes and strides."""
    torch.manual_seed(0)
    numbers = torch.randint(0, 256, (3 * 16384 + 1000,), dtype=torch.uint8)
    sizes = [0, 1, 16, 240, 241, 256, 257, 1023, 1024, 1025, 1026, 16383, 16384, 16385]
    sizes += [16384 + 240, 16384 + 241, 32768, 40000]
    found = [numbers[:size].clone() for size in sizes]
    found += [numbers[3:5000], numbers[1 : 1 + 16384]]  # they begin at odd addresses
    matrix = torch.randn(60, 70)
    found += [matrix.t(), matrix[::3, 1::2], matrix[5], matrix[0, 0], matrix.expand(3, 60, 70)]
    found += [torch.randn(40, 9, dtype=torch.complex64).conj(), torch.tensor(1.5)]
    found += [matrix.to(dtype) for dtype in (torch.bfloat16, torch.float16, torch.float64)]
    found += [matrix > 0, matrix.to(torch.float8_e4m3fn), torch.empty(0, 3)]
    return found


def test_the_kernel_gives_the_digests_of_the_cpu() -> None:
    """Triton's interpreter runs the kernel on a list of tensors: each digest is that of the CPU.

    Where there is no Triton, there is no kernel.
    """
    if importlib.util.find_spec("triton") is None:
        assert cuda._kernel() is None
        return
    script = (
        "import sys\nsys.path[:0] = sys.argv[1:]\n"
        "from test_cuda import tensors\n"
        "from ato.fingerprints import cuda, digest_array\n"
        "found = cuda.digest_tensors(tensors(), leaves=True)\n"
        "assert cuda._Kernel.module is not None, 'the kernel failed'\n"
        "for tensor, digest in zip(tensors(), found, strict=True):\n"
        "    assert digest == digest_array(tensor, leaves=True), (tensor.dtype, tensor.shape)\n"
        "print(len(found))\n"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(__file__)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(len(tensors()))


@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernel_can_be_compiled(capability) -> None:
    """Triton, where it is, compiles the kernel for devices, though none is here."""
    if importlib.util.find_spec("triton") is None:
        assert cuda._kernel() is None
        return
    script = (
        "import triton\n"
        "from triton.backends.compiler import GPUTarget\n"
        "from triton.compiler import ASTSource\n"
        "from ato.fingerprints import cuda_kernel\n"
        "names = ('addresses', 'lengths', 'table', 'found')\n"
        "source = ASTSource(cuda_kernel._leaf, dict.fromkeys(names, '*i64'), {})\n"
        f"target = GPUTarget('cuda', {capability}, 32)\n"
        "made = triton.compile(source, target=target, options={'num_warps': 1, 'enable_fp_fusion': False})\n"
        "print(made.asm['ptx'].count('mul.hi.u64') >= 2, 'cubin' in made.asm)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


def test_copies_in_pieces_give_the_digests_of_the_cpu(monkeypatch) -> None:
    """Without Triton the elements are copied piece by piece, and the digests are the same."""
    monkeypatch.setattr(cuda._Kernel, "asked", True)
    monkeypatch.setattr(cuda._Kernel, "module", None)
    monkeypatch.setattr(cuda, "_PIECE", 2 * 16384)
    for tensor, digest in zip(tensors(), cuda.digest_tensors(tensors(), leaves=True), strict=True):
        assert digest == digest_array(tensor, leaves=True)


def test_a_kernel_that_fails_is_not_asked_again(monkeypatch) -> None:
    """Where the kernel cannot run (no compiler, no device), the elements are copied."""

    class Broken:
        SHORTEST = 241

        @staticmethod
        def leaves_of(tensors):
            raise RuntimeError("no compiler")

    monkeypatch.setattr(cuda._Kernel, "asked", True)
    monkeypatch.setattr(cuda._Kernel, "module", Broken)
    (digest,) = cuda.digest_tensors([torch.ones(1000)])
    assert digest == digest_array(torch.ones(1000))
    assert cuda._Kernel.module is None


def test_small_tensors_come_by_one_transfer() -> None:
    """Copies of many tensors in main memory are those tensors, element for element."""
    small = [tensor for tensor in tensors() if tensor.numel() < 6000]
    for tensor, copied in zip(small, cuda.on_host(small), strict=True):
        assert digest_array(copied) == digest_array(tensor)
        assert (copied.dtype, copied.shape) == (tensor.dtype, tensor.shape)


def test_all_tensors_of_a_record_on_devices_are_read_together(monkeypatch) -> None:
    """Their leaves are those of the CPU, in their places; large ones have no more than a digest."""
    watched = sys.modules["ato.fingerprints.observe"]
    large, small = torch.randn(200, 100), torch.randn(4, 3)
    value = {"a": small, "b": [1.0, large], "c": small.t(), "d": "text"}
    expected = observe(value, "x")
    # There is no device here: these tensors are said to lie on one.
    monkeypatch.setattr(
        watched, "_is_on_device", lambda v: v is small or v is large or v is value["c"]
    )
    monkeypatch.setattr(cuda._Kernel, "asked", True)
    monkeypatch.setattr(cuda._Kernel, "module", None)
    seen = observe(value, "x")
    assert list(seen.leaves) == list(expected.leaves)
    for path, leaf in seen.leaves.items():
        if path != "x['b'][1]":
            assert leaf == expected.leaves[path]
    leaf = seen.leaves["x['b'][1]"]
    assert leaf[:4] == expected.leaves["x['b'][1]"][:4]
    assert leaf.summary is None


def test_a_device_that_fails_is_a_gap(monkeypatch) -> None:
    """An error of the device leaves a gap for each tensor on it, and the other leaves."""
    watched = sys.modules["ato.fingerprints.observe"]
    tensor = torch.ones(2)

    def fail(tensors):
        raise RuntimeError("CUDA error")

    monkeypatch.setattr(watched, "_is_on_device", lambda v: v is tensor)
    monkeypatch.setattr(cuda, "on_host", fail)
    seen = observe({"a": tensor, "b": 1}, "x")
    assert list(seen.leaves) == ["x['b']"]
    assert seen.gaps == ["x['a']: RuntimeError: CUDA error"]
