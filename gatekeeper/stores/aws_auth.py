"""Signing in to AWS, in the ways that a SecretStore names: keys from Secrets, a ServiceAccount, surroundings, roles.

Source: external-secrets `apis/externalsecrets/v1/secretstore_aws_types.go`, `pkg/provider/aws/auth/auth.go`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gatekeeper.kube.decoder import FieldReader
from gatekeeper.stores import credentials
from gatekeeper.stores.aws_errors import AwsClient
from gatekeeper.stores.credentials import CredentialSource
from gatekeeper.stores.protocol import StoreError, StoreRetryPolicy

TIMEOUT_SECONDS = 15
MAX_ATTEMPTS = 5
SESSION_NAME = "external-secrets-provider-aws"
# https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
ROLE_ANNOTATION, AUDIENCE_ANNOTATION, DEFAULT_AUDIENCE = (
    "eks.amazonaws.com/role-arn",
    "eks.amazonaws.com/audience",
    "sts.amazonaws.com",
)
TOKEN_LIFETIME_SECONDS = 3600
# What a role gives is good for an hour; it is asked for again before.
ROLE_SESSION_SECONDS = 45 * 60.0


def create_client(
    service: str, fields: FieldReader, source: CredentialSource | None, retry: StoreRetryPolicy
) -> AwsClient:
    """A client of AWS.

    Args:
        service: `secretsmanager` or `ssm`.
        fields: `spec.provider.aws` of the store.
        source: where credentials are; None to use what the surroundings hold (AWS_PROFILE, the machine's role).
        retry: how often a request is made again.

    Raises:
        StoreError: a role cannot be assumed, or a credential is not there.
        FieldError: `auth` names a way that is not supported.
    """
    region = fields.read_string("region")
    keys = _resolve_keys(fields.read_object("auth"), region, source)
    is_lent = "aws_session_token" in keys
    chain = [
        *fields.read_string_list("additionalRoles"),
        *([fields.read_string("role")] if fields.has_field("role") else []),
    ]
    more: dict[str, Any] = {"ExternalId": fields.read_string("externalID")} if fields.has_field("externalID") else {}
    tags = [
        {"Key": tag.read_string("key"), "Value": tag.read_string("value")} for tag in fields.read_objects("sessionTags")
    ]
    if tags:
        more["Tags"] = tags
    if fields.has_field("transitiveTagKeys"):
        more["TransitiveTagKeys"] = list(fields.read_string_list("transitiveTagKeys"))
    for number, role in enumerate(chain):
        # What the last role is given is the store's; the roles before only lead to it.
        own = more if number == len(chain) - 1 else {}
        keys = _assume_role(region, keys, "assume_role", RoleArn=role, RoleSessionName=SESSION_NAME, **own)
    return AwsClient(
        _create_boto_client(service, region, keys, retry.max_retries),
        time.monotonic() + ROLE_SESSION_SECONDS if chain or is_lent else None,
    )


def _resolve_keys(auth: FieldReader | None, region: str, source: CredentialSource | None) -> dict[str, str]:
    """The keys that a store names; none where the surroundings have them."""
    if auth is None:
        return {}
    jwt, ref = auth.read_object("jwt"), auth.read_object("secretRef")
    auth.reject_unknown()
    if source is None:
        return {}
    if jwt is not None:
        return _assume_web_identity(jwt, region, source)
    if ref is None:
        return {}
    names = {
        "accessKeyIDSecretRef": "aws_access_key_id",
        "secretAccessKeySecretRef": "aws_secret_access_key",
        "sessionTokenSecretRef": "aws_session_token",
    }
    found = {}
    for field, name in names.items():
        inner = ref.read_object(field)
        if inner is not None:
            found[name] = credentials.read_secret_text(inner, source)
        elif field != "sessionTokenSecretRef":
            ref.reject_field(field, "is missing")
    ref.reject_unknown()
    return found


def _assume_web_identity(jwt: FieldReader, region: str, source: CredentialSource) -> dict[str, str]:
    """The keys that the role of a ServiceAccount gives for its token."""
    fields = jwt.read_object("serviceAccountRef")
    if fields is None:
        jwt.reject_field("serviceAccountRef", "is missing")
    one = credentials.parse_service_account(fields)
    jwt.reject_unknown()
    notes = source.read_annotations(one.namespace, one.name)
    if not notes.get(ROLE_ANNOTATION):
        raise StoreError(f"signs in with the ServiceAccount {one.name}, which has no annotation {ROLE_ANNOTATION}")
    audiences = (notes.get(AUDIENCE_ANNOTATION) or DEFAULT_AUDIENCE, *one.audiences)
    token = source.create_token(one.namespace, one.name, audiences, TOKEN_LIFETIME_SECONDS).reveal().decode("ascii")
    # Whoever shows such a token has no keys; and none of the surroundings' are shown.
    asked = {"RoleArn": notes[ROLE_ANNOTATION], "RoleSessionName": SESSION_NAME, "WebIdentityToken": token}
    return _assume_role(region, None, "assume_role_with_web_identity", **asked)


def _assume_role(region: str, keys: Mapping[str, str] | None, operation: str, **arguments: Any) -> dict[str, str]:
    """The keys that a role gives for a while."""
    door = AwsClient(_create_boto_client("sts", region, keys))
    try:
        answer = door.call(f"the role {arguments['RoleArn']}", operation, **arguments)
    finally:
        door.close()
    given = answer["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def _create_boto_client(
    service: str, region: str, keys: Mapping[str, str] | None, max_retries: int | None = None
) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    # Asked too often, it waits and tries again, as `Retry-After` and its own measure of the rate say.
    retries = {"mode": "adaptive", "total_max_attempts": MAX_ATTEMPTS if max_retries is None else max_retries + 1}
    config = Config(
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        retries=retries,
        **({} if keys is not None else {"signature_version": UNSIGNED}),
    )
    return boto3.session.Session().client(service, region_name=region, config=config, **(keys or {}))
