package policyset

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	policiesv1beta1 "github.com/kyverno/api/api/policies.kyverno.io/v1beta1"
	kyvernov2 "github.com/kyverno/kyverno/api/kyverno/v2"
	"github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno/data"
	"github.com/kyverno/kyverno/ext/resource/convert"
	"github.com/kyverno/kyverno/ext/resource/loader"
	"sigs.k8s.io/kubectl-validate/pkg/openapiclient"
)

// crdLoader decodes objects as the API server does, by the CRDs of Kyverno.
var crdLoader = sync.OnceValues(func() (loader.Loader, error) {
	crds, err := data.Crds()
	if err != nil {
		return nil, err
	}
	return loader.New(openapiclient.NewComposite(openapiclient.NewLocalCRDFiles(crds)))
})

// decodeExceptions decodes the PolicyExceptions of both APIs; those that have expired have no effect. An exception that
// the API server would not store is a fault.
func decodeExceptions(objects []json.RawMessage) ([]*kyvernov2.PolicyException, celExceptions, []string) {
	var classic []*kyvernov2.PolicyException
	var cel celExceptions
	var faults []string
	for _, raw := range objects {
		found, celFound, err := decodeException(raw)
		switch {
		case err != nil:
			faults = append(faults, oneLine(err.Error()))
			continue
		case found != nil:
			classic = append(classic, found)
		case !celFound.IsExpired():
			cel = append(cel, celFound)
		}
		faults = append(faults, "")
	}
	return classic, cel, faults
}

// decodeException returns an exception of one of the APIs.
func decodeException(raw json.RawMessage) (
	classic *kyvernov2.PolicyException, cel *policiesv1beta1.PolicyException, err error,
) {
	defer func() {
		if crash := recover(); crash != nil {
			err = errors.New(unexpected(crash))
		}
	}()
	decoder, err := crdLoader()
	if err != nil {
		return nil, nil, err
	}
	kind, object, err := decoder.Load(raw)
	if err != nil {
		return nil, nil, err
	}
	switch kind.Group + "/" + kind.Version {
	case "kyverno.io/v2beta1", "kyverno.io/v2":
		classic, err = convert.To[kyvernov2.PolicyException](object)
	case "policies.kyverno.io/v1alpha1", "policies.kyverno.io/v1beta1", "policies.kyverno.io/v1":
		cel, err = convert.To[policiesv1beta1.PolicyException](object)
	default:
		err = fmt.Errorf("Kyverno serves no %s", kind)
	}
	return classic, cel, err
}
