"""Objects that clusters commonly have although no repository contains them.

Sources: Kubernetes (`kube-controller-manager` root CA publisher, kubeadm, API server), OpenShift service CA, Istio, and
`flux bootstrap`.
"""

from __future__ import annotations

# Created in each namespace; `flux-system` is a credential that only `flux bootstrap` knows, wherever it is installed.
NAMES_IN_ANY_NAMESPACE = {
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("Secret", "flux-system"),
}
# By kind, namespace and name.
NAMES = {
    ("Service", "default", "kubernetes"),
    ("Service", "kube-system", "kube-dns"),
    ("Deployment", "kube-system", "coredns"),
    ("ConfigMap", "kube-public", "cluster-info"),
    ("ConfigMap", "kube-system", "coredns"),
    ("ConfigMap", "kube-system", "extension-apiserver-authentication"),
    ("ConfigMap", "kube-system", "kube-proxy"),
    ("ConfigMap", "kube-system", "kubeadm-config"),
    ("ConfigMap", "kube-system", "kubelet-config"),
}
# `flux bootstrap` creates a GitRepository, the Flux operator one of these from its FluxInstance.
FLUX_KINDS = {"GitRepository", "OCIRepository", "Bucket", "Kustomization"}
FLUX_NAME = "flux-system"
# `flux bootstrap` commits its source in this file.
BOOTSTRAP_FILE = "gotk-sync.yaml"


def is_created_outside(kind: str, namespace: str, name: str, has_bootstrap_file: bool = False) -> bool:
    """Whether a cluster commonly has an object that no repository contains.

    Args:
        namespace: empty if no file states it: then it may be any namespace.
        has_bootstrap_file: whether the repository contains the file of `flux bootstrap`: what is not in it is missing.
    """
    if (kind, name) in NAMES_IN_ANY_NAMESPACE or (kind, namespace, name) in NAMES:
        return True
    is_bootstrap = kind in FLUX_KINDS and name == FLUX_NAME and namespace in ("", FLUX_NAME)
    return is_bootstrap and not has_bootstrap_file
