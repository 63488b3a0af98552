package helm

import (
	"fmt"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// FluxValues are the values of a HelmRelease of Flux.
//
// Source: github.com/fluxcd/pkg/chartutil (values.go, merge.go), source-controller internal/helm/chart/builder_remote.go.
type FluxValues struct {
	// ChartFiles are the files of the chart that replace its values.yaml, merged in this order.
	ChartFiles    []string `json:"chartFiles"`
	IgnoreMissing bool     `json:"ignoreMissing"`
	// References are the contents of `valuesFrom`, in order.
	References []ValuesReference `json:"references"`
	// Inline are the values of the HelmRelease, as JSON.
	Inline []byte `json:"inline"`
}

// ValuesReference is the content of an entry of `valuesFrom`. Its name is that of the object, for messages.
type ValuesReference struct {
	Name       string `json:"name"`
	Data       []byte `json:"data"`
	TargetPath string `json:"targetPath"`
	Literal    bool   `json:"literal"`
}

// compose merges the references and the inline values as helm-controller does.
//
// A value at a target path is set in maps that can be those of the inline values: they are merged in before it, and
// again at the end. So it stays where nothing else was merged into its map, and loses against them otherwise.
func (v *FluxValues) compose() (map[string]any, error) {
	inline := map[string]any{}
	if len(v.Inline) > 0 {
		if err := yaml.Unmarshal(v.Inline, &inline); err != nil {
			return nil, fmt.Errorf("the values of the release cannot be read: %w", err)
		}
	}
	result := map[string]any{}
	for _, reference := range v.References {
		if reference.TargetPath != "" {
			result = mergeMaps(result, inline)
			if err := setPath(result, reference); err != nil {
				// The error of Helm's parser contains the value, which may be secret.
				return nil, fmt.Errorf("%s cannot be set at targetPath %q", reference.Name, reference.TargetPath)
			}
			continue
		}
		values, err := chartutil.ReadValues(reference.Data)
		if err != nil {
			return nil, fmt.Errorf("%s has no valid YAML values", reference.Name)
		}
		result = mergeMaps(result, values)
	}
	return mergeMaps(result, inline), nil
}

func setPath(values map[string]any, reference ValuesReference) error {
	path, value := reference.TargetPath, string(reference.Data)
	if reference.Literal {
		escaped := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(value)
		return strvals.ParseIntoString(path+"="+escaped, values)
	}
	for _, quote := range []string{"'", `"`} {
		if strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
			return strvals.ParseIntoString(path+"="+strings.Trim(value, `'"`), values)
		}
	}
	return strvals.ParseInto(path+"="+value, values)
}

// mergeMaps returns a new map with the entries of both; those of the second one win, and maps are merged.
func mergeMaps(first, second map[string]any) map[string]any {
	merged := make(map[string]any, len(first))
	for key, value := range first {
		merged[key] = value
	}
	for key, value := range second {
		inner, isMap := value.(map[string]any)
		if before, wasMap := merged[key].(map[string]any); isMap && wasMap {
			merged[key] = mergeMaps(before, inner)
			continue
		}
		merged[key] = value
	}
	return merged
}

// replaceDefaults replaces the values of a chart by those of the files that the release names.
func (v *FluxValues) replaceDefaults(loaded *chart.Chart) error {
	if len(v.ChartFiles) == 0 {
		return nil
	}
	merged := map[string]any{}
	for _, named := range v.ChartFiles {
		name := filepath.Clean(named)
		if name == chartutil.ValuesfileName {
			merged = mergeMaps(merged, loaded.Values)
			continue
		}
		values, found, err := readChartFile(loaded, name)
		if err != nil {
			return fmt.Errorf("the values file %s of the chart cannot be read: %w", name, err)
		}
		if !found && !v.IgnoreMissing {
			return fmt.Errorf("no values file found at path '%s'", named)
		}
		merged = mergeMaps(merged, values)
	}
	loaded.Values = merged
	return nil
}

func readChartFile(loaded *chart.Chart, name string) (map[string]any, bool, error) {
	for _, file := range loaded.Files {
		if file.Name == name {
			values := map[string]any{}
			err := yaml.Unmarshal(file.Data, &values)
			return values, true, err
		}
	}
	return nil, false, nil
}
