"""The leaves of arrays, XXH3-128 of 16 KiB each, on a CUDA device. Needs Triton.

XXH3's long form (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md) goes through stripes of 64
bytes, each added to eight accumulators; after sixteen stripes, a block, the accumulators are
scrambled. Additions commute, so that the stripes of a block are worked on at once; the blocks, and
nothing else, follow one another. One program makes one leaf.
"""

from __future__ import annotations

import struct

import torch
import triton
import triton.language as tl

__all__ = ["SHORTEST", "leaves_of"]

LEAF = 16 * 1024
SHORTEST = 241  # bytes; for fewer, XXH3 has other forms

_PRIME32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
_PRIME64 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_AVALANCHE = 0x165667919E3779F9
# The secret that the specification gives: 192 bytes of no further meaning.
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)

# Where in the table what stands: the secret by words, then eight words each, then single ones.
_LAST = tl.constexpr(24)
_LOW = tl.constexpr(32)
_HIGH = tl.constexpr(40)
_START = tl.constexpr(48)
_SCRAMBLE = tl.constexpr(56)
_LOW_LENGTH = tl.constexpr(57)
_HIGH_LENGTH = tl.constexpr(58)
_MIX = tl.constexpr(59)

_tables: dict[torch.device, torch.Tensor] = {}


def leaves_of(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """The digests of the leaves of each tensor, on its device, as bytes.

    One kernel on the current stream makes them for the whole list; nothing waits for it.

    Args:
        tensors: contiguous, on one device, beginning at a multiple of 8 bytes; the last leaf of each
            has at least `SHORTEST` bytes.

    Returns:
        For each tensor a view, of dtype uint8, of 16 bytes a leaf.
    """
    device = tensors[0].device
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    counts = [-(-size // LEAF) for size in sizes]
    firsts = [0]
    for count in counts:
        firsts.append(firsts[-1] + count)
    total = firsts.pop()
    # Address and length of each leaf: where its tensor begins, and how many leaves come before.
    rows = [[t.data_ptr() for t in tensors], sizes, firsts]
    begins, ends, before = torch.tensor(rows, dtype=torch.int64).to(device, non_blocking=True)
    tensor_of = torch.repeat_interleave(
        torch.arange(len(tensors), device=device),
        torch.tensor(counts).to(device, non_blocking=True),
        output_size=total,
    )
    offsets = (torch.arange(total, device=device) - before[tensor_of]) * LEAF
    lengths = (ends[tensor_of] - offsets).clamp(max=LEAF)
    found = torch.empty((total, 2), dtype=torch.int64, device=device)
    # Fusion is about floats, of which there are none; unsaid, Triton warns that its default changes.
    options = {"num_warps": 1, "enable_fp_fusion": False}
    _leaf[(total,)](begins[tensor_of] + offsets, lengths, _table(device), found, **options)
    # As XXH3 prints a digest: the most significant byte first.
    digests = found.view(torch.uint8).reshape(-1, 8).flip(1).reshape(-1)
    ends_at = [16 * (first + count) for first, count in zip(firsts, counts, strict=True)]
    return [digests[16 * first : end] for first, end in zip(firsts, ends_at, strict=True)]


def _table(device: torch.device) -> torch.Tensor:
    """What the kernel looks up: the secret at the places where XXH3 reads it, and its constants."""
    known = _tables.get(device)
    if known is None:
        words = list(struct.unpack("<24Q", _SECRET))
        for place in (121, 11, 117):
            words += struct.unpack_from("<8Q", _SECRET, place)
        one, two, three, four, five = _PRIME64
        words += [_PRIME32[2], one, two, three, four, _PRIME32[1], five, _PRIME32[0]]
        words += [_PRIME32[0], one, two, _AVALANCHE]
        signed = struct.unpack(f"<{len(words)}q", struct.pack(f"<{len(words)}Q", *words))
        known = _tables[device] = torch.tensor(signed, dtype=torch.int64).to(device)
    return known


@triton.jit
def _merge(acc, keys, start, mix):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fold the accumulators, two by two, into 64 bits."""
    left, right = tl.split(tl.reshape(acc ^ keys, (4, 2)))
    folded = (left * right) ^ tl.umulhi(left, right)
    sum_ = start + tl.sum(folded, axis=0)
    sum_ = (sum_ ^ (sum_ >> 37)) * mix
    return sum_ ^ (sum_ >> 32)


@triton.jit
def _leaf(addresses, lengths, table, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    leaf = tl.program_id(0).to(tl.int64)
    address = tl.load(addresses + leaf)
    length = tl.load(lengths + leaf)
    words = address.to(tl.pointer_type(tl.uint64))
    constants = table.to(tl.pointer_type(tl.uint64))
    lane = tl.arange(0, 8)
    stripe = tl.arange(0, 16)
    keys = tl.load(constants + stripe[:, None] + lane[None, :])
    scramble_keys = tl.load(constants + 16 + lane)
    scramble = tl.load(constants + _SCRAMBLE)
    acc = tl.load(constants + _START + lane)
    stripes = (length - 1) // 64
    for block in range(16):
        inside = (block * 16 + stripe)[:, None] + lane[None, :] * 0 < stripes
        place = (block * 16 + stripe)[:, None] * 8
        data = tl.load(words + place + lane[None, :], mask=inside, other=0)
        # Each word goes to the accumulator beside its own as well.
        beside = tl.load(words + place + (lane ^ 1)[None, :], mask=inside, other=0)
        keyed = data ^ keys
        product = (keyed & 0xFFFFFFFF) * (keyed >> 32)
        acc += tl.sum(tl.where(inside, product, 0) + beside, axis=0)
        scrambled = ((acc ^ (acc >> 47)) ^ scramble_keys) * scramble
        acc = tl.where((block + 1) * 16 <= stripes, scrambled, acc)
    # The last stripe ends with the leaf, wherever that is, so that it is read byte by byte.
    byte = tl.arange(0, 8)
    last = address.to(tl.pointer_type(tl.uint8)) + length - 64
    shift = (byte * 8).to(tl.uint64)[None, :]
    data = tl.sum(tl.load(last + lane[:, None] * 8 + byte[None, :]).to(tl.uint64) << shift, axis=1)
    beside = tl.sum(
        tl.load(last + (lane ^ 1)[:, None] * 8 + byte[None, :]).to(tl.uint64) << shift, axis=1
    )
    keyed = data ^ tl.load(constants + _LAST + lane)
    acc += (keyed & 0xFFFFFFFF) * (keyed >> 32) + beside
    size = length.to(tl.uint64)
    mix = tl.load(constants + _MIX)
    low = _merge(
        acc, tl.load(constants + _LOW + lane), size * tl.load(constants + _LOW_LENGTH), mix
    )
    inverted = ~(size * tl.load(constants + _HIGH_LENGTH))
    high = _merge(acc, tl.load(constants + _HIGH + lane), inverted, mix)
    # Stored low byte first, and turned round as a whole: high, then low, most significant first.
    tl.store(found + leaf * 2, high.to(tl.int64, bitcast=True))
    tl.store(found + leaf * 2 + 1, low.to(tl.int64, bitcast=True))
