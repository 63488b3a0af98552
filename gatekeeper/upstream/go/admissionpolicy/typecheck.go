package admissionpolicy

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/generated/openapi"

	"gatekeeper/upstream/customresource"
	"gatekeeper/upstream/parallel"
)

// Warning is a result of the type check of an expression of a policy.
type Warning struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// TypeCheck requests the type check of ValidatingAdmissionPolicies.
type TypeCheck struct {
	// Specs are their specifications.
	Specs []json.RawMessage `json:"specs"`
	// Definitions are those of custom kinds.
	Definitions []json.RawMessage `json:"definitions"`
}

// builtinSchemas are the schemas of built-in kinds; building them takes a tenth of a second.
var builtinSchemas = sync.OnceValue(func() resolver.SchemaResolver {
	return resolver.NewDefinitionsSchemaResolver(openapi.GetOpenAPIDefinitions, legacyscheme.Scheme)
})

// checkedSchemas are the schemas of built-in and of custom kinds.
type checkedSchemas struct {
	custom map[schema.GroupVersionKind]*spec.Schema
}

// ResolveSchema returns the schema of a kind.
func (s checkedSchemas) ResolveSchema(gvk schema.GroupVersionKind) (*spec.Schema, error) {
	if found := s.custom[gvk]; found != nil {
		return found, nil
	}
	return builtinSchemas().ResolveSchema(gvk)
}

// customKind is the address of a kind in its definition.
type customKind struct {
	customresource.Definition
	Plural   string `json:"plural"`
	IsServed bool   `json:"is_served"`
}

// Check returns the warnings of each policy, as the controller of the cluster writes them into the policy's status.
// Resources are those of the built-in kinds.
//
// Source: kubernetes `apiserver/pkg/admission/plugin/policy/validating/typechecking.go`.
func (t TypeCheck) Check(
	ctx context.Context, custom *customresource.Kinds, resources map[schema.GroupVersionKind]string,
) ([][]Warning, error) {
	mapper := meta.NewDefaultRESTMapper(nil)
	for gvk, resource := range resources {
		// Clusters do not serve other versions by default.
		if !strings.ContainsAny(strings.TrimPrefix(gvk.Version, "v"), "ab") {
			addKind(mapper, gvk, resource)
		}
	}
	schemas := checkedSchemas{map[schema.GroupVersionKind]*spec.Schema{}}
	for _, text := range t.Definitions {
		if err := schemas.add(custom, mapper, text); err != nil {
			return nil, err
		}
	}
	checker := &validating.TypeChecker{SchemaResolver: schemas, RestMapper: mapper}
	return parallel.Map(ctx, t.Specs, func(spec json.RawMessage) []Warning { return check(checker, spec) })
}

// add adds the kind of a definition (JSON).
func (s checkedSchemas) add(custom *customresource.Kinds, mapper *meta.DefaultRESTMapper, text []byte) error {
	var kind customKind
	if err := json.Unmarshal(text, &kind); err != nil {
		return fmt.Errorf("a definition cannot be read")
	}
	found, err := custom.OpenAPI(text)
	if err != nil || !kind.IsServed {
		// Validate reports a definition that cannot be used.
		return nil
	}
	gvk := schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind}
	addMetadata(found)
	s.custom[gvk] = found
	addKind(mapper, gvk, kind.Plural)
	return nil
}

func addKind(mapper *meta.DefaultRESTMapper, gvk schema.GroupVersionKind, plural string) {
	resource := gvk.GroupVersion().WithResource(plural)
	mapper.AddSpecific(gvk, resource, resource, meta.RESTScopeNamespace)
}

// addMetadata adds the fields that every object has.
func addMetadata(custom *spec.Schema) {
	object, err := builtinSchemas().ResolveSchema(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"})
	if err != nil {
		return
	}
	if custom.Properties == nil {
		custom.Properties = map[string]spec.Schema{}
	}
	for _, name := range []string{"apiVersion", "kind", "metadata"} {
		custom.Properties[name] = object.Properties[name]
	}
}

// generatedName is a type's name in messages of the checker, which ends with the time.
var generatedName = regexp.MustCompile(`\b([A-Z][A-Za-z]*?)\d{2,9}\b`)

func check(checker *validating.TypeChecker, text []byte) []Warning {
	warnings := []Warning{}
	var policy admissionv1.ValidatingAdmissionPolicy
	if json.Unmarshal(text, &policy.Spec) != nil {
		// Validate reports a policy that cannot be decoded.
		return warnings
	}
	for _, one := range checker.Check(&policy) {
		message := generatedName.ReplaceAllString(strings.TrimSpace(one.Warning), "$1")
		warnings = append(warnings, Warning{one.FieldRef, message})
	}
	return warnings
}
