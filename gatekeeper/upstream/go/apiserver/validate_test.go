package apiserver

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"gatekeeper/upstream/finding"
)

var validator = func() *Validator {
	made, err := NewValidator()
	if err != nil {
		panic(err)
	}
	return made
}()

func gvk(apiVersion, kind string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}

func summarize(findings []finding.Finding) string {
	var parts []string
	for _, one := range findings {
		parts = append(parts, one.Field+" "+one.Type)
	}
	return strings.Join(parts, ", ")
}

func TestValidate(t *testing.T) {
	for _, test := range []struct{ name, apiVersion, kind, object, want string }{
		{"valid", "v1", "ConfigMap", `{"metadata":{"name":"a"}}`, ""},
		{"a name", "v1", "ConfigMap", `{"metadata":{"name":"A"}}`, "metadata.name FieldValueInvalid"},
		{"no name", "v1", "ConfigMap", `{"metadata":{}}`, "metadata.name FieldValueRequired"},
		{"a generated name", "v1", "ConfigMap", `{"metadata":{"generateName":"a-"}}`, ""},
		{"a namespace", "v1", "ConfigMap", `{"metadata":{"name":"a","namespace":"A"}}`, "metadata.namespace FieldValueInvalid"},
		{"a namespace of a cluster's kind", "rbac.authorization.k8s.io/v1", "ClusterRole", `{"metadata":{"name":"a","namespace":"b"}}`, ""},
		{"an unknown field", "v1", "ConfigMap", `{"metadata":{"name":"a"},"dat":{}}`, "dat UnknownField"},
		{"a field twice", "v1", "ConfigMap", `{"metadata":{"name":"a"},"data":{},"data":{}}`, "data DuplicateField"},
		{"an unknown field and a fault", "v1", "ConfigMap", `{"metadata":{"name":"A"},"dat":{}}`, "dat UnknownField, metadata.name FieldValueInvalid"},
		{"a headless Service", "v1", "Service", `{"metadata":{"name":"a"},"spec":{"clusterIP":"None","ports":[{"port":80}]}}`, ""},
		{"any cluster IP", "v1", "Service", `{"metadata":{"name":"a"},"spec":{"clusterIP":"10.43.0.7","ports":[{"port":80}]}}`, ""},
		{"a node port", "v1", "Service", `{"metadata":{"name":"a"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":80}]}}`, "spec.ports[0].nodePort Warning"},
		{"no node port", "v1", "Service", `{"metadata":{"name":"a"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}`, ""},
		{"a privileged container", "v1", "Pod", `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"b","securityContext":{"privileged":true}}]}}`, ""},
		{"a time zone", "batch/v1", "CronJob", `{"metadata":{"name":"a"},"spec":{"schedule":"* * * * *","timeZone":"Europe/Berlin","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"a","image":"b"}]}}}}}}`, ""},
		{"a Namespace", "v1", "Namespace", `{"metadata":{"name":"a.b"}}`, "metadata.name FieldValueInvalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := `{"apiVersion":"` + test.apiVersion + `","kind":"` + test.kind + `",` + test.object[1:]
			result := validator.Validate(context.Background(), gvk(test.apiVersion, test.kind), []byte(object), nil)
			if got := summarize(result.Findings); got != test.want || result.Unchecked != "" {
				t.Errorf("got %q %q, want %q", got, result.Unchecked, test.want)
			}
		})
	}
}

func TestValuesOfAnotherTypeAreNamedAndTheRestIsValidated(t *testing.T) {
	object := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"A","labels":{"a":1}},"spec":{"replicas":"two",
		"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[
		{"name":"a","image":"b","resources":{"limits":{"cpu":"lots"}},"ports":{}}]}}}}`
	result := validator.Validate(context.Background(), gvk("apps/v1", "Deployment"), []byte(object), nil)
	want := "metadata.labels[a] FieldValueTypeInvalid, spec.replicas FieldValueTypeInvalid, " +
		"spec.template.spec.containers[0].ports FieldValueTypeInvalid, " +
		"spec.template.spec.containers[0].resources.limits[cpu] FieldValueTypeInvalid, metadata.name FieldValueInvalid"
	if got := summarize(result.Findings); got != want {
		t.Errorf("got %s", got)
	}
}

func TestAValueThatIsNotKnownIsLeftOut(t *testing.T) {
	object := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"type":"kubernetes.io/tls",
		"data":{"tls.crt":"ENC[x]","tls.key":"YQ=="},"immutable":"${X}"}`
	result := validator.Validate(context.Background(), gvk("v1", "Secret"), []byte(object), []string{"ENC[", "${"})
	if got := summarize(result.Findings); got != " Warning" {
		t.Errorf("got %s", got)
	}
}

func TestADefinitionIsValidated(t *testing.T) {
	object := `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"a.example.com"},
		"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"a","singular":"a","kind":"A","listKind":"AList"},
		"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{}}}}}]}}`
	result := validator.Validate(
		context.Background(), gvk("apiextensions.k8s.io/v1", "CustomResourceDefinition"), []byte(object), nil)
	got := summarize(result.Findings)
	if got != "spec.validation.openAPIV3Schema.properties[spec].type FieldValueRequired" {
		t.Errorf("got %s", got)
	}
}

// Kinds that the API server has types for, and that it stores under no version or only with a feature gate.
var notValidated = map[string]bool{
	"v1/Binding": true, "v1/ComponentStatus": true, "v1/PodStatusResult": true, "v1/RangeAllocation": true,
	"autoscaling/v1/Scale": true, "policy/v1/Eviction": true, "authentication.k8s.io/v1/TokenRequest": true,
}

func TestEveryStableKindIsValidated(t *testing.T) {
	checked, unchecked := validator.Kinds()
	if len(checked) < 80 {
		t.Errorf("only %d kinds", len(checked))
	}
	for _, one := range unchecked {
		parts := strings.Split(one, "/")
		version := parts[len(parts)-2]
		if version == "v1" && !notValidated[one] && !strings.HasSuffix(one, "Review") {
			t.Errorf("%s is not validated", one)
		}
	}
}
