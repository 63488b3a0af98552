package apiserver

import (
	"strings"

	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// kindReader reads the kind of an object (valid JSON) as the API server does, without decoding the rest of it: that
// would take a quarter of the time of decoding.
type kindReader struct{}

var _ kjson.MetaFactory = kindReader{}

// Interpret leaves everything but the usual form to the API server's own reader, which ignores the case of letters, and
// takes the last of several.
func (kindReader) Interpret(object []byte) (*schema.GroupVersionKind, error) {
	var apiVersion, kind gjson.Result
	isUsual := true
	gjson.ParseBytes(object).ForEach(func(name, value gjson.Result) bool {
		switch {
		case name.Str == "apiVersion" && !apiVersion.Exists():
			apiVersion = value
		case name.Str == "kind" && !kind.Exists():
			kind = value
		case strings.EqualFold(name.Str, "apiVersion") || strings.EqualFold(name.Str, "kind"):
			isUsual = false
		}
		return isUsual
	})
	if !isUsual || apiVersion.Type != gjson.String || kind.Type != gjson.String {
		return kjson.DefaultMetaFactory.Interpret(object)
	}
	version, err := schema.ParseGroupVersion(apiVersion.Str)
	if err != nil {
		return nil, err
	}
	gvk := version.WithKind(kind.Str)
	return &gvk, nil
}
