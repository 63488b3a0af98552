// Package fetching downloads what a repository refers to: charts, OCI artifacts and files, into a content-addressed store.
//
// Which version a range means is decided as the owner of the reference decides it (Flux, Helm or Argo CD). What a server
// sends is compared with the digests that are known, and is never part of a message.
package fetching

// Kinds of sources.
const (
	kindHelm = "helm"
	kindOCI  = "oci"
	kindFile = "file"
)

// Request names one source, as the repository writes it.
type Request struct {
	// Kind is "helm" (a chart of a repository over HTTP or OCI), "oci" (an artifact) or "file".
	Kind  string `json:"kind"`
	URL   string `json:"url"`
	Chart string `json:"chart"`
	Range string `json:"range"`
	// Rule names who chooses the version: "flux", "helm" or "argocd".
	Rule            string `json:"rule"`
	PassCredentials bool   `json:"passCredentials"`
	Tag             string `json:"tag"`
	Semver          string `json:"semver"`
	SemverFilter    string `json:"semverFilter"`
	Digest          string `json:"digest"`
	// MediaType is that of the layer; empty for the first one, or for that of a chart.
	MediaType string `json:"mediaType"`
	Operation string `json:"operation"`
}

// Entry is what was found for a request.
type Entry struct {
	Version string `json:"version"`
	// URL is the address at the origin, without user, password and query.
	URL string `json:"url"`
	// Digest is "sha256:" and the digest of the bytes in the store.
	Digest string `json:"digest"`
	// Manifest is the digest of the OCI manifest.
	Manifest   string `json:"manifest,omitempty"`
	Size       int64  `json:"size"`
	Deprecated bool   `json:"deprecated,omitempty"`
	// MovedTag means that the request has a tag besides its digest, which leads to another manifest now.
	MovedTag bool `json:"movedTag,omitempty"`
}

// Pin is a request and the entry that was found for it earlier.
type Pin struct {
	Request
	Entry Entry `json:"entry"`
}

// Answer is an entry, or the fault that prevents one.
type Answer struct {
	Entry *Entry `json:"entry,omitempty"`
	Fault *Fault `json:"fault,omitempty"`
	// Moved means that a pin leads to other bytes now.
	Moved bool `json:"moved,omitempty"`
}

// Credential is what a host demands, and how it is reached. An object of secrets is never printed.
type Credential struct {
	Host        string `json:"host"`
	Username    string `json:"username"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	CA          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	PlainHTTP   bool   `json:"plainHttp"`
}

// Mirror takes the place of all addresses below a prefix.
type Mirror struct {
	Prefix string `json:"prefix"`
	Target string `json:"target"`
	// Fallback allows the origin where the mirror has nothing.
	Fallback bool `json:"fallback"`
}

// Settings are the same for all requests.
type Settings struct {
	Credentials             []Credential `json:"credentials"`
	DockerConfigs           []string     `json:"dockerConfigs"`
	Mirrors                 []Mirror     `json:"mirrors"`
	ForbidsPrivateAddresses bool         `json:"forbidsPrivateAddresses"`
	MaxIndexBytes           int64        `json:"maxIndexBytes"`
	MaxFileBytes            int64        `json:"maxFileBytes"`
}
