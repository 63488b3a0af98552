"""The context of one Application."""

from __future__ import annotations

import pytest

from gatekeeper.apply.prune_budget import APPROVED_REVISION
from gatekeeper.controller.argocd.context import ApplicationContext
from gatekeeper.model import NamespacedName
from tests.argocd.conftest import ArgoCluster
from tests.controller.argocd.environment import application, build_context, build_environment


@pytest.fixture
def context(argocd_cluster: ArgoCluster) -> ApplicationContext:
    return build_context(build_environment(argocd_cluster, []), application(), [])


def test_the_destination_is_the_own_cluster_only_without_another_one(context: ApplicationContext) -> None:
    assert context.is_in_cluster and context.destination_client is context.environment.cluster
    assert context.name == NamespacedName("argocd", "shop")


def test_the_revisions_of_all_sources_are_one_text(context: ApplicationContext) -> None:
    build = context.build._replace(revisions=["a" * 40, "1.2.3"])
    assert context._replace(build=build).revision == "a" * 40 + " 1.2.3"


@pytest.mark.parametrize(
    ("annotations", "approved"), [({APPROVED_REVISION: "abc"}, "abc"), ({}, ""), (None, ""), ({"other": "abc"}, "")]
)
def test_a_prune_is_approved_by_one_annotation_only(
    context: ApplicationContext, annotations: dict[str, str] | None, approved: str
) -> None:
    manifest = application(annotations=annotations)
    assert context._replace(manifest=manifest).approved_revision == approved
