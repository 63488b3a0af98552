"""Rendering a repository: what is built once, and who applies what."""

from __future__ import annotations

from tests.conftest import Repository, needs
from tests.render.rendering import WEB, flux, render, the

pytestmark = needs("gatekeeper-upstream")


def test_base_is_checked_once_if_an_overlay_uses_it(repository: Repository) -> None:
    root = repository(
        {
            "base/kustomization.yaml": "resources: [web.yaml]\n",
            "base/web.yaml": WEB,
            "over/kustomization.yaml": "resources: [../base]\nnamespace: prod\n",
        }
    )
    rendered = render(root)
    assert the(rendered, "Deployment").ref.namespace == "prod"
    assert not [gap for gap in rendered.gaps if gap.is_fatal]


def test_two_kustomizations_that_apply_one_folder_are_checked_both(repository: Repository) -> None:
    more = "  postBuild: {{substitute: {{image: 'web:{n}'}}}}\n"
    root = repository(
        {
            "clusters/a.yaml": flux("a", "./apps", more.format(n=2)),
            "clusters/b.yaml": flux("b", "./apps", more.format(n=3)),
            "apps/kustomization.yaml": "resources: [web.yaml]\n",
            "apps/web.yaml": WEB.replace("web:1", "${image}"),
        }
    )
    images = [
        one.value["spec"]["template"]["spec"]["containers"][1]["image"]
        for one in render(root).resources
        if one.ref.kind == "Deployment"
    ]
    assert images == ["web:2", "web:3"]
