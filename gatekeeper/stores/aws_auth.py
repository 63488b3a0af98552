"""Signing in to AWS, in the ways that a SecretStore can name: keys from Secrets, the surroundings, and roles.

Source: external-secrets `apis/externalsecrets/v1/secretstore_aws_types.go`, `pkg/provider/aws/auth/auth.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatekeeper.fields import Fields
from gatekeeper.hidden import Hidden
from gatekeeper.stores.aws import Counted
from gatekeeper.stores.reading import StoreError
from gatekeeper.stores.vault_auth import SecretOf

SECONDS = 15
ATTEMPTS = 5
SESSION = "external-secrets-provider-aws"


def client(service: str, fields: Fields, secret_of: SecretOf, as_user: bool) -> Any:
    """A client of boto3.

    Args:
        service: `secretsmanager` or `ssm`.
        fields: `spec.provider.aws` of the store.
        as_user: use what the surroundings hold (AWS_PROFILE, the machine's role), whatever the store names.

    Raises:
        StoreError: a role cannot be assumed, or a credential is not there.
        FieldError: `auth` names a way that is not supported.
    """
    region = fields.text("region")
    auth = fields.inner("auth")
    held = _keys(auth, secret_of, as_user)
    chain = [*fields.words("additionalRoles"), *([fields.text("role")] if fields.has("role") else [])]
    more: dict[str, Any] = {"ExternalId": fields.text("externalID")} if fields.has("externalID") else {}
    tags = [{"Key": tag.text("key"), "Value": tag.text("value")} for tag in fields.each("sessionTags")]
    if tags:
        more["Tags"] = tags
    if fields.has("transitiveTagKeys"):
        more["TransitiveTagKeys"] = list(fields.words("transitiveTagKeys"))
    for number, role in enumerate(chain):
        # What the last role is given is the store's; the roles before only lead to it.
        held = _assumed(role, region, held, more if number == len(chain) - 1 else {})
    return _client(service, region, held)


def _keys(auth: Fields | None, secret_of: SecretOf, as_user: bool) -> dict[str, str]:
    """The keys that a store names; none where the surroundings have them."""
    if auth is None:
        return {}
    if auth.has("jwt"):
        auth.refuse("jwt", "is not supported yet; use `secretRef`, or what the surroundings hold")
    ref = auth.inner("secretRef")
    auth.end()
    if ref is None or as_user:
        return {}
    names = {
        "accessKeyIDSecretRef": "aws_access_key_id",
        "secretAccessKeySecretRef": "aws_secret_access_key",
        "sessionTokenSecretRef": "aws_session_token",
    }
    found = {}
    for field, name in names.items():
        inner = ref.inner(field)
        if inner is not None:
            found[name] = _text(secret_of(inner))
        elif field != "sessionTokenSecretRef":
            ref.refuse(field, "is missing")
    ref.end()
    return found


def _text(value: Hidden) -> str:
    try:
        return value.reveal().decode("ascii").strip()
    except UnicodeDecodeError:
        raise StoreError("a credential of the store is no text") from None


def _assumed(role: str, region: str, held: Mapping[str, str], more: Mapping[str, Any]) -> dict[str, str]:
    door = Counted(_client("sts", region, held))
    try:
        answer = door.ask(f"the role {role}", "assume_role", RoleArn=role, RoleSessionName=SESSION, **more)
    finally:
        door.close()
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def _client(service: str, region: str, held: Mapping[str, str]) -> Any:
    import boto3
    from botocore.config import Config

    # Asked too often, it waits and tries again, as `Retry-After` and its own measure of the rate say.
    config = Config(
        connect_timeout=SECONDS, read_timeout=SECONDS, retries={"mode": "adaptive", "total_max_attempts": ATTEMPTS}
    )
    return boto3.session.Session().client(service, region_name=region, config=config, **held)
