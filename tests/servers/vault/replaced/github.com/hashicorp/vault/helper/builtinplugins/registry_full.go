package builtinplugins

import kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"

// The tests sign in by what Vault always has, and by Kubernetes; the original adds the plugins for forty products, and
// their client libraries take longer to compile than all the rest of Vault.
func extendAddonPlugins(known *registry) {
	known.credentialBackends["kubernetes"] = credentialBackend{Factory: kubernetes.Factory}
}
