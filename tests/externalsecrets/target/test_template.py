"""Templates as external-secrets documents them, each checked by another library; and those that want too much."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from gatekeeper.errors import ToolError
from gatekeeper.externalsecrets import external_secret_spec
from gatekeeper.externalsecrets.target import ownership, secret_builder
from gatekeeper.externalsecrets.target.value_transforms import ValueTransformError
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault
from gatekeeper.kube.decoder import FieldError
from gatekeeper.secret_value import SecretBytes
from tests.conftest import needs

pytestmark = needs("gotemplate")
PEM, PKCS8 = Encoding.PEM, PrivateFormat.PKCS8
KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("root", "middle", "leaf")}


def certificate(name: str, issuer: str) -> x509.Certificate:
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer)]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named[0])
        .issuer_name(named[1])
        .public_key(KEYS[name].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(name != "leaf", None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(KEYS[name].public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(KEYS[issuer].public_key()), False)
        .sign(KEYS[issuer], hashes.SHA256())
    )


CHAIN = {
    "leaf": certificate("leaf", "middle"),
    "middle": certificate("middle", "root"),
    "root": certificate("root", "root"),
}
PEMS = {name: one.public_bytes(PEM).decode() for name, one in CHAIN.items()}
KEY = KEYS["leaf"].private_bytes(PEM, PKCS8, NoEncryption()).decode()
CA = [CHAIN["middle"], CHAIN["root"]]
ARCHIVE = pkcs12.serialize_key_and_certificates(b"leaf", KEYS["leaf"], CHAIN["leaf"], CA, NoEncryption())
LOCKED = pkcs12.serialize_key_and_certificates(b"leaf", KEYS["leaf"], CHAIN["leaf"], CA, BestAvailableEncryption(b"pw"))


def number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode().rstrip("=")


PRIVATE = KEYS["leaf"].private_numbers()
JWK = {
    "kty": "RSA",
    "n": number(PRIVATE.public_numbers.n),
    "e": number(PRIVATE.public_numbers.e),
    "d": number(PRIVATE.d),
    "p": number(PRIVATE.p),
    "q": number(PRIVATE.q),
    "dp": number(PRIVATE.dmp1),
    "dq": number(PRIVATE.dmq1),
    "qi": number(PRIVATE.iqmp),
}
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
DATA: dict[str, bytes] = {
    "user": b"shop",
    "password": b"s3cr3t",
    "dburl": b"postgres://db/shop",
    "coded": b"czNjcjN0",
    "with-dash": b"dashed",
    "chain": f"{KEY}{PEMS['leaf']}{PEMS['middle']}{PEMS['root']}".encode(),
    "cert": PEMS["leaf"].encode(),
    "key": KEY.encode(),
    "jwk": orjson.dumps(JWK),
    "public": orjson.dumps({name: JWK[name] for name in ("kty", "n", "e")}),
    "archive": ARCHIVE,
    "locked": LOCKED,
    "yaml": b"a:\n- 1\n- b: c\n",
    "json": b'{"a": [1, "two"]}',
    "cipher": KEYS["leaf"].public_key().encrypt(b"s3cr3t", OAEP),
}


def filled(template: str, engine: str = "v2", data: dict[str, bytes] | None = None) -> bytes:
    name: client.TemplateEngine = "external-secrets" if engine == "v2" else "external-secrets-v1"
    hidden = {key: SecretBytes(value) for key, value in (data or DATA).items()}
    [answer] = client.fill_templates([template], hidden, name)
    assert isinstance(answer, SecretBytes), answer
    return answer.reveal()


CONFIG = 'sources:\n- url: http://127.0.0.1\n  user: "{{ .user }}"\n  password: "{{ .password }}"\n'


@pytest.mark.parametrize(
    ("template", "made"),
    [
        (CONFIG, CONFIG.replace("{{ .user }}", "shop").replace("{{ .password }}", "s3cr3t")),
        ("admin", "admin"),
        ("{{ .coded | b64dec }}", "s3cr3t"),
        ('{{ .dburl | replace "postgres://" "postgresql://" }}', "postgresql://db/shop"),
        ('{{ index . "with-dash" }}', "dashed"),
        ('{{ if hasPrefix "postgres" .dburl }}on{{ else }}off{{ end }}', "on"),
        ('{{ .cert | filterPEM "CERTIFICATE" }}', PEMS["leaf"]),
        ('{{ .chain | filterPEM "PRIVATE KEY" }}', KEY),
        ('{{ .chain | filterPEM "CERTIFICATE" | filterCertChain "leaf" }}', PEMS["leaf"]),
        ('{{ .chain | filterPEM "CERTIFICATE" | filterCertChain "intermediate" }}', PEMS["middle"]),
        ('{{ .chain | filterPEM "CERTIFICATE" | filterCertChain "root" }}', PEMS["root"]),
        ("{{ .archive | pkcs12key }}", KEY),
        ("{{ .archive | pkcs12cert }}", PEMS["leaf"] + PEMS["middle"] + PEMS["root"]),
        ('{{ .locked | pkcs12keyPass "pw" }}', KEY),
        ('{{ .locked | pkcs12certPass "pw" }}', PEMS["leaf"] + PEMS["middle"] + PEMS["root"]),
        ("{{ (.yaml | fromYaml).a | toJson }}", '[1,{"b":"c"}]'),
        ("{{ .json | fromJson | toYaml }}", "a:\n- 1\n- two"),
        ('{{ .key | rsaDecrypt "RSA-OAEP" "SHA1" .cipher }}', "s3cr3t"),
        ("{{ range $key, $value := . }}{{ if eq $key `user` }}{{ $value }}{{ end }}{{ end }}", "shop"),
        ("{{ .user | sha256sum }}", None),
        ("{{ list .user .password | join `:` | b64enc }}", "c2hvcDpzM2NyM3Q="),
        ("{{ .user | upper | quote }}", '"SHOP"'),
        ("{{ `{{ .user }}` }}", "{{ .user }}"),
    ],
)
def test_documented_examples_are_generated(template: str, made: str | None) -> None:
    found = filled(template).decode()
    assert made is None or found == made


@pytest.mark.parametrize(
    ("template", "is_right"),
    [
        ("{{ .public | jwkPublicKeyPem }}", lambda text: load_pem_public_key(text) == KEYS["leaf"].public_key()),
        ("{{ .jwk | jwkPrivateKeyPem }}", lambda text: _key(text).private_numbers() == PRIVATE),
        ("{{ pemToPkcs12 .cert .key }}", lambda text: _opened(text, b"").cert.certificate == CHAIN["leaf"]),
        ('{{ pemToPkcs12Pass .cert .key "pw" }}', lambda text: _opened(text, b"pw").key.private_numbers() == PRIVATE),
        (
            "{{ fullPemToPkcs12 (.chain | filterPEM `CERTIFICATE`) .key }}",
            lambda text: len(_opened(text, b"").additional_certs) == 2,
        ),
        ("{{ htpasswd .user .password }}", lambda text: text.startswith(b"shop:$2a$")),
        ("{{ now | date `2006` }}", lambda text: len(text) == 4),
        ("{{ genPrivateKey `ecdsa` }}", lambda text: b"PRIVATE KEY" in text),
    ],
)
def test_variable_values_are_valid(template: str, is_right: Callable[[bytes], bool]) -> None:
    assert is_right(filled(template))


def _key(text: bytes) -> Any:
    return load_pem_private_key(text, None)


def _opened(text: bytes, password: bytes) -> Any:
    return pkcs12.load_pkcs12(base64.b64decode(text), password)


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ .user | toString }}", "shop"),
        ("{{ pkcs12certPass `pw` .archive | pemCertificate }}", PEMS["leaf"]),
        ("{{ pkcs12keyPass `pw` .archive | pemPrivateKey }}", KEY),
        ("{{ .coded | base64decode | toString }}", "s3cr3t"),
        (
            "{{ .public | jwkPublicKeyPem }}",
            KEYS["leaf"].public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        ),
    ],
)
def test_opa_engine_options_are_unchanged(template: str, made: str) -> None:
    # It reads archives with a key and one certificate.
    single = pkcs12.serialize_key_and_certificates(None, KEYS["leaf"], CHAIN["leaf"], None, OLD)
    assert filled(template, "v1", {**DATA, "archive": single}).decode() == made


OLD = (
    PrivateFormat.PKCS12.encryption_builder()
    .kdf_rounds(2048)
    .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
    .hmac_hash(hashes.SHA1())
    .build(b"pw")
)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ .none }}", "names `none`, which there is not (line 1, column 3)"),
        ("a\n{{ nothing .user }}", "calls `nothing`, which there is not (line 2)"),
        ("{{ .user", "is no template of Go (line 1)"),
        ("{{ env `HOME` }}", "calls `env`"),
        ("{{ getHostByName `a` }}", "calls `getHostByName`"),
        ("{{ getSecretKey `a` `kube-system` `b` }}", "calls `getSecretKey`"),
        ("{{ .password | pkcs12key }}", "fails in `pkcs12key`"),
        ('{{ fail (printf "no %s" .password) }}', "fails in `fail`"),
        ("{{ template `x` }}", "cannot be filled"),
        ("{{ .user.name }}", "cannot be filled (line 1, column 8)"),
        ("{{ define `a` }}{{ template `a` }}{{ end }}{{ template `a` }}", "cannot be filled"),
    ],
)
def test_template_error_is_reported_with_its_location(template: str, words: str) -> None:
    [answer] = client.fill_templates([template], {key: SecretBytes(value) for key, value in DATA.items()})
    assert isinstance(answer, GoFault) and words in answer.reason and "s3cr3t" not in answer.reason


@pytest.mark.parametrize(
    "template", ["{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}", "{{ repeat 2000000000 `x` }}"]
)
def test_a_template_without_end_or_with_too_much_memory_stops_alone(template: str) -> None:
    with pytest.raises(ToolError, match=r"took longer than|ended without an answer"):
        client.fill_templates([template], {})
    assert filled("{{ .user }}") == b"shop"


def test_one_process_serves_many_requests() -> None:
    filled("{{ .user }}")
    before = list(client._PROGRAMS._idle)
    for _ in range(5):
        filled("{{ .user }}")
    assert client._PROGRAMS._idle == before


FORBIDDEN = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: db, namespace: prod}}\nspec:\n  secretStoreRef: {{name: vault}}\n  data: [{{secretKey: user, remoteRef: {{key: k}}}}]\n  target: {{template: {{templateFrom: [{{literal: {literal}, target: {target}}}]}}}}\n"


def built(literal: str, target: str) -> dict[str, Any]:
    wanted = external_secret_spec.parse_external_secret(
        yaml.safe_load(FORBIDDEN.format(literal=orjson.dumps(literal).decode(), target=target))
    )
    return secret_builder.build_secret(wanted, {"user": SecretBytes(b"shop")}, None, lambda kind, name, key: "")


def test_a_template_writes_data_labels_and_annotations_and_nothing_else() -> None:
    assert built("last/{{ .user }}: now", "Annotations")["metadata"]["annotations"]["last/shop"] == "now"
    assert built("{{ .user }}: x", "Labels")["metadata"]["labels"]["shop"] == "x"
    # What marks the Secret as ours is not for a template to say.
    marks = built(f"{ownership.MANAGED_LABEL}: 'no'\n{ownership.CREATED_BY_LABEL}: me", "Labels")["metadata"]["labels"]
    assert marks[ownership.MANAGED_LABEL] == "true" and marks[ownership.CREATED_BY_LABEL] != "me"
    for target in ("Type", "Metadata", "spec.type", "Finalizers"):
        with pytest.raises(FieldError, match=r"target` is `"):
            built("a: b", target)
    for literal in ("- a", "a: [1]", "just text", "a: {b: c}"):
        with pytest.raises(ValueTransformError, match="does not render a YAML mapping of strings"):
            built(literal, "Data")
