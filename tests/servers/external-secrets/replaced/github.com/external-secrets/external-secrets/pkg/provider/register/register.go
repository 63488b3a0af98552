// Package register registers the providers that the tests use. The original names forty, most of them with the client
// library of a cloud, and those take longer to compile than all the rest of the operator.
package register

import (
	_ "github.com/external-secrets/external-secrets/pkg/provider/fake"
	_ "github.com/external-secrets/external-secrets/pkg/provider/kubernetes"
	_ "github.com/external-secrets/external-secrets/pkg/provider/vault"
)
