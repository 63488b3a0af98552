"""SealedSecrets that the controller cannot decrypt."""

from __future__ import annotations

import pytest

from tests.conftest import Repository
from tests.engines.references.objects import POD, SEALED, find_faults, list_places


@pytest.mark.parametrize(
    ("before", "after", "found_at"),
    [
        ("", "", []),
        (
            "    metadata: {name: db, namespace: prod}",
            "    metadata: {name: data, namespace: prod}",
            [("sealed-name", "0.yaml", 7)],
        ),
        (
            "    metadata: {name: db, namespace: prod}",
            "    metadata: {name: db, namespace: test}",
            [("sealed-name", "0.yaml", 7)],
        ),
        (
            "    metadata: {name: db, namespace: prod}",
            "    metadata: {annotations: {sealedsecrets.bitnami.com/cluster-wide: 'true'}}",
            [("sealed-scope", "0.yaml", 7)],
        ),
    ],
)
def test_name_namespace_and_scope_of_the_template_must_agree(
    repository: Repository, before: str, after: str, found_at: list[object]
) -> None:
    seals = [one for one in find_faults(repository, SEALED.replace(before, after), POD) if "sealed" in one.rule]
    assert list_places(seals) == found_at


def test_ciphertext_that_was_copied_to_another_name_is_found(repository: Repository) -> None:
    copy = SEALED.replace("name: db", "name: copy")
    assert ("sealed-copy", "1.yaml", 5) in list_places(find_faults(repository, SEALED, copy))
    wide = "metadata: {name: NAME, namespace: prod, annotations: {sealedsecrets.bitnami.com/namespace-wide: 'true'}}"
    shared_in_namespace = [
        SEALED.replace("metadata: {name: db, namespace: prod}", wide.replace("NAME", name), 1).partition("  template")[
            0
        ]
        for name in ("db", "copy")
    ]
    assert [
        one for one in list_places(find_faults(repository, *shared_in_namespace)) if one[0].startswith("sealed")
    ] == []
