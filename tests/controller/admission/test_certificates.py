"""Certificates of the webhook and their authority."""

from __future__ import annotations

import datetime

from cryptography import x509

from gatekeeper.controller.admission import certificates


def test_a_new_authority_is_created_if_the_old_one_expires_before_the_certificate() -> None:
    first = certificates.issue_certificate(None, ["a.svc", "127.0.0.1"], 30)
    same = certificates.issue_certificate(first, ["a.svc"], 30)
    assert same["ca.crt"].reveal() == first["ca.crt"].reveal()
    longer = certificates.issue_certificate(first, ["a.svc"], 4000)
    assert longer["ca.crt"].reveal() != first["ca.crt"].reveal()
    broken = {**first, "ca.crt": first["ca.key"]}
    assert certificates.issue_certificate(broken, ["a.svc"], 30)["ca.crt"].reveal() != first["ca.key"].reveal()
    leaf = x509.load_pem_x509_certificate(first["tls.crt"].reveal())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(first["ca.crt"].reveal()))


def test_a_certificate_has_the_names_and_lifetime_it_was_issued_for() -> None:
    issued = certificates.issue_certificate(None, ["hook.ns.svc", "10.0.0.1"], 30)
    leaf = x509.load_pem_x509_certificate(issued["tls.crt"].reveal())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["hook.ns.svc"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert lifetime == datetime.timedelta(days=30) + certificates.CLOCK_SKEW
    assert "PRIVATE" not in repr(issued)
