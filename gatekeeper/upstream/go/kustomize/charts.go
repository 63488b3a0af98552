package kustomize

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	_ "unsafe" // for go:linkname

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // the only name of the type outside of kustomize
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"

	"gatekeeper/upstream/helm"
)

// generatorFactories is the table in which kustomize looks up its generators, by their number. There is no other way to
// replace one; if another version of kustomize has no such table, the program cannot be linked.
//
//go:linkname generatorFactories sigs.k8s.io/kustomize/api/internal/plugins/builtinhelpers.GeneratorFactories
var generatorFactories map[int]func() resmap.GeneratorPlugin

func init() {
	for number, factory := range generatorFactories {
		if _, inflates := factory().(*builtins.HelmChartInflationGeneratorPlugin); inflates {
			generatorFactories[number] = func() resmap.GeneratorPlugin { return &chartGenerator{} }
		}
	}
}

// trees has the tree of each build that runs, by what kustomize hands to its generators as the command of Helm.
var (
	trees      sync.Map
	lastNumber atomic.Uint64
)

// chartGenerator renders a chart as kustomize's own generator does, with Helm's library in place of its program, and
// from the tree in place of a disk. It never fetches a chart.
//
// Source: sigs.k8s.io/kustomize/api internal/builtins/HelmChartInflationGenerator.go.
type chartGenerator struct {
	builtins.HelmChartInflationGeneratorPlugin
	helpers *resmap.PluginHelpers
}

// Config reads and checks the fields of a chart, as kustomize does.
func (g *chartGenerator) Config(helpers *resmap.PluginHelpers, config []byte) error {
	g.helpers = helpers
	// The folder of Helm's settings; without one, kustomize makes a folder for them.
	g.ConfigHome = "/none"
	return g.HelmChartInflationGeneratorPlugin.Config(helpers, config)
}

// Generate renders the chart.
func (g *chartGenerator) Generate() (resmap.ResMap, error) {
	held, _ := trees.Load(g.helpers.GeneralConfig().HelmConfig.Command)
	own, running := held.(*tree)
	if !running {
		return nil, errors.New("a chart is rendered after the end of its build")
	}
	folder := filepath.Join(g.home(), g.Name)
	if !(fileSystem{own}).IsDir(folder) {
		return nil, fmt.Errorf("the chart is not at '%s', and is not fetched", folder)
	}
	values, err := g.valuesFiles(own)
	if err != nil {
		return nil, err
	}
	files, err := own.chart(folder)
	if err != nil {
		return nil, err
	}
	versions, err := splitLists(g.ApiVersions)
	if err != nil {
		return nil, err
	}
	text, err := helm.Template(files, helm.Release{
		Name: g.ReleaseName, NameTemplate: g.NameTemplate, GenerateName: g.ReleaseName == "", Namespace: g.Namespace,
		Kubernetes: g.KubeVersion, APIVersions: versions, Values: values,
		IncludeCRDs: g.IncludeCRDs, SkipTests: g.SkipTests, SkipHooks: g.SkipHooks,
	})
	if err != nil {
		return nil, fmt.Errorf("the chart %s cannot be rendered: %w", g.Name, err)
	}
	return g.parse(text)
}

// home is the folder in which the folder of the chart is.
func (g *chartGenerator) home() string {
	home := g.ChartHome
	if !filepath.IsAbs(home) {
		home = filepath.Join(g.helpers.Loader().Root(), home)
	}
	if g.Version != "" && g.Repo != "" {
		home = filepath.Join(home, g.Name+"-"+g.Version)
	}
	return home
}

// valuesFiles returns the chart's values with those of the kustomization, and the additional files.
func (g *chartGenerator) valuesFiles(own *tree) ([]helm.ValuesFile, error) {
	text, err := g.mergeValues()
	if err != nil {
		return nil, err
	}
	files := []helm.ValuesFile{{Name: "the values of " + g.Name, Data: text}}
	for _, path := range g.AdditionalValuesFiles {
		text, err := own.read(path)
		if err != nil {
			return nil, err
		}
		files = append(files, helm.ValuesFile{Name: path, Data: text})
	}
	return files, nil
}

// mergeValues merges the file of values and the inline values: `override` gives precedence to the inline ones, `merge`
// to the file, and `replace` leaves the file out.
func (g *chartGenerator) mergeValues() ([]byte, error) {
	if len(g.ValuesInline) > 0 && g.ValuesMerge == "replace" {
		return yaml.Marshal(g.ValuesInline)
	}
	text, err := g.helpers.Loader().Load(g.ValuesFile)
	if err != nil || len(g.ValuesInline) == 0 {
		return text, err
	}
	file, err := kyaml.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("the file of values '%s' is not valid: %w", g.ValuesFile, err)
	}
	inline, err := kyaml.FromMap(g.ValuesInline)
	if err != nil {
		return nil, fmt.Errorf("the inline values of %s are not valid: %w", g.Name, err)
	}
	stronger, weaker := inline, file
	if g.ValuesMerge == "merge" {
		stronger, weaker = file, inline
	}
	merged, err := merge2.Merge(stronger, weaker, kyaml.MergeOptions{})
	if err != nil {
		return nil, fmt.Errorf("the values of %s cannot be merged: %w", g.Name, err)
	}
	values, err := merged.Map()
	if err != nil {
		return nil, fmt.Errorf("the values of %s are not a mapping: %w", g.Name, err)
	}
	return yaml.Marshal(values)
}

// parse reads what Helm prints, and marks it for the transformer of namespaces.
func (g *chartGenerator) parse(text string) (resmap.ResMap, error) {
	factory := g.helpers.ResmapFactory()
	rendered, err := factory.NewResMapFromBytes([]byte(text))
	if err != nil {
		// This reader accepts more, for example documents that are lists.
		reader := kio.ByteReader{Reader: strings.NewReader(text), OmitReaderAnnotations: true}
		nodes, readError := reader.Read()
		if readError != nil || len(nodes) == 0 {
			return nil, fmt.Errorf("the output of the chart %s is not valid: %w", g.Name, errors.Join(err, readError))
		}
		if rendered, err = factory.NewResMapFromRNodeSlice(nodes); err != nil {
			return nil, fmt.Errorf("the output of the chart %s is not valid: %w", g.Name, err)
		}
	}
	for _, one := range rendered.Resources() {
		if err := one.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true")); err != nil {
			return nil, err
		}
	}
	return rendered, nil
}

// splitLists splits texts at commas, as the flag `--api-versions` does.
func splitLists(texts []string) ([]string, error) {
	parts := []string{}
	for _, text := range texts {
		if text == "" {
			continue
		}
		split, err := csv.NewReader(strings.NewReader(text)).Read()
		if err != nil {
			return nil, fmt.Errorf("apiVersions: %w", err)
		}
		parts = append(parts, split...)
	}
	return parts, nil
}

// inflateFrom is the configuration of a build that may inflate charts of its tree, and a function for its end.
func inflateFrom(own *tree) (*types.PluginConfig, func()) {
	config := types.DisabledPluginConfig()
	command := fmt.Sprintf("helm %d", lastNumber.Add(1))
	config.HelmConfig = types.HelmConfig{Enabled: true, Command: command, KubeVersion: own.kubernetes}
	trees.Store(command, own)
	return config, func() { trees.Delete(command) }
}
