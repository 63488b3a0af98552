package helm

import (
	"bytes"
	"errors"
	"path"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"gatekeeper/upstream/cache"
)

// maximumSchemas bounds the compiled schemas that are kept.
const maximumSchemas = 32

const schemaURL = "file:///values.schema.json"

// schemaStore keeps compiled schemas of values. Helm compiles a schema each time, which takes longer than rendering the
// chart.
type schemaStore struct {
	compiled *cache.Results[*jsonschema.Schema]
}

var schemas = &schemaStore{cache.New[*jsonschema.Schema](maximumSchemas)}

// accept reports whether Helm would find that the values meet the schemas of the chart and of its dependencies. False
// says nothing: Helm itself must validate, and describes the fault.
func (s *schemaStore) accept(files []*loader.BufferedFile, request Release) (accepted bool) {
	defer func() {
		if recover() != nil {
			accepted = false
		}
	}()
	if !mayHaveSchema(files) {
		return false
	}
	// Helm changes a chart and its values when it selects dependencies, so these are not those that it gets afterwards.
	loaded, err := loader.LoadFiles(copyFiles(files))
	if err != nil || !hasSchema(loaded) {
		return false
	}
	merged, err := mergeValues(request)
	if err != nil || chartutil.ProcessDependenciesWithMerge(loaded, merged) != nil {
		return false
	}
	values, err := chartutil.CoalesceValues(loaded, merged)
	return err == nil && s.acceptAll(loaded, values)
}

// mayHaveSchema is false for the usual chart without a schema, which need not be loaded once more.
func mayHaveSchema(files []*loader.BufferedFile) bool {
	return slices.ContainsFunc(files, func(file *loader.BufferedFile) bool {
		return path.Base(file.Name) == "values.schema.json" || path.Ext(file.Name) == ".tgz"
	})
}

func hasSchema(loaded *chart.Chart) bool {
	for _, dependency := range loaded.Dependencies() {
		if hasSchema(dependency) {
			return true
		}
	}
	return loaded.Schema != nil
}

// acceptAll validates as chartutil.ValidateAgainstSchema does.
func (s *schemaStore) acceptAll(loaded *chart.Chart, values chartutil.Values) bool {
	if loaded.Schema != nil {
		compiled, err := s.compiled.Get(loaded.Schema, func() (*jsonschema.Schema, error) { return compileSchema(loaded.Schema) })
		if err != nil || compiled.Validate(values.AsMap()) != nil {
			return false
		}
	}
	for _, dependency := range loaded.Dependencies() {
		raw, given := values[dependency.Name()]
		if !given || raw == nil {
			continue
		}
		own, isMap := raw.(map[string]any)
		if !isMap || !s.acceptAll(dependency, own) {
			return false
		}
	}
	return true
}

// compileSchema fails if a schema cannot be compiled by itself.
func compileSchema(text []byte) (compiled *jsonschema.Schema, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the compiler of schemas crashed")
		}
	}()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, schema); err != nil {
		return nil, err
	}
	return compiler.Compile(schemaURL)
}

// noLoader refuses what a schema refers to outside of its text.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errors.New("not a part of the schema") }
