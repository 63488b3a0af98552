package fetching

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

const (
	maxManifestBytes = 4 << 20
	maxTags          = 500_000

	helmConfigType = "application/vnd.cncf.helm.config.v1+json"
	helmChartType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	// The type of charts that Helm packed before version 3.5.
	oldChartType    = "application/tar+gzip"
	dockerIndexType = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// artifact is a manifest, and the repository of a registry that has it.
type artifact struct {
	repository *remote.Repository
	shown      string
	digest     digest.Digest
	manifest   ocispec.Manifest
}

// openRepositories are the repositories of a mirror and of the origin.
func (f *Fetcher) openRepositories(address *url.URL) ([]*remote.Repository, error) {
	found := []*remote.Repository{}
	for _, one := range candidates(f.settings.Mirrors, address) {
		name := strings.ToLower(one.Host) + "/" + strings.Trim(one.Path, "/")
		repository, err := remote.NewRepository(name)
		if err != nil || repository.Reference.Reference != "" {
			return nil, newFault("refused-address", "%s is no address of an OCI repository; write it as oci://HOST/PATH without a tag", show(one))
		}
		repository.Client = f.registries
		repository.PlainHTTP = f.vault.isPlain(repository.Reference.Host())
		found = append(found, repository)
	}
	return found, nil
}

func showRepository(repository *remote.Repository) string {
	return schemeOCI + "://" + repository.Reference.Registry + "/" + repository.Reference.Repository
}

// registryFault is the fault of a request to a registry.
func registryFault(err error, shown, host string) *Fault {
	var fault *Fault
	var failed *errcode.ErrorResponse
	var network net.Error
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &failed):
		return statusFault(failed.StatusCode, shown, host)
	case errors.Is(err, errdef.ErrNotFound):
		return statusFault(404, shown, host)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return statusFault(401, shown, host)
	case errors.Is(err, errdef.ErrSizeExceedsLimit):
		return newFault("too-large", "%s answers with more than %d MB of metadata; check the address", shown, maxManifestBytes>>20)
	case errors.Is(err, content.ErrMismatchedDigest), errors.Is(err, content.ErrTrailingData):
		return newFault("digest-mismatch", "%s answers with other bytes than their digest says; report it to its owner", shown)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return transportFault(err, shown, host)
	}
	return newFault("garbage", "%s does not answer as an OCI registry does; check the address", shown)
}

// openArtifact reads the manifest of a tag or a digest at the first place that has it.
func (f *Fetcher) openArtifact(ctx context.Context, address *url.URL, reference string) (artifact, error) {
	repositories, err := f.openRepositories(address)
	if err != nil {
		return artifact{}, err
	}
	var last error
	for _, repository := range repositories {
		shown := showRepository(repository) + ":" + reference
		if strings.Contains(reference, ":") {
			shown = showRepository(repository) + "@" + reference
		}
		found, err := f.readManifest(ctx, repository, reference, shown, true)
		if err == nil {
			return found, nil
		}
		last = registryFault(err, shown, repository.Reference.Registry)
	}
	return artifact{}, last
}

// readManifest reads a manifest. An index of manifests is followed if it has one only.
func (f *Fetcher) readManifest(ctx context.Context, repository *remote.Repository, reference, shown string, follows bool) (artifact, error) {
	if _, err := repository.ParseReference(reference); err != nil {
		return artifact{}, newFault("refused-address", "%s is no valid reference; correct the tag or the digest", shown)
	}
	described, body, err := repository.Manifests().FetchReference(ctx, reference)
	if err != nil {
		return artifact{}, err
	}
	if described.Size > maxManifestBytes {
		_ = body.Close()
		return artifact{}, errdef.ErrSizeExceedsLimit
	}
	data, err := content.ReadAll(body, described)
	_ = body.Close()
	if err != nil {
		return artifact{}, err
	}
	found := artifact{repository: repository, shown: shown, digest: described.Digest}
	if described.MediaType == ocispec.MediaTypeImageIndex || described.MediaType == dockerIndexType {
		var index ocispec.Index
		if err := json.Unmarshal(data, &index); err != nil || len(index.Manifests) != 1 || !follows {
			return artifact{}, newFault("ambiguous", "%s is an index of several manifests, so that it is not clear which one is meant; name one by its digest", shown)
		}
		return f.readManifest(ctx, repository, index.Manifests[0].Digest.String(), shown, false)
	}
	if err := json.Unmarshal(data, &found.manifest); err != nil {
		return artifact{}, newFault("garbage", "%s has a manifest that cannot be read; report it to its owner", shown)
	}
	return found, nil
}

// isChart reports whether an artifact was pushed by Helm.
func (a artifact) isChart() bool { return a.manifest.Config.MediaType == helmConfigType }

// findLayer is the layer of a media type; without one that of the chart, or else the first.
//
// Source: `OCIRepository` of source-controller, `spec.layerSelector`; `Client.Pull` of helm.sh/helm/v3/pkg/registry.
func (a artifact) findLayer(mediaType string, mustBeChart bool) (ocispec.Descriptor, error) {
	required := []string{mediaType}
	if mediaType == "" && (mustBeChart || a.isChart()) {
		required = []string{helmChartType, oldChartType}
	}
	for _, one := range required {
		for _, layer := range a.manifest.Layers {
			if one == "" || layer.MediaType == one {
				return layer, nil
			}
		}
	}
	if mustBeChart || a.isChart() && mediaType == "" {
		return ocispec.Descriptor{}, newFault("garbage", "%s is no chart: it has no layer of the type %s", a.shown, helmChartType)
	}
	return ocispec.Descriptor{}, newFault("missing", "%s has no layer of the type %q; correct the media type", a.shown, mediaType)
}

// keepLayer downloads a layer into the store.
func (f *Fetcher) keepLayer(ctx context.Context, from artifact, layer ocispec.Descriptor) (Entry, error) {
	host := from.repository.Reference.Registry
	if layer.Size > f.settings.MaxFileBytes {
		return Entry{}, tooLarge(from.shown, f.settings.MaxFileBytes)
	}
	if size, found := f.store.size(layer.Digest.String()); found && size == layer.Size {
		return Entry{Digest: layer.Digest.String(), Manifest: from.digest.String(), Size: size}, nil
	}
	var fault *Fault
	for range maxDownloads {
		file, err := f.receiveLayer(ctx, from, layer)
		if err == nil {
			entry := Entry{Digest: file.digest(), Manifest: from.digest.String(), Size: file.size}
			return entry, file.keep()
		}
		if fault = registryFault(err, from.shown, host); fault.Reason != "truncated" {
			break
		}
	}
	return Entry{}, fault
}

// receiveLayer downloads a layer into a new file, and compares it with its digest.
func (f *Fetcher) receiveLayer(ctx context.Context, from artifact, layer ocispec.Descriptor) (*partial, error) {
	body, err := from.repository.Blobs().Fetch(ctx, layer)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	file, err := f.store.create()
	if err != nil {
		return nil, err
	}
	verified := content.NewVerifyReader(body, layer)
	if _, err = io.Copy(file, verified); err == nil {
		err = verified.Verify()
	}
	if err != nil {
		file.discard()
		return nil, err
	}
	return file, nil
}

// listTags are all tags of a repository, read once.
func (f *Fetcher) listTags(ctx context.Context, address *url.URL) ([]string, error) {
	return getOnce(ctx, f, f.tags, address, func() ([]string, error) {
		repositories, err := f.openRepositories(address)
		if err != nil {
			return nil, err
		}
		var last error
		for _, repository := range repositories {
			found := []string{}
			err := repository.Tags(ctx, "", func(page []string) error {
				if found = append(found, page...); len(found) > maxTags {
					return newFault("too-large", "%s has more than %d tags; name one of them", show(address), maxTags)
				}
				return nil
			})
			if err == nil {
				return found, nil
			}
			last = registryFault(err, showRepository(repository), repository.Reference.Registry)
		}
		return nil, last
	})
}
