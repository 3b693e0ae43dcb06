"""Keys: the home's master key (a file) and each company's Ed25519 key (sealed in the store)."""

import contextlib
import hmac
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from homarus.base.errors import Unavailable
from homarus.store.port import Rx, Tx

MASTER_BYTES: Final = 32
NONCE_BYTES: Final = 12


class MasterKey:
    """Seals small secrets with AES-256-GCM. Losing it loses the company keys, not the data."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)
        self._secret = secret

    @classmethod
    def from_hex(cls, text: str, where: str) -> "MasterKey":
        """From 64 hexadecimal digits; `where` they were found, for the message.

        Raises `keys.master`.
        """
        try:
            secret = bytes.fromhex(text.strip())
        except ValueError:
            secret = b""
        if len(secret) != MASTER_BYTES:
            raise Unavailable(
                "keys.master",
                f"{where} does not hold a key of {MASTER_BYTES} bytes",
                "Restore it from a backup; without it the ledger cannot be sealed.",
            )
        return cls(secret)

    @classmethod
    def from_file(cls, path: Path) -> "MasterKey":
        """Read the key, or make it (0600) at the first start.

        Raises `keys.master`, `keys.unreadable`.
        """
        try:
            if not path.exists():
                _make(path)
            text = path.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise Unavailable(
                "keys.unreadable",
                f"the master key {path.name} can neither be read nor made: {error.strerror}",
                "Make the state directory readable and writable for the daemon's user.",
            ) from error
        return cls.from_hex(text, path.name)

    def derive(self, about: bytes) -> bytes:
        """A key of 32 bytes for one use, of which the master key cannot be told (HKDF's expand,
        RFC 5869, one block)."""
        return hmac.digest(self._secret, about + b"\x01", "sha256")

    def link_key(self, company: str) -> bytes:
        """32 bytes that sign a company's one-tap links."""
        return self.derive(f"approval-link:{company}".encode())

    def hook_key(self, company: str) -> bytes:
        """32 bytes that sign what is posted to a company's webhook; its receiver has them too."""
        return self.derive(f"approval-webhook:{company}".encode())

    def seal(self, clear: bytes, about: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, clear, about)

    def unseal(self, sealed: bytes, about: bytes) -> bytes:
        """Raises `keys.unseal` when the key or the use (`about`) is not the one that sealed it."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
        except InvalidTag as error:
            raise Unavailable(
                "keys.unseal",
                "a sealed secret cannot be opened with this home's master key",
                "Restore run/master.key of the home that wrote this store.",
            ) from error


def _make(path: Path) -> None:
    """A new key under its name, whole and on disk, unless another process was quicker."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(os.urandom(MASTER_BYTES).hex())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class CompanyKeys:
    """Signing keys by company number; made with the company's first seal.

    Used by several writers at once: each looks a key up in one step, and a lost one is read again.
    """

    def __init__(self, master: MasterKey) -> None:
        self._master = master
        self._keys: dict[int, Ed25519PrivateKey] = {}

    def signer(self, tx: Tx) -> Ed25519PrivateKey:
        no = tx.head.no
        key = self._keys.get(no)
        if key is None:
            key = self._keys[no] = self._load(tx, no)
        return key

    def _load(self, tx: Tx, no: int) -> Ed25519PrivateKey:
        about = f"company-key:{no}".encode()
        row = tx.one("select sealed from company_key where company_no=?", (no,))
        if row is not None:
            return Ed25519PrivateKey.from_private_bytes(self._master.unseal(bytes(row[0]), about))
        key = Ed25519PrivateKey.generate()
        tx.run(
            "insert into company_key(company_no, public, sealed) values(?,?,?)",
            (
                no,
                key.public_key().public_bytes_raw(),
                self._master.seal(key.private_bytes_raw(), about),
            ),
        )
        return key

    def note_key(self, company: str) -> bytes:
        """32 bytes that sign and check the routing notes of a company (governance contract, 4)."""
        return self._master.derive(f"routing-note:{company}".encode())

    def forget(self) -> None:
        self._keys.clear()


def public_key(rx: Rx, company_no: int) -> bytes | None:
    """32 raw bytes of the company's public key; None before its first seal."""
    row = rx.one("select public from company_key where company_no=?", (company_no,))
    return None if row is None else bytes(row[0])
