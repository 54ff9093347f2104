"""The vault: Merkle log, checkpoints, and their stand-alone verification.

Standard library and `cryptography` only. What a third party needs to check a log is here:

>>> from jingwei.evidence import parse_checkpoint, verify_inclusion
"""

from jingwei.evidence.merkle import ProofError, verify_consistency, verify_inclusion
from jingwei.evidence.note import Checkpoint, NoteError, parse_checkpoint

__all__ = [
    "Checkpoint",
    "NoteError",
    "ProofError",
    "parse_checkpoint",
    "verify_consistency",
    "verify_inclusion",
]
