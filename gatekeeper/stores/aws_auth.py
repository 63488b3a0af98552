"""Signing in to AWS, in the ways that a SecretStore names: keys from Secrets, a ServiceAccount, surroundings, roles.

Source: external-secrets `apis/externalsecrets/v1/secretstore_aws_types.go`, `pkg/provider/aws/auth/auth.go`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gatekeeper.kube.decoder import Fields
from gatekeeper.stores import credentials
from gatekeeper.stores.aws_errors import Counted
from gatekeeper.stores.credentials import Credentials
from gatekeeper.stores.protocol import Again, StoreError

SECONDS = 15
ATTEMPTS = 5
SESSION = "external-secrets-provider-aws"
# https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
ROLE, AUDIENCE, DEFAULT_AUDIENCE = (
    "eks.amazonaws.com/role-arn", "eks.amazonaws.com/audience", "sts.amazonaws.com"
)  # fmt: skip
TOKEN_SECONDS = 3600
# What a role gives is good for an hour; it is asked for again before.
GOOD_FOR = 45 * 60.0


def client(service: str, fields: Fields, held: Credentials | None, again: Again) -> Counted:
    """A client of AWS.

    Args:
        service: `secretsmanager` or `ssm`.
        fields: `spec.provider.aws` of the store.
        held: where credentials are; None to use what the surroundings hold (AWS_PROFILE, the machine's role).
        again: how often a request is made again.

    Raises:
        StoreError: a role cannot be assumed, or a credential is not there.
        FieldError: `auth` names a way that is not supported.
    """
    region = fields.text("region")
    keys = _keys(fields.inner("auth"), region, held)
    is_lent = "aws_session_token" in keys
    chain = [*fields.words("additionalRoles"), *([fields.text("role")] if fields.has("role") else [])]
    more: dict[str, Any] = {"ExternalId": fields.text("externalID")} if fields.has("externalID") else {}
    tags = [{"Key": tag.text("key"), "Value": tag.text("value")} for tag in fields.each("sessionTags")]
    if tags:
        more["Tags"] = tags
    if fields.has("transitiveTagKeys"):
        more["TransitiveTagKeys"] = list(fields.words("transitiveTagKeys"))
    for number, role in enumerate(chain):
        # What the last role is given is the store's; the roles before only lead to it.
        own = more if number == len(chain) - 1 else {}
        keys = _lent(region, keys, "assume_role", RoleArn=role, RoleSessionName=SESSION, **own)
    return Counted(
        _client(service, region, keys, again.times), time.monotonic() + GOOD_FOR if chain or is_lent else None
    )


def _keys(auth: Fields | None, region: str, held: Credentials | None) -> dict[str, str]:
    """The keys that a store names; none where the surroundings have them."""
    if auth is None:
        return {}
    jwt, ref = auth.inner("jwt"), auth.inner("secretRef")
    auth.end()
    if held is None:
        return {}
    if jwt is not None:
        return _web_identity(jwt, region, held)
    if ref is None:
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
            found[name] = credentials.word(inner, held)
        elif field != "sessionTokenSecretRef":
            ref.refuse(field, "is missing")
    ref.end()
    return found


def _web_identity(jwt: Fields, region: str, held: Credentials) -> dict[str, str]:
    """The keys that the role of a ServiceAccount gives for its token."""
    fields = jwt.inner("serviceAccountRef")
    if fields is None:
        jwt.refuse("serviceAccountRef", "is missing")
    one = credentials.account(fields)
    jwt.end()
    notes = held.annotations(one.namespace, one.name)
    if not notes.get(ROLE):
        raise StoreError(f"signs in with the ServiceAccount {one.name}, which has no annotation {ROLE}")
    audiences = (notes.get(AUDIENCE) or DEFAULT_AUDIENCE, *one.audiences)
    token = held.token(one.namespace, one.name, audiences, TOKEN_SECONDS).reveal().decode("ascii")
    # Whoever shows such a token has no keys; and none of the surroundings' are shown.
    asked = {"RoleArn": notes[ROLE], "RoleSessionName": SESSION, "WebIdentityToken": token}
    return _lent(region, None, "assume_role_with_web_identity", **asked)


def _lent(region: str, keys: Mapping[str, str] | None, how: str, **asked: Any) -> dict[str, str]:
    """The keys that a role gives for a while."""
    door = Counted(_client("sts", region, keys))
    try:
        answer = door.ask(f"the role {asked['RoleArn']}", how, **asked)
    finally:
        door.close()
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def _client(service: str, region: str, keys: Mapping[str, str] | None, times: int | None = None) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    # Asked too often, it waits and tries again, as `Retry-After` and its own measure of the rate say.
    retries = {"mode": "adaptive", "total_max_attempts": ATTEMPTS if times is None else times + 1}
    config = Config(
        connect_timeout=SECONDS, read_timeout=SECONDS, retries=retries,
        **({} if keys is not None else {"signature_version": UNSIGNED}),
    )  # fmt: skip
    return boto3.session.Session().client(service, region_name=region, config=config, **(keys or {}))
