"""Properties of roots and proofs, and the refusal of what is not a proof."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.evidence import merkle
from jingwei.evidence.merkle import (
    EMPTY_ROOT,
    CompactRange,
    ProofError,
    Tree,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [merkle.leaf_hash(str(i).encode()) for i in range(600)]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_printed_roots() -> None:
    """The reference tree of Certificate Transparency (RFC 6962 implementations' eight leaves)."""
    inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in inputs]
    for size, root in roots.items():
        assert merkle.root_hash(leaves[:size]).hex() == root


def test_every_way_to_a_root_agrees() -> None:
    tree = Tree(LEAVES)
    edge = CompactRange()
    for size in range(len(LEAVES) + 1):
        if size < 70 or size in (127, 128, 129, 255, 256, 257, 511, 512, 513, 600):
            root = mth(LEAVES[:size])
            assert edge.root() == root == tree.root(size) == merkle.root_hash(LEAVES[:size])
            assert CompactRange(edge.size, edge.hashes).root() == root
        if size < len(LEAVES):
            edge.append(LEAVES[size])


@given(st.data())
def test_proofs_prove_and_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    tree = Tree(LEAVES[:size])
    root, leaf = tree.root(), LEAVES[index]
    proof = tree.inclusion_proof(index)
    verify_inclusion(leaf, index, size, proof, root)
    # Leaf, root and steps as one string of bits: flip any of them.
    bit = data.draw(st.integers(0, 256 * (len(proof) + 2) - 1))
    parts = [leaf, root, *proof]
    parts[bit // 256] = flip(parts[bit // 256], bit % 256)
    with pytest.raises(ProofError):
        verify_inclusion(parts[0], index, size, parts[2:], parts[1])
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        with pytest.raises(ProofError):
            verify_inclusion(leaf, other, size, proof, root)
    for cut in (proof[:-1], proof[1:], [*proof, root], [root, *proof]):
        if cut != proof:
            with pytest.raises(ProofError):
                verify_inclusion(leaf, index, size, cut, root)


@given(st.data())
def test_consistency_proves_and_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    size2 = data.draw(st.integers(1, len(LEAVES)))
    size1 = data.draw(st.integers(1, size2))
    tree = Tree(LEAVES[:size2])
    root1, root2 = tree.root(size1), tree.root(size2)
    proof = tree.consistency_proof(size1)
    verify_consistency(size1, size2, proof, root1, root2)
    bit = data.draw(st.integers(0, 256 * (len(proof) + 2) - 1))
    parts = [root1, root2, *proof]
    parts[bit // 256] = flip(parts[bit // 256], bit % 256)
    with pytest.raises(ProofError):
        verify_consistency(size1, size2, parts[2:], parts[0], parts[1])
    if size1 < size2:
        for cut in (proof[:-1], proof[1:], [*proof, root1], [root2, *proof], proof[::-1]):
            if cut != proof:
                with pytest.raises(ProofError):
                    verify_consistency(size1, size2, cut, root1, root2)
        with pytest.raises(ProofError):
            verify_consistency(size2, size1, proof, root2, root1)


ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=40),
    st.integers(),
    st.lists(st.one_of(st.binary(max_size=40), st.integers(), st.none()), max_size=80),
)


@given(ANY, ANY, ANY, ANY, ANY)
def test_rubbish_is_a_proof_error_and_nothing_else(a, b, c, d, e) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(a, b, c, d, e)
    with pytest.raises(ProofError):
        verify_consistency(a, b, c, d, e)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((LEAVES[0], 1, 1, [], LEAVES[0]), "leaf 1 is not in a tree of 1"),
        ((LEAVES[0], 0, 2**63, [], LEAVES[0]), "not between 0 and 2\\^63 - 1"),
        ((LEAVES[0], True, 2, [], LEAVES[0]), "leaf index is no integer"),
        ((LEAVES[0][:-1], 0, 1, [], LEAVES[0]), "leaf hash has 31 bytes"),
        ((LEAVES[0], 0, 1, [b"x"] * 1_000_000, LEAVES[0]), "at most 64"),
        ((LEAVES[0], 0, 1, "proof", LEAVES[0]), "no list of hashes"),
        ((LEAVES[0], 0, 2, [], LEAVES[0]), "shorter than the way"),
        ((LEAVES[0], 0, 1, [LEAVES[1]], LEAVES[0]), "longer than the way"),
        ((LEAVES[0], 0, 1, [], LEAVES[1]), "leads from leaf 0 of 1 to root"),
    ],
)
def test_the_reason_is_said(arguments: tuple, reason: str) -> None:
    with pytest.raises(ProofError, match=reason):
        verify_inclusion(*arguments)


def test_makers_refuse_what_has_no_proof() -> None:
    tree = Tree(LEAVES[:5])
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="is not in a tree"):
            tree.inclusion_proof(index, size)
    for pair in ((0, 5), (5, 4), (-1, 3)):
        with pytest.raises(ValueError, match="no consistency proof"):
            tree.consistency_proof(*pair)
    with pytest.raises(ValueError, match="do not make a tree"):
        CompactRange(3, LEAVES[:1])
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.root_hash([b"an entry, not its hash"])
    assert merkle.root_hash([]) == EMPTY_ROOT
