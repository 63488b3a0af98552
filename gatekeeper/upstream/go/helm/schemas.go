package helm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// maximumSchemas bounds the compiled schemas that are kept.
const maximumSchemas = 32

const schemaURL = "file:///values.schema.json"

// schemaStore keeps compiled schemas of values by the digest of their text. Helm compiles a schema each time, which takes
// longer than rendering the chart.
type schemaStore struct {
	lock     sync.Mutex
	compiled map[[sha256.Size]byte]func() *jsonschema.Schema
}

var schemas = &schemaStore{compiled: map[[sha256.Size]byte]func() *jsonschema.Schema{}}

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
		compiled := s.get(loaded.Schema)
		if compiled == nil || compiled.Validate(values.AsMap()) != nil {
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

// get returns a compiled schema; nil if it cannot be compiled by itself.
func (s *schemaStore) get(text []byte) *jsonschema.Schema {
	digest := sha256.Sum256(text)
	s.lock.Lock()
	compile, known := s.compiled[digest]
	if !known {
		if len(s.compiled) >= maximumSchemas {
			clear(s.compiled)
		}
		compile = sync.OnceValue(func() *jsonschema.Schema { return compileSchema(text) })
		s.compiled[digest] = compile
	}
	s.lock.Unlock()
	return compile()
}

func compileSchema(text []byte) (compiled *jsonschema.Schema) {
	defer func() {
		if recover() != nil {
			compiled = nil
		}
	}()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if compiler.AddResource(schemaURL, schema) != nil {
		return nil
	}
	compiled, err = compiler.Compile(schemaURL)
	if err != nil {
		return nil
	}
	return compiled
}

// noLoader refuses what a schema refers to outside of its text.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errors.New("not a part of the schema") }
