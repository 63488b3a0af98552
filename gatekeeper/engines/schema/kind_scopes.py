"""Tells whether the objects of a kind are in a namespace: by the kind, whatever an object says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatekeeper.engines.schema import catalog
from gatekeeper.engines.schema.crds import CustomKind
from gatekeeper.errors import PolicyError
from gatekeeper.model import ObjectRef

# The API groups of Kubernetes itself; any other group is of a CRD or of an aggregated API server.
KUBERNETES_GROUPS = {
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
}
# Source: the `namespaced: false` of Kubernetes' discovery (api/discovery/aggregated_v2.json), and of removed versions.
CLUSTER_KINDS = {
    ("", "ComponentStatus"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("authentication.k8s.io", "SelfSubjectReview"),
    ("authentication.k8s.io", "TokenReview"),
    ("authorization.k8s.io", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "SelfSubjectRulesReview"),
    ("authorization.k8s.io", "SubjectAccessReview"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("certificates.k8s.io", "ClusterTrustBundle"),
    ("extensions", "PodSecurityPolicy"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("internal.apiserver.k8s.io", "StorageVersion"),
    ("networking.k8s.io", "ClusterCIDR"),
    ("networking.k8s.io", "IPAddress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "ServiceCIDR"),
    ("node.k8s.io", "RuntimeClass"),
    ("policy", "PodSecurityPolicy"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("resource.k8s.io", "DeviceClass"),
    ("resource.k8s.io", "DeviceTaintRule"),
    ("resource.k8s.io", "ResourceClass"),
    ("resource.k8s.io", "ResourceSlice"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
    ("storage.k8s.io", "VolumeAttributesClass"),
    ("storagemigration.k8s.io", "StorageVersionMigration"),
}


class KindScopes:
    """Whether the objects of each kind are in a namespace: Kubernetes' own kinds, and those of CRDs."""

    def __init__(self, custom_kinds: Iterable[CustomKind]) -> None:
        self._kinds: dict[tuple[str, str], dict[str, CustomKind]] = {}
        for kind in custom_kinds:
            self._add(kind)
        self._loaded_groups: set[str] = set()

    def _add(self, kind: CustomKind) -> None:
        self._kinds.setdefault((kind.group, kind.kind), {}).setdefault(kind.version, kind)

    def is_namespaced(self, ref: ObjectRef) -> bool | None:
        """Whether objects of the kind are in a namespace; None if the kind is not known."""
        if (ref.group, ref.kind) in CLUSTER_KINDS:
            return False
        if ref.group in KUBERNETES_GROUPS:
            return True
        versions = self.find_versions(ref.group, ref.kind)
        return versions[0].namespaced if versions else None

    def find_versions(self, group: str, kind: str) -> Sequence[CustomKind]:
        """The versions of a custom kind, from the repository or else from the built-in set; none if it is not known."""
        key = group, kind
        if key not in self._kinds and group not in KUBERNETES_GROUPS and group not in self._loaded_groups:
            self._loaded_groups.add(group)
            known = set(self._kinds)
            for one in catalog.load_built_in_kinds(group):
                if (one.group, one.kind) not in known:
                    self._add(one)
        return list(self._kinds.get(key, {}).values())

    def check_conversion(self, kind: ObjectRef, api_version: str) -> None:
        """Checks that objects of a kind can be converted to another of its API versions.

        Raises:
            PolicyError: only the cluster can: a webhook converts the custom kind.
        """
        if any(one.conversion == "Webhook" for one in self.find_versions(kind.group, kind.kind)):
            reason = f"it reads {kind.kind} in version {api_version}, and a webhook in the cluster converts this kind"
            raise PolicyError(reason)


def pluralize(kind: str) -> str:
    """Forms the plural name of a kind, as Kubernetes does for its own kinds."""
    word = kind.lower()
    if word.endswith("endpoints"):
        return word
    if word.endswith("y") and not word.endswith(("ay", "ey", "oy")):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"
