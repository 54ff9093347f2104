"""The Merkle tree of RFC 6962 section 2.1 and RFC 9162 section 2.1: hashes, roots, proofs.

A tree of `size` leaves is addressed by nodes: node `(level, index)` is the root of the perfect
subtree over the leaves `index * 2**level` up to (not with) `(index + 1) * 2**level`. Whoever
can look up nodes — a list in memory, tiles on disk — gets every root and proof from the
functions here, in O(log size) look-ups.

The verifying functions take what a stranger sends. They return None or raise `ProofError`
with the one reason, whatever the arguments are, in time and memory bounded by 64 hashes.

Consistency with the empty tree: RFC 9162 section 2.1.4 defines the proof for 0 < m < n only.
Every log is consistent with the empty tree, so such a proof would prove nothing; a caller
that accepts one may have been talked out of the size that it remembered. Hence a first size
of 0 is refused, also where both sizes are 0 and the proof is empty (transparency-dev/merkle
does the same).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1  # the largest tree size that C2SP tlog-checkpoint lets a log have
_MAX_PROOF = 64

EMPTY_ROOT = hashlib.sha256().digest()
"""Root of the tree without leaves (RFC 9162 section 2.1.1)."""

Nodes = Callable[[int, int], bytes]
"""Look up node `(level, index)`, 32 bytes. Asked only for nodes whose leaves are all there."""


class ProofError(ValueError):
    """The proof does not prove; the text says why."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry), 32 bytes (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def parents(row: bytes) -> bytes:
    """The nodes over a row of nodes, both one after the other; a last one without a pair has none."""
    pairs = range(0, len(row) - 2 * HASH_SIZE + 1, 2 * HASH_SIZE)
    return b"".join(hashlib.sha256(b"\x01" + row[at : at + 2 * HASH_SIZE]).digest() for at in pairs)


class CompactRange:
    """The right edge of a growing tree: enough to append and to know the root, 64 hashes at most.

    `hashes` holds the roots of the perfect subtrees that make up the tree, largest first, one for
    each bit that is set in `size`.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if size < 0 or len(self.hashes) != size.bit_count():
            raise ValueError(f"{len(self.hashes)} hashes do not make a tree of {size}")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        if len(leaf) != HASH_SIZE:
            raise ValueError(f"a leaf hash has {HASH_SIZE} bytes, not {len(leaf)}")
        bit = self.size
        while bit & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            bit >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Root of the tree as it stands."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def root_hash(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root of the tree over these leaf hashes (`leaf_hash` of each entry), in order."""
    edge = CompactRange()
    for leaf in leaf_hashes:
        edge.append(leaf)
    return edge.root()


class Tree:
    """A tree held in memory, all nodes: for trees of some thousand leaves, and for tests."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaf_hashes:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        if len(leaf) != HASH_SIZE:
            raise ValueError(f"a leaf hash has {HASH_SIZE} bytes, not {len(leaf)}")
        for level in range(len(self).bit_length() + 1):
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            row.append(leaf)
            if len(row) % 2:
                return
            leaf = node_hash(row[-2], row[-1])

    def node(self, level: int, index: int) -> bytes:
        return self._levels[level][index]

    def root(self, size: int | None = None) -> bytes:
        """Root over the first `size` leaves (all by default)."""
        return tree_root(len(self) if size is None else size, self.node)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        return inclusion_proof(index, len(self) if size is None else size, self.node)

    def consistency_proof(self, size1: int, size2: int | None = None) -> list[bytes]:
        return consistency_proof(size1, len(self) if size2 is None else size2, self.node)


def tree_root(size: int, node: Nodes) -> bytes:
    """MTH of the first `size` leaves (RFC 9162 section 2.1.1)."""
    return range_root(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: Nodes) -> list[bytes]:
    """PATH(index, D_size), from the leaf upwards (RFC 9162 section 2.1.3.1).

    Raises `ValueError` unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(range_root(middle, end, node))
            end = middle
        else:
            proof.append(range_root(start, middle, node))
            start = middle
    return proof[::-1]


def consistency_proof(size1: int, size2: int, node: Nodes) -> list[bytes]:
    """PROOF(size1, D_size2) (RFC 9162 section 2.1.4.1); empty where the sizes are the same.

    Raises `ValueError` unless 0 < size1 <= size2.
    """
    if not 0 < size1 <= size2:
        raise ValueError(f"no consistency proof from size {size1} to {size2}")
    proof: list[bytes] = []
    start, end = 0, size2
    while size1 != end:
        middle = start + _split(end - start)
        if size1 <= middle:
            proof.append(range_root(middle, end, node))
            end = middle
        else:
            proof.append(range_root(start, middle, node))
            start = middle
    if start:  # else the old root itself, which the verifier has
        proof.append(range_root(start, end, node))
    return proof[::-1]


def verify_inclusion(
    leaf_hash: bytes, leaf_index: int, tree_size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return None if `proof` shows the leaf at `leaf_index` of the tree with this size and root.

    RFC 9162 section 2.1.3.2. Hashes are 32 bytes, `proof` runs from the leaf upwards. Raises
    `ProofError` for everything else, ill-typed arguments included.
    """
    index, size = _size("leaf index", leaf_index), _size("tree size", tree_size)
    if index >= size:
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    _hash("leaf hash", leaf_hash)
    _hash("root", root)
    steps = _hashes(proof)
    fn, sn = index, size - 1
    found = leaf_hash
    for step in steps:
        if sn == 0:
            raise ProofError(f"the proof is longer than the way from leaf {index} of {size}")
        if fn & 1 or fn == sn:
            found = node_hash(step, found)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            found = node_hash(found, step)
        fn >>= 1
        sn >>= 1
    if sn:
        raise ProofError(f"the proof is shorter than the way from leaf {index} of {size}")
    if found != root:
        raise ProofError(
            f"the proof leads from leaf {index} of {size} to root {found.hex()}, not {root.hex()}"
        )


def verify_consistency(
    size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes
) -> None:
    """Return None if `proof` shows that the second tree begins with all leaves of the first.

    RFC 9162 section 2.1.4.2. For equal sizes the proof is empty and the roots are the same.
    `size1` 0 is refused (see the top of this module). Raises `ProofError` for everything else,
    ill-typed arguments included.
    """
    first, second = _size("first tree size", size1), _size("second tree size", size2)
    if first == 0:
        raise ProofError("consistency with the empty tree proves nothing")
    if first > second:
        raise ProofError(f"the tree cannot have shrunk from {first} to {second}")
    steps = _hashes(proof)
    if first == second:
        if steps:
            raise ProofError("the sizes are the same: the proof must be empty")
        if not isinstance(root1, bytes) or not isinstance(root2, bytes) or root1 != root2:
            raise ProofError(f"two different roots for size {first}")
        return
    _hash("first root", root1)
    _hash("second root", root2)
    if not steps:
        raise ProofError(f"the proof from size {first} to {second} is empty")
    if first & (first - 1) == 0:
        steps = [root1, *steps]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old = new = steps[0]
    for step in steps[1:]:
        if sn == 0:
            raise ProofError(f"the proof is longer than the way from size {first} to {second}")
        if fn & 1 or fn == sn:
            old, new = node_hash(step, old), node_hash(step, new)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            new = node_hash(new, step)
        fn >>= 1
        sn >>= 1
    if sn:
        raise ProofError(f"the proof is shorter than the way from size {first} to {second}")
    if old != root1:
        raise ProofError(f"the proof leads to first root {old.hex()}, not {root1.hex()}")
    if new != root2:
        raise ProofError(f"the proof leads to second root {new.hex()}, not {root2.hex()}")


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (> 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def range_root(start: int, end: int, node: Nodes) -> bytes:
    """MTH of the leaves from `start` to `end`, a range that the tree's own splits have cut."""
    lefts: list[bytes] = []
    while (size := end - start) & (size - 1):
        middle = start + _split(size)
        level = (middle - start).bit_length() - 1
        lefts.append(node(level, start >> level))
        start = middle
    level = size.bit_length() - 1
    root = node(level, start >> level)
    for left in reversed(lefts):
        root = node_hash(left, root)
    return root


def _size(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ProofError(f"the {name} is no integer")
    if not 0 <= value <= MAX_SIZE:
        raise ProofError(f"the {name} is not between 0 and 2^63 - 1")
    return value


def _hash(name: str, value: object) -> None:
    if not isinstance(value, bytes):
        raise ProofError(f"the {name} is not bytes")
    if len(value) != HASH_SIZE:
        raise ProofError(f"the {name} has {len(value)} bytes, not {HASH_SIZE}")


def _hashes(proof: object) -> Sequence[bytes]:
    if not isinstance(proof, list | tuple):
        raise ProofError("the proof is no list of hashes")
    if len(proof) > _MAX_PROOF:
        raise ProofError(f"the proof has {len(proof)} hashes, at most {_MAX_PROOF} can be needed")
    for i, step in enumerate(proof):
        _hash(f"proof's hash {i}", step)
    return proof
