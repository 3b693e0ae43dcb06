"""Seals: each commit batch is closed by a signed Merkle root that names the seal before it."""

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from homarus.base.canonical import canonical
from homarus.kernel.keys import CompanyKeys
from homarus.store.port import Tx

EMPTY: Final = b""
_INSERT: Final = (
    "insert into seal(company_no, no, at_ms, first_seq, last_seq, root, previous, hash, signature) "
    "values(?,?,?,?,?,?,?,?,?)"
)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """SHA-256 tree; leaves and nodes are prefixed apart (RFC 6962, 2.1). An odd node moves up."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def seal_hash(
    company: str, no: int, at_ms: int, first: int, last: int, root: bytes, previous: bytes
) -> bytes:
    """What is signed, and what the next seal names."""
    row = ["homarus-seal/1", company, no, at_ms, first, last, root.hex(), previous.hex()]
    return hashlib.sha256(canonical(row)).digest()


def verify_signature(public: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
    except (InvalidSignature, ValueError):
        return False
    return True


def seal(tx: Tx, keys: CompanyKeys) -> None:
    """Close what the batch appended; nothing appended, nothing sealed."""
    head = tx.head
    if head.receipt_seq == head.sealed_seq:
        return
    first, last = head.sealed_seq + 1, head.receipt_seq
    root = merkle_root([head.leaves[seq] for seq in range(first, last + 1)])
    no = head.seal_no + 1
    digest = seal_hash(head.company, no, tx.now_ms, first, last, root, head.seal_hash)
    signature = keys.signer(tx).sign(digest)
    tx.run(
        _INSERT,
        (head.no, no, tx.now_ms, first, last, root, head.seal_hash, digest, signature),
    )
    head.seal_no, head.seal_hash, head.sealed_seq = no, digest, last
    head.leaves.clear()
