"""Fields that other clients applied are taken over, and removed when they are no longer in Git."""

from __future__ import annotations

import subprocess
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.apply import field_managers
from tests.flux.test_reconciler import Place, cluster, config, place
from tests.servers.cluster import TOKEN

__all__ = ["cluster", "place"]
MAPS = "/api/v1/namespaces/prod/configmaps"


def applied(place: Place, value: dict[str, Any], manager: str) -> None:
    """Applies by the server as another field manager, as kubectl or Flux's own controller does."""
    path = f"{place.cluster.url}{MAPS}/{value['metadata']['name']}?fieldManager={manager}&force=true"
    words = [
        "curl",
        "-sS",
        "--fail-with-body",
        "--cacert",
        str(place.cluster.certificate),
        "-X",
        "PATCH",
        path,
        "-H",
        f"Authorization: Bearer {TOKEN}",
        "-H",
        "Content-Type: application/apply-patch+yaml",
        "--data-binary",
        "@-",
    ]
    subprocess.run(words, input=yaml.safe_dump(value).encode(), check=True, capture_output=True)


def test_fields_applied_by_flux_or_kubectl_are_removed_if_they_are_not_in_git(place: Place) -> None:
    for number, manager in enumerate(
        ("kustomize-controller", "kubectl", "kubectl-client-side-apply", "argocd-controller")
    ):
        name = f"old{number}"
        before = config(name)
        before["data"] = {"a": "1", "more": "2"}
        applied(place, before, manager)
        other = config(name)
        other["data"] = {"theirs": "3"}
        applied(place, other, "somebody-else")
    place.put("apps/all.yaml", *(config(f"old{number}") for number in range(4)))
    code, out, err = place.run("--once")
    assert (code, err) == (0, ""), out
    for number in range(4):
        value = place.cluster.ask("GET", f"{MAPS}/old{number}")[1]
        assert value["data"] == {"a": "1", "theirs": "3"}
        assert {one["manager"] for one in value["metadata"]["managedFields"]} == {"gatekeeper", "somebody-else"}
    # Once is enough.
    before = place.cluster.ask("GET", f"{MAPS}/old0")[1]["metadata"]["resourceVersion"]
    assert place.run("--once")[0] == 0
    assert place.cluster.ask("GET", f"{MAPS}/old0")[1]["metadata"]["resourceVersion"] == before


def test_merge_policy_keeps_fields_of_other_managers(place: Place) -> None:
    value = config("merged")
    value["data"] = {"a": "1", "more": "2"}
    applied(place, value, "kubectl")
    wanted = config("merged")
    wanted["metadata"]["annotations"] = {"kustomize.toolkit.fluxcd.io/ssa": "Merge"}
    place.put("apps/all.yaml", wanted)
    assert place.run("--once")[0] == 0
    assert place.data("merged") == {"a": "1", "more": "2"}


FIELDS: st.SearchStrategy[Any] = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', "."]), inner, max_size=3),
    max_leaves=8,
)


def paths(fields: Any, before: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = {before}
    for key, held in fields.items():
        found |= paths(held, (*before, key))
    return found


@given(FIELDS, FIELDS, FIELDS)
def test_no_field_is_lost_and_fields_of_other_managers_are_kept(ours: Any, theirs: Any, others: Any) -> None:
    def entry(manager: str, fields: Any, **more: str) -> dict[str, Any]:
        return {"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields, **more}

    kept = [entry("hpa", others), entry("kubectl", others, subresource="status")]
    entries = [entry("gatekeeper", ours), *kept, entry("kubectl-edit", theirs, operation="Update")]
    found = field_managers.build_takeover_patch({"metadata": {"managedFields": entries}}, "gatekeeper")["managedFields"]
    assert found[:-1] == kept
    assert (found[-1]["manager"], found[-1]["operation"]) == ("gatekeeper", "Apply")
    assert paths(found[-1]["fieldsV1"]) == paths(ours) | paths(theirs)
    assert field_managers.build_takeover_patch({"metadata": {"managedFields": found}}, "gatekeeper") == {}
