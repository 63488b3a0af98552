package customresource

import (
	"context"
	"strings"

	structuraldefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	schemaobjectmeta "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	structuralpruning "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	kjson "sigs.k8s.io/json"

	"gatekeeper/upstream/apiserver"
	"gatekeeper/upstream/cache"
	"gatekeeper/upstream/finding"
)

// keptDefinitions bounds the compiled definitions that are kept; a repository seldom has more kinds.
const keptDefinitions = 2000

// Kinds keeps compiled definitions. It is safe for concurrent use.
type Kinds struct {
	compiled *cache.Results[*Kind]
}

// NewKinds returns no kinds yet.
func NewKinds() *Kinds { return &Kinds{cache.New[*Kind](keptDefinitions)} }

// Validate returns the reasons why the API server would refuse to create an object (JSON).
func (k *Kind) Validate(parent context.Context, object []byte) finding.Result {
	content, findings := k.decode(object)
	if content == nil {
		return finding.Result{Findings: findings}
	}
	structuraldefaulting.Default(content.Object, k.structural)
	warnings := &finding.Warnings{}
	refusals := k.create(warning.WithWarningRecorder(parent, warnings), content)
	return finding.Result{Findings: append(append(findings, refusals...), warnings.Findings()...)}
}

// Open returns the kind of a definition (JSON of a Definition).
func (k *Kinds) Open(definition []byte) (*Kind, error) {
	return k.compiled.Get(definition, func() (*Kind, error) { return compile(definition) })
}

// decode reads an object strictly, and takes out what its schema does not name.
//
// Source: `unstructuredSchemaCoercer.apply` of customresource_handler.go.
func (k *Kind) decode(object []byte) (*unstructured.Unstructured, []finding.Finding) {
	content := map[string]any{}
	strict, err := kjson.UnmarshalStrict(object, &content)
	if err != nil {
		return nil, undecodable(err)
	}
	var findings []finding.Finding
	if len(strict) > 0 {
		findings, _ = finding.FromStrictError(runtime.NewStrictDecodingError(strict))
	}
	meta, hasMeta, paths, err := schemaobjectmeta.GetObjectMetaWithOptions(
		content, schemaobjectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, append(findings, undecodable(err)...)
	}
	if !k.PreserveUnknownFields {
		options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
		paths = append(paths, structuralpruning.PruneWithOptions(content, k.structural, true, options)...)
		structuraldefaulting.PruneNonNullableNullsWithoutDefaults(content, k.structural)
	}
	fault, more := schemaobjectmeta.CoerceWithOptions(
		nil, content, k.structural, false, schemaobjectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if fault != nil {
		return nil, append(findings, finding.Finding{Field: fault.Field, Type: string(fault.Type), Detail: fault.Detail})
	}
	findings = append(findings, finding.UnknownFields(append(paths, more...))...)
	if hasMeta {
		if err := schemaobjectmeta.SetObjectMeta(content, meta); err != nil {
			return nil, append(findings, undecodable(err)...)
		}
	}
	return &unstructured.Unstructured{Object: content}, findings
}

func undecodable(err error) []finding.Finding {
	path := ""
	if strings.HasPrefix(err.Error(), "metadata") || strings.Contains(err.Error(), "ObjectMeta") {
		path = "metadata"
	}
	return []finding.Finding{{Field: path, Type: finding.Undecodable, Detail: err.Error()}}
}

func (k *Kind) create(parent context.Context, object *unstructured.Unstructured) []finding.Finding {
	namespace := metav1.NamespaceNone
	if k.Namespaced {
		namespace = object.GetNamespace()
		if namespace == "" {
			namespace = apiserver.DefaultNamespace
		}
	}
	ctx := apiserver.WithRequest(parent, k.gvk(), "", namespace)
	rest.WipeObjectMetaSystemFields(object)
	// The API server writes its own.
	object.SetManagedFields(nil)
	if err := rest.EnsureObjectNamespaceMatchesRequestNamespace(namespace, object); err != nil {
		return finding.FromError(err)
	}
	rest.FillObjectMetaSystemFields(object)
	if object.GetGenerateName() != "" && object.GetName() == "" {
		object.SetName(k.strategy.GenerateName(object.GetGenerateName()))
	}
	return apiserver.BeforeCreate(ctx, k.strategy, object, object)
}
