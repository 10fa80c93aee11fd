"""Certificates for the agents' port: made, judged and renewed as values. Time and keys come in.

One authority of our own signs one server certificate (ECDSA P-256). Everything that has to survive
a restart is one `Material`; `renewed` says what it should be now.

    authority  1 year; after two thirds a successor is announced: agents trust both
    successor  signs once it has been announced for an hour, by when all agents have read it
    leaf       30 days; renewed after two thirds, and whenever names or authority change
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=365)
LEAF_LIFE = timedelta(days=30)
# A ConfigMap reaches running pods within two minutes; agents look at each report.
ANNOUNCED_BEFORE_USE = timedelta(hours=1)
RENEW_AFTER = 2 / 3
# Clocks of nodes differ.
BACKDATED = timedelta(minutes=10)

PrivateKey = ec.EllipticCurvePrivateKey
MakeKey = Callable[[], PrivateKey]


def new_key() -> PrivateKey:
    """Return a fresh private key: the one place where chance comes from."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def certificate_pem(self) -> str:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """Return the key as PEM. A secret."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def __repr__(self) -> str:
        """Return who this is, never the key."""
        return f"Identity({self.certificate.subject.rfc4514_string()})"


@dataclass(frozen=True, slots=True)
class Material:
    """All that the operator keeps: who signs, who will, who did, and the server's certificate."""

    authority: Identity
    leaf: Identity
    successor: Identity | None = None
    predecessor: x509.Certificate | None = None

    @property
    def bundle(self) -> str:
        """Return all certificates that agents trust, as PEM: the signing one first."""
        trusted = [self.authority.certificate]
        if self.successor is not None:
            trusted.append(self.successor.certificate)
        if self.predecessor is not None:
            trusted.append(self.predecessor)
        return "".join(
            certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in trusted
        )


class MaterialUnusable(ValueError):
    """Stored material cannot be read; the message says which part."""


def make_authority(*, now: datetime, key: PrivateKey) -> Identity:
    """Return a self-signed authority that can sign server certificates and no other authority."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "lmcache-operator"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"lmcache-coordinator CA {now:%Y-%m-%d}"),
        ]
    )
    public = key.public_key()
    builder = (
        _builder(name, name, public, now=now, life=AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return Identity(builder.sign(key, hashes.SHA256()), key)


def make_leaf(
    authority: Identity, names: Iterable[str], *, now: datetime, key: PrivateKey
) -> Identity:
    """Return a server certificate for these DNS names and IP addresses."""
    wanted = list(names)
    # An authority that ends sooner takes its certificates along.
    life = min(LEAF_LIFE, authority.certificate.not_valid_after_utc - now)
    public = key.public_key()
    builder = (
        _builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lmcache-coordinator")]),
            authority.certificate.subject,
            public,
            now=now,
            life=life,
        )
        .add_extension(x509.SubjectAlternativeName([*map(_name, wanted)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return Identity(builder.sign(authority.key, hashes.SHA256()), key)


def needs_rotation(certificate: x509.Certificate, *, now: datetime) -> bool:
    """Tell whether a certificate has lived two thirds of its life, or is not valid yet."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now < start or now >= start + (end - start) * RENEW_AFTER


def renewed(
    material: Material | None, names: Iterable[str], *, now: datetime, make_key: MakeKey = new_key
) -> Material:
    """Return what the material should be now: the same object when nothing is due."""
    wanted = tuple(names)
    if material is None or _is_over(material.authority.certificate, now):
        # Nobody can trust what was: begin anew, and let agents read the new authority.
        authority = make_authority(now=now, key=make_key())
        return Material(authority, make_leaf(authority, wanted, now=now, key=make_key()))
    authority, successor = material.authority, material.successor
    predecessor = material.predecessor
    if successor is not None and _announced_at(successor) + ANNOUNCED_BEFORE_USE <= now:
        authority, successor, predecessor = successor, None, authority.certificate
    elif successor is None and needs_rotation(authority.certificate, now=now):
        successor = make_authority(now=now, key=make_key())
    if predecessor is not None and _is_over(predecessor, now):
        predecessor = None
    leaf = material.leaf
    if (
        needs_rotation(leaf.certificate, now=now)
        or _names_of(leaf.certificate) != set(wanted)
        or not _signed_by(leaf.certificate, authority.certificate)
    ):
        leaf = make_leaf(authority, wanted, now=now, key=make_key())
    result = Material(authority, leaf, successor, predecessor)
    return material if result == material else result


# The keys of the Secret. tls.crt and tls.key are what every tool knows.
_LEAF, _AUTHORITY, _SUCCESSOR, _PREDECESSOR = "tls", "ca", "next-ca", "previous-ca"
STORED = tuple(
    f"{part}.{kind}"
    for part, kind in (
        (_LEAF, "crt"), (_LEAF, "key"), (_AUTHORITY, "crt"), (_AUTHORITY, "key"),
        (_SUCCESSOR, "crt"), (_SUCCESSOR, "key"), (_PREDECESSOR, "crt"),
    )
)  # fmt: skip


def to_stored(material: Material) -> dict[str, str]:
    """Return the material as the data of its Secret, not yet in base64."""
    stored = {}
    for part, identity in (
        (_LEAF, material.leaf),
        (_AUTHORITY, material.authority),
        (_SUCCESSOR, material.successor),
    ):
        if identity is not None:
            stored[f"{part}.crt"] = identity.certificate_pem
            stored[f"{part}.key"] = identity.key_pem
    if material.predecessor is not None:
        stored[f"{_PREDECESSOR}.crt"] = material.predecessor.public_bytes(
            serialization.Encoding.PEM
        ).decode()
    return stored


def from_stored(stored: dict[str, str]) -> Material:
    """Return the material of a Secret's data. Raises MaterialUnusable."""
    has_successor = f"{_SUCCESSOR}.crt" in stored
    has_predecessor = f"{_PREDECESSOR}.crt" in stored
    return Material(
        authority=_identity(stored, _AUTHORITY),
        leaf=_identity(stored, _LEAF),
        successor=_identity(stored, _SUCCESSOR) if has_successor else None,
        predecessor=_certificate(stored, _PREDECESSOR) if has_predecessor else None,
    )


def _identity(stored: dict[str, str], part: str) -> Identity:
    certificate = _certificate(stored, part)
    try:
        key = serialization.load_pem_private_key(stored[f"{part}.key"].encode(), password=None)
    except (KeyError, ValueError, TypeError) as error:
        raise MaterialUnusable(f"{part}.key is missing or no private key") from error
    if not isinstance(key, PrivateKey) or key.public_key() != certificate.public_key():
        raise MaterialUnusable(f"{part}.key does not belong to {part}.crt")
    return Identity(certificate, key)


def _certificate(stored: dict[str, str], part: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(stored[f"{part}.crt"].encode())
    except (KeyError, ValueError) as error:
        raise MaterialUnusable(f"{part}.crt is missing or no certificate") from error


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    *,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    # Unique because the key is; positive and below 20 bytes, as RFC 5280 wants it.
    encoded = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    serial = int.from_bytes(hashlib.sha256(encoded + str(now).encode()).digest()[:15]) or 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _names_of(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _announced_at(identity: Identity) -> datetime:
    return identity.certificate.not_valid_before_utc.astimezone(UTC) + BACKDATED


def _is_over(certificate: x509.Certificate, now: datetime) -> bool:
    return now >= certificate.not_valid_after_utc
