"""Certificates as values: what is made, and what is due when. Time is given."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.health.certificates import (
    ANNOUNCED_BEFORE_USE,
    AUTHORITY_LIFE,
    LEAF_LIFE,
    STORED,
    Material,
    MaterialUnusable,
    from_stored,
    make_authority,
    make_leaf,
    needs_rotation,
    new_key,
    renewed,
    to_stored,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NAMES = ("lmcache-coordinator.system.svc", "localhost", "127.0.0.1", "::1")
KEYS = [new_key() for _ in range(4)]


def extension(certificate: x509.Certificate, kind: Any) -> Any:
    return certificate.extensions.get_extension_for_class(kind).value


def trusts(bundle: str, leaf: x509.Certificate) -> bool:
    def signed(authority: x509.Certificate) -> bool:
        try:
            leaf.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError):
            return False
        return True

    return any(signed(one) for one in x509.load_pem_x509_certificates(bundle.encode()))


def test_an_authority_signs_certificates_and_nothing_else():
    authority = make_authority(now=NOW, key=KEYS[0]).certificate
    constraints = extension(authority, x509.BasicConstraints)
    assert (constraints.ca, constraints.path_length) == (True, 0)
    usage = extension(authority, x509.KeyUsage)
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)


def test_a_leaf_serves_its_names_and_signs_nothing():
    authority = make_authority(now=NOW, key=KEYS[0])
    leaf = make_leaf(authority, NAMES, now=NOW, key=KEYS[1]).certificate
    leaf.verify_directly_issued_by(authority.certificate)
    names = extension(leaf, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == list(NAMES[:2])
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == list(NAMES[2:])
    assert not extension(leaf, x509.BasicConstraints).ca
    key: Any = leaf.public_key()
    assert isinstance(key.curve, ec.SECP256R1)
    assert ExtendedKeyUsageOID.SERVER_AUTH in extension(leaf, x509.ExtendedKeyUsage)
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc


def test_a_leaf_does_not_outlive_its_authority():
    authority = make_authority(now=NOW, key=KEYS[0])
    late = NOW + AUTHORITY_LIFE - timedelta(days=3)
    leaf = make_leaf(authority, NAMES, now=late, key=KEYS[1]).certificate
    assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    ("at", "due"),
    [(-0.1, True), (0.0, False), (0.66, False), (0.67, True), (0.99, True), (1.1, True)],
)
def test_rotation_is_due_after_two_thirds(at, due):
    authority = make_authority(now=NOW, key=KEYS[0]).certificate
    start, end = authority.not_valid_before_utc, authority.not_valid_after_utc
    assert needs_rotation(authority, now=start + (end - start) * at) is due


def test_what_is_right_stays_the_same_object():
    material = renewed(None, NAMES, now=NOW)
    assert renewed(material, reversed(NAMES), now=NOW + timedelta(days=19)) is material


def test_a_leaf_is_renewed_in_time_by_the_same_authority():
    material = renewed(None, NAMES, now=NOW)
    later = renewed(material, NAMES, now=NOW + LEAF_LIFE * 0.7)
    assert later.authority is material.authority
    assert later.leaf.certificate != material.leaf.certificate
    assert later.bundle == material.bundle


def test_other_names_make_another_leaf():
    material = renewed(None, NAMES, now=NOW)
    later = renewed(material, (*NAMES, "more.example"), now=NOW)
    assert later.authority is material.authority
    assert "more.example" in str(extension(later.leaf.certificate, x509.SubjectAlternativeName))


def test_an_authority_is_announced_before_it_signs_and_remembered_after():
    material = renewed(None, NAMES, now=NOW)
    announce = NOW + AUTHORITY_LIFE * 0.7
    announced = renewed(material, NAMES, now=announce)
    assert announced.successor is not None
    assert announced.authority is material.authority
    assert material.bundle in announced.bundle
    assert trusts(material.bundle, announced.leaf.certificate)
    early = announce + ANNOUNCED_BEFORE_USE - timedelta(seconds=1)
    assert renewed(announced, NAMES, now=early) is announced

    signing = renewed(announced, NAMES, now=announce + ANNOUNCED_BEFORE_USE)
    assert signing.authority is announced.successor
    assert signing.successor is None
    assert trusts(announced.bundle, signing.leaf.certificate)
    assert not trusts(material.bundle, signing.leaf.certificate)
    assert trusts(signing.bundle, announced.leaf.certificate)

    after = renewed(signing, NAMES, now=NOW + AUTHORITY_LIFE)
    assert after.predecessor is None
    assert after.authority is signing.authority


def test_an_authority_that_ended_is_not_renewed_but_replaced():
    material = renewed(None, NAMES, now=NOW)
    later = renewed(material, NAMES, now=NOW + AUTHORITY_LIFE)
    assert later.authority.certificate != material.authority.certificate
    assert later.predecessor is None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(min_value=0.01, max_value=20), min_size=1, max_size=40))
def test_whoever_looked_lately_trusts_whoever_serves(days):
    """At every moment the leaf in use is trusted by agents whose bundle is of the last look."""
    keys = iter(range(10**6))
    pool = KEYS

    def make_key():
        return pool[next(keys) % len(pool)]

    now = NOW
    material = renewed(None, NAMES, now=now, make_key=make_key)
    for step in days:
        before, now = material, now + timedelta(days=step)
        material = renewed(material, NAMES, now=now, make_key=make_key)
        leaf = material.leaf.certificate
        assert leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc
        assert trusts(before.bundle, leaf)
        assert trusts(material.bundle, leaf)


@pytest.mark.parametrize("age", [timedelta(0), AUTHORITY_LIFE * 0.7], ids=["new", "announced"])
def test_what_is_stored_is_read_back(age):
    material = renewed(renewed(None, NAMES, now=NOW), NAMES, now=NOW + age)
    stored = to_stored(material)
    assert set(stored) <= set(STORED)
    assert to_stored(from_stored(stored)) == stored
    assert renewed(from_stored(stored), NAMES, now=NOW + age).bundle == material.bundle


@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt", "ca.key"])
@pytest.mark.parametrize("content", [None, "", "no PEM", "other"])
def test_what_was_damaged_is_named(name, content):
    stored = to_stored(renewed(None, NAMES, now=NOW))
    if content is None:
        del stored[name]
    elif content == "other":
        stored[name] = to_stored(renewed(None, NAMES, now=NOW))[name]
    else:
        stored[name] = content
    with pytest.raises(MaterialUnusable, match=name.partition(".")[0]):
        from_stored(stored)


def test_a_key_never_shows():
    material = renewed(None, NAMES, now=NOW)
    assert isinstance(material, Material)
    assert "PRIVATE" not in repr(material)
    assert "PRIVATE" not in material.bundle
