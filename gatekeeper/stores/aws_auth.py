"""Signing in to AWS as a SecretStore says: with keys from Secrets, a ServiceAccount, the environment, and roles.

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
# The credentials of a role are valid for an hour; they are renewed earlier.
ROLE_SESSION_SECONDS = 45 * 60.0


def create_client(
    service: str, fields: FieldReader, source: CredentialSource | None, retry: StoreRetryPolicy
) -> AwsClient:
    """Create a client that is signed in to AWS.

    Args:
        service: `secretsmanager` or `ssm`.
        fields: `spec.provider.aws` of the SecretStore.
        source: the cluster with the credentials; None to use the environment (AWS_PROFILE, the role of the machine).

    Raises:
        StoreError: a credential is missing, or a role cannot be assumed.
        FieldError: `auth` names a method that is not supported.
    """
    region = fields.read_string("region")
    keys = _resolve_keys(fields.read_object("auth"), region, source)
    has_session_token = "aws_session_token" in keys
    roles = [
        *fields.read_string_list("additionalRoles"),
        *([fields.read_string("role")] if fields.has_field("role") else []),
    ]
    options = _parse_role_options(fields)
    for number, role in enumerate(roles):
        # The options are for the last role; the roles before only lead to it.
        own_options = options if number == len(roles) - 1 else {}
        keys = _assume_role(region, keys, "assume_role", RoleArn=role, RoleSessionName=SESSION_NAME, **own_options)
    return AwsClient(
        _create_boto_client(service, region, keys, retry.max_retries),
        time.monotonic() + ROLE_SESSION_SECONDS if roles or has_session_token else None,
    )


def _parse_role_options(fields: FieldReader) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if fields.has_field("externalID"):
        options["ExternalId"] = fields.read_string("externalID")
    tags = [
        {"Key": tag.read_string("key"), "Value": tag.read_string("value")} for tag in fields.read_objects("sessionTags")
    ]
    if tags:
        options["Tags"] = tags
    if fields.has_field("transitiveTagKeys"):
        options["TransitiveTagKeys"] = list(fields.read_string_list("transitiveTagKeys"))
    return options


def _resolve_keys(auth: FieldReader | None, region: str, source: CredentialSource | None) -> dict[str, str]:
    """Return the keys that a store names; empty to use those of the environment."""
    if auth is None:
        return {}
    jwt, secret_ref = auth.read_object("jwt"), auth.read_object("secretRef")
    auth.reject_unknown()
    if source is None:
        return {}
    if jwt is not None:
        return _assume_web_identity(jwt, region, source)
    if secret_ref is None:
        return {}
    names = {
        "accessKeyIDSecretRef": "aws_access_key_id",
        "secretAccessKeySecretRef": "aws_secret_access_key",
        "sessionTokenSecretRef": "aws_session_token",
    }
    keys = {}
    for field, name in names.items():
        selector = secret_ref.read_object(field)
        if selector is not None:
            keys[name] = credentials.read_secret_text(selector, source)
        elif field != "sessionTokenSecretRef":
            secret_ref.reject_field(field, "is missing")
    secret_ref.reject_unknown()
    return keys


def _assume_web_identity(jwt: FieldReader, region: str, source: CredentialSource) -> dict[str, str]:
    """Assume the IAM role of a ServiceAccount with one of its tokens."""
    fields = jwt.read_object("serviceAccountRef")
    if fields is None:
        jwt.reject_field("serviceAccountRef", "is missing")
    account = credentials.parse_service_account(fields)
    jwt.reject_unknown()
    annotations = source.read_annotations(account.namespace, account.name)
    role = annotations.get(ROLE_ANNOTATION)
    if not role:
        raise StoreError(f"the ServiceAccount {account.name} has no annotation {ROLE_ANNOTATION}, which names its role")
    audiences = (annotations.get(AUDIENCE_ANNOTATION) or DEFAULT_AUDIENCE, *account.audiences)
    token = source.create_token(account.namespace, account.name, audiences, TOKEN_LIFETIME_SECONDS)
    arguments = {
        "RoleArn": role,
        "RoleSessionName": SESSION_NAME,
        "WebIdentityToken": token.reveal().decode("ascii"),
    }
    # The request carries a token instead of a signature: no keys of the environment are used.
    return _assume_role(region, None, "assume_role_with_web_identity", **arguments)


def _assume_role(region: str, keys: Mapping[str, str] | None, operation: str, **arguments: Any) -> dict[str, str]:
    """Return the temporary keys of a role.

    Args:
        keys: sign the request; None for a request without a signature.
    """
    client = AwsClient(_create_boto_client("sts", region, keys))
    try:
        answer = client.call(f"the role {arguments['RoleArn']}", operation, **arguments)
    finally:
        client.close()
    role_keys = answer["Credentials"]
    return {
        "aws_access_key_id": role_keys["AccessKeyId"],
        "aws_secret_access_key": role_keys["SecretAccessKey"],
        "aws_session_token": role_keys["SessionToken"],
    }


def _create_boto_client(
    service: str, region: str, keys: Mapping[str, str] | None, max_retries: int | None = None
) -> Any:
    # boto3 starts slowly and takes much memory; it is loaded only if a store uses it.
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    # The adaptive mode waits as `Retry-After` says, and limits its own rate after throttling.
    retries = {"mode": "adaptive", "total_max_attempts": MAX_ATTEMPTS if max_retries is None else max_retries + 1}
    config = Config(
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        retries=retries,
        **({} if keys is not None else {"signature_version": UNSIGNED}),
    )
    return boto3.session.Session().client(service, region_name=region, config=config, **(keys or {}))
