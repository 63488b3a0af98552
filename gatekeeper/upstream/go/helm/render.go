package helm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli/values"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/release"
)

const (
	valuesScheme  = "gatekeeper-values"
	maximumOutput = 128 << 20
)

// ValuesFile is the content of a file of values, and its name in messages.
type ValuesFile struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// Release describes one rendering: the arguments of `helm template`.
type Release struct {
	Chart       string       `json:"chart"`
	Name        string       `json:"name"`
	Namespace   string       `json:"namespace"`
	Kubernetes  string       `json:"kubernetes"`
	APIVersions []string     `json:"apiVersions"`
	Values      []ValuesFile `json:"values"`
	SetValues   []string     `json:"setValues"`
	IncludeCRDs bool         `json:"includeCRDs"`
	SkipTests   bool         `json:"skipTests"`
	IsUpgrade   bool         `json:"isUpgrade"`
	// Flux has the values of a HelmRelease, which come after those of the files.
	Flux *FluxValues `json:"flux"`
	// NameTemplate, GenerateName and SkipHooks are for charts of kustomizations, which have a release without a name.
	NameTemplate string `json:"-"`
	GenerateName bool   `json:"-"`
	SkipHooks    bool   `json:"-"`
}

// Rendering is the output of `helm template`, or its error. Unknown is true if the chart must be sent first.
type Rendering struct {
	Output  string `json:"output,omitempty"`
	Fault   string `json:"fault,omitempty"`
	Unknown bool   `json:"unknown,omitempty"`
}

// Render renders a chart of the store.
func (s *Store) Render(request Release) Rendering {
	files, known := s.get(request.Chart)
	if !known {
		return Rendering{Unknown: true}
	}
	output, err := render(files, request)
	if err != nil {
		return Rendering{Fault: err.Error()}
	}
	return Rendering{Output: output}
}

// Template renders a chart of these files, in the order in which Helm reads them.
func Template(files []File, request Release) (string, error) {
	selected, err := selectFiles(files)
	if err != nil {
		return "", err
	}
	return render(selected, request)
}

// render does what `helm template` does, in its order, so that the first error is the same.
func render(files []*loader.BufferedFile, request Release) (string, error) {
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	if request.Kubernetes != "" {
		version, err := chartutil.ParseKubeVersion(request.Kubernetes)
		if err != nil {
			return "", fmt.Errorf("invalid kube version '%s': %s", request.Kubernetes, err)
		}
		install.KubeVersion = version
	}
	if err := setName(install, request); err != nil {
		return "", err
	}
	merged, err := mergeValues(request)
	if err != nil {
		return "", err
	}
	install.SkipSchemaValidation = schemas.accept(files, request)
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return "", err
	}
	if err := checkChart(loaded); err != nil {
		return "", err
	}
	if request.Flux != nil {
		if err := request.Flux.replaceDefaults(loaded); err != nil {
			return "", err
		}
	}
	install.Namespace, install.APIVersions = request.Namespace, chartutil.VersionSet(request.APIVersions)
	if install.Namespace == "" {
		install.Namespace = "default"
	}
	install.ClientOnly, install.DryRun, install.DryRunOption, install.Replace = true, true, "true", true
	install.IncludeCRDs, install.IsUpgrade = request.IncludeCRDs, request.IsUpgrade
	rendered, err := install.Run(loaded, merged)
	if err != nil {
		if rendered != nil {
			err = fmt.Errorf("%w\n\nUse --debug flag to render out invalid YAML", err)
		}
		return "", err
	}
	output := printRelease(rendered, request)
	if len(output) > maximumOutput {
		return "", fmt.Errorf("the chart renders more than %d MB", maximumOutput>>20)
	}
	return output, nil
}

// setName sets the name of the release.
func setName(install *action.Install, request Release) error {
	install.ReleaseName = request.Name
	if request.NameTemplate == "" && !request.GenerateName {
		return nil
	}
	install.NameTemplate, install.GenerateName = request.NameTemplate, request.GenerateName
	arguments := []string{"chart"}
	if request.Name == "" {
		// `helm template` sets this name before it looks at the flag for a generated one.
		install.ReleaseName = "release-name"
	} else {
		arguments = []string{request.Name, "chart"}
	}
	name, _, err := install.NameAndChart(arguments)
	install.ReleaseName = name
	return err
}

func checkChart(loaded *chart.Chart) error {
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return fmt.Errorf("%s charts are not installable", kind)
	}
	if required := loaded.Metadata.Dependencies; required != nil {
		if err := action.CheckDependencies(loaded, required); err != nil {
			return fmt.Errorf("An error occurred while checking for chart dependencies. "+
				"You may need to run `helm dependency build` to fetch missing dependencies: %w", err)
		}
	}
	return nil
}

// printRelease prints the manifests, and the hooks behind them.
func printRelease(rendered *release.Release, request Release) string {
	var output strings.Builder
	fmt.Fprintln(&output, strings.TrimSpace(rendered.Manifest))
	for _, hook := range rendered.Hooks {
		if request.SkipHooks {
			break
		}
		if !request.SkipTests || !slices.Contains(hook.Events, release.HookTest) {
			fmt.Fprintf(&output, "---\n# Source: %s\n%s\n", hook.Path, hook.Manifest)
		}
	}
	return output.String()
}

// mergeValues merges the files of values, the last of which has the highest precedence, and then the texts of `--set`.
func mergeValues(request Release) (map[string]any, error) {
	options := values.Options{Values: request.SetValues}
	names := []string{}
	for index, file := range request.Values {
		address := fmt.Sprintf("%s:%d-", valuesScheme, index)
		options.ValueFiles = append(options.ValueFiles, address)
		names = append(names, address, file.Name)
	}
	provider := getter.Provider{
		Schemes: []string{valuesScheme},
		New:     func(...getter.Option) (getter.Getter, error) { return valuesGetter(request.Values), nil },
	}
	merged, err := options.MergeValues(getter.Providers{provider})
	if err != nil {
		return nil, fmt.Errorf("%s", strings.NewReplacer(names...).Replace(err.Error()))
	}
	if request.Flux == nil {
		return merged, nil
	}
	composed, err := request.Flux.compose()
	if err != nil {
		return nil, err
	}
	return mergeMaps(merged, composed), nil
}

// valuesGetter gets files of values by their number.
type valuesGetter []ValuesFile

func (g valuesGetter) Get(address string, _ ...getter.Option) (*bytes.Buffer, error) {
	var index int
	if _, err := fmt.Sscanf(address, valuesScheme+":%d-", &index); err != nil || index >= len(g) {
		return nil, fmt.Errorf("there is no file of values %q", address)
	}
	return bytes.NewBuffer(slices.Clone(g[index].Data)), nil
}
