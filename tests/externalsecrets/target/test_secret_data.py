"""Gathering the values of an ExternalSecret from what the stores returned."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gatekeeper.externalsecrets import fetch_plan
from gatekeeper.externalsecrets.external_secret_spec import parse_external_secret
from gatekeeper.externalsecrets.target.secret_data import collect_values
from gatekeeper.externalsecrets.target.value_transforms import ValueTransformError
from gatekeeper.stores.directory import DirectoryStore
from gatekeeper.stores.protocol import SecretNotFoundError, StoreError
from tests.externalsecrets.test_decision import es


def collect(folder: Path, data: str, more: str = "", deletion: str = "Retain") -> tuple[dict[str, bytes], list[str]]:
    (folder / "prod").mkdir(exist_ok=True)
    (folder / "prod/db.json").write_text('{"user": "shop", "password": "cDQ="}')
    spec = parse_external_secret(yaml.safe_load(es(target=f"{{deletionPolicy: {deletion}}}", data=data, more=more)))
    fetched = fetch_plan.fetch(fetch_plan.build_plan([spec]), lambda key: DirectoryStore(folder))
    values, missing = collect_values(spec, fetched)
    return {key: value.reveal() for key, value in values.items()}, missing


DB = "{key: prod/db, property: user}"
EXTRACT = "  dataFrom: [{extract: {key: prod/db}}]\n"


def test_entries_override_the_keys_of_extracted_secrets(tmp_path: Path) -> None:
    decoded = "[{secretKey: user, remoteRef: {key: prod/db, property: password, decodingStrategy: Base64}}]"
    values, missing = collect(tmp_path, decoded, EXTRACT)
    assert (values, missing) == ({"user": b"p4", "password": b"cDQ="}, [])


def test_missing_secret_fails_with_retain_and_is_reported_otherwise(tmp_path: Path) -> None:
    data = f"[{{secretKey: a, remoteRef: {DB}}}, {{secretKey: b, remoteRef: {{key: none}}}}]"
    with pytest.raises(SecretNotFoundError, match="`none`"):
        collect(tmp_path, data)
    values, missing = collect(tmp_path, data, deletion="Merge")
    assert values == {"a": b"shop"} and len(missing) == 1 and "`none`" in missing[0]
    more = "  dataFrom: [{extract: {key: none}}]\n"
    assert len(collect(tmp_path, data, more, deletion="Delete")[1]) == 2


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ("[{secretKey: a, remoteRef: {key: prod/db, property: x}}]", "", "`a`: `prod/db` has no `x`"),
        (
            "[{secretKey: a, remoteRef: {key: prod/db, decodingStrategy: Base64}}]",
            "",
            "`a`: `prod/db` is not valid Base64",
        ),
        ("[]", "  dataFrom: [{extract: {key: prod/db, property: x}}]\n", "`spec.dataFrom[0]` `prod/db` has no `x`"),
        (
            "[]",
            "  dataFrom: [{extract: {key: prod/db, property: user}}]\n",
            "`spec.dataFrom[0]` is not a JSON object",
        ),
        ("[{secretKey: a b, remoteRef: {key: prod/db}}]", "", "the key `a b` contains ` `"),
    ],
)
def test_value_that_cannot_be_transformed_is_named_and_not_shown(
    tmp_path: Path, data: str, more: str, message: str
) -> None:
    with pytest.raises(ValueTransformError) as caught:
        collect(tmp_path, data, more)
    assert message in str(caught.value) and "cDQ=" not in str(caught.value)


def test_error_of_the_store_is_not_a_missing_secret(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no versions") as caught:
        collect(tmp_path, "[{secretKey: a, remoteRef: {key: prod/db, version: '1'}}]", deletion="Delete")
    assert not isinstance(caught.value, SecretNotFoundError)
