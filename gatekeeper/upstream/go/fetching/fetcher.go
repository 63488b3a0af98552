package fetching

import (
	"context"
	"net/url"
	"os"
	"sync"

	"oras.land/oras-go/v2/registry/remote/auth"
)

const defaultMaxBytes = 100 << 20

// Fetcher downloads sources with the same settings. Each index and each list of tags is read once.
type Fetcher struct {
	store    *Store
	settings Settings
	vault    *vault
	network  *network
	lock     sync.Mutex
	indexes  map[string]*once[*Index]
	tags     map[string]*once[[]string]
	// registries is the client for registries, with the tokens that it has.
	registries *auth.Client
}

// NewFetcher returns a fetcher that writes into a store.
func NewFetcher(store *Store, settings Settings) *Fetcher {
	if settings.MaxIndexBytes <= 0 {
		settings.MaxIndexBytes = defaultMaxBytes
	}
	if settings.MaxFileBytes <= 0 {
		settings.MaxFileBytes = defaultMaxBytes
	}
	known := &vault{settings: settings.Credentials, configs: settings.DockerConfigs}
	sender := newNetwork(known, settings.ForbidsPrivateAddresses)
	return &Fetcher{
		store: store, settings: settings, vault: known, network: sender,
		indexes: map[string]*once[*Index]{}, tags: map[string]*once[[]string]{},
		registries: &auth.Client{
			Client: sender.client(), Cache: auth.NewCache(), Credential: known.registryCredential, ClientID: agent,
		},
	}
}

// Fetch finds the version that a request means, and downloads it.
func (f *Fetcher) Fetch(ctx context.Context, request Request) Answer {
	var entry Entry
	var err error
	switch request.Kind {
	case kindHelm:
		entry, err = f.fetchChart(ctx, request)
	case kindOCI:
		entry, err = f.fetchArtifact(ctx, request)
	case kindFile:
		entry, err = f.fetchFile(ctx, request)
	default:
		err = newFault("garbage", "there is no kind of source with this name")
	}
	return answer(entry, err)
}

func answer(entry Entry, err error) Answer {
	if err != nil {
		return Answer{Fault: asFault(err)}
	}
	return Answer{Entry: &entry}
}

// fetchChart fetches a chart of a repository.
func (f *Fetcher) fetchChart(ctx context.Context, request Request) (Entry, error) {
	repository, err := parseAddress(request.URL, "https", "http", schemeOCI)
	if err != nil {
		return Entry{}, err
	}
	if repository.Scheme == schemeOCI {
		return f.fetchRegistryChart(ctx, repository, request)
	}
	chosen, err := f.findRelease(ctx, repository, request)
	if err != nil {
		return Entry{}, err
	}
	return f.fetchRelease(ctx, repository, request, chosen)
}

// findRelease is the release in the index that a request means.
func (f *Fetcher) findRelease(ctx context.Context, repository *url.URL, request Request) (release, error) {
	index, err := f.openIndex(ctx, repository, request.PassCredentials)
	if err != nil {
		return release{}, err
	}
	shown := show(indexAddress(repository))
	releases, err := index.findReleases(request.Chart)
	if err != nil {
		return release{}, brokenIndex(shown)
	}
	if len(releases) == 0 {
		return release{}, newFault("missing", "%s has no chart %s; check the name of the chart", shown, request.Chart)
	}
	chosen, err := chooseRelease(releases, request.Range, request.Rule)
	if err != nil {
		return release{}, versionFault(err, shown, "chart "+request.Chart, request.Range)
	}
	return chosen, nil
}

// versionFault says that no version fits.
func versionFault(err error, shown, what, required string) *Fault {
	if err == errNoRange {
		return newFault("no-version", "%q is no version and no range of versions; correct the version of the %s", required, what)
	}
	if required == "" {
		required = "*"
	}
	return newFault("no-version", "%s has no version of the %s that satisfies %q; correct the version", shown, what, required)
}

// openIndex reads the index of a repository, once.
func (f *Fetcher) openIndex(ctx context.Context, repository *url.URL, passes bool) (*Index, error) {
	return getOnce(ctx, f, f.indexes, repository, func() (*Index, error) {
		return f.readIndex(ctx, repository, passes)
	})
}

func (f *Fetcher) readIndex(ctx context.Context, repository *url.URL, passes bool) (*Index, error) {
	address := indexAddress(repository)
	limit := f.settings.MaxIndexBytes
	file, err := f.download(ctx, source{address: address, repository: repository, passes: passes}, limit)
	if err != nil {
		return nil, err
	}
	// The file stays open without a name.
	_ = os.Remove(file.file.Name())
	index, err := newIndex(file.file, limit, f.anonymous)
	if err == nil {
		return index, nil
	}
	_ = file.file.Close()
	if fault, isFault := err.(*Fault); isFault {
		return nil, fault
	}
	return nil, newFault("garbage", "%s is not the index of a chart repository; check the address of the repository", show(address))
}

// fetchRelease downloads a release, and compares it with the digest in the index.
func (f *Fetcher) fetchRelease(ctx context.Context, repository *url.URL, request Request, chosen release) (Entry, error) {
	shown := show(indexAddress(repository))
	if len(chosen.urls) == 0 {
		return Entry{}, newFault("missing", "%s names no address for version %s of the chart %s; choose another version", shown, chosen.version, request.Chart)
	}
	address, err := resolveChart(repository, chosen.urls[0])
	if err != nil {
		return Entry{}, err
	}
	if address.Scheme == schemeOCI {
		return f.fetchReleaseFromRegistry(ctx, address, chosen)
	}
	file, err := f.download(ctx, source{address: address, repository: repository, passes: request.PassCredentials}, f.settings.MaxFileBytes)
	if err != nil {
		return Entry{}, err
	}
	if expected := chosen.digestOfBytes(); expected != "" && expected != file.digest() {
		file.discard()
		return Entry{}, newFault("digest-mismatch", "%s has the digest %s, and %s names another one; report it to the owner of the repository", show(address), file.digest(), shown)
	}
	if err := checkArchive(file, show(address)); err != nil {
		file.discard()
		return Entry{}, err
	}
	entry := Entry{
		Version: chosen.version, URL: show(address), Digest: file.digest(), Size: file.size, Deprecated: chosen.deprecated,
	}
	return entry, file.keep()
}

// fetchFile downloads a file.
func (f *Fetcher) fetchFile(ctx context.Context, request Request) (Entry, error) {
	address, err := parseAddress(request.URL, "https", "http")
	if err != nil {
		return Entry{}, err
	}
	file, err := f.download(ctx, fileSource(address), f.settings.MaxFileBytes)
	if err != nil {
		return Entry{}, err
	}
	if err := checkPage(file, show(address)); err != nil {
		file.discard()
		return Entry{}, err
	}
	return Entry{URL: show(address), Digest: file.digest(), Size: file.size}, file.keep()
}
