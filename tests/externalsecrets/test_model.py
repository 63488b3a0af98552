"""The parsed form of an ExternalSecret."""

from __future__ import annotations

from gatekeeper.externalsecrets.external_secret_spec import build_empty_spec
from gatekeeper.externalsecrets.model import DataEntry, DataFromEntry, DataFromFind, RemoteRef, StoreRef


def test_spec_knows_its_names_and_its_stores_in_order() -> None:
    first, second = StoreRef("SecretStore", "a"), StoreRef("ClusterSecretStore", "b")
    empty = build_empty_spec("prod", "db")
    spec = empty._replace(
        target=empty.target._replace(name="other"),
        data=(DataEntry("k", RemoteRef("x"), second),),
        data_from=(DataFromEntry(DataFromFind("", "", {}), (), first),),
    )
    assert (str(spec), str(spec.key), str(spec.target_key)) == ("ExternalSecret prod/db", "prod/db", "prod/other")
    assert spec.stores == [second, first] and empty.stores == []
