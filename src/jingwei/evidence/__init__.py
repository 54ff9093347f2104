"""The vault: Merkle log, checkpoints, proofs. Standard library and cryptography only."""
