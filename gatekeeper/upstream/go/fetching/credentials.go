package fetching

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	dockerconfig "oras.land/oras-go/v2/registry/remote/credentials"
)

// vault knows the credentials of hosts.
type vault struct {
	settings []Credential
	configs  []string
}

// find is the credential of a host with a port, or of a host on all ports.
func (v *vault) find(hostPort, host string) (Credential, bool) {
	for _, name := range []string{hostPort, host} {
		for _, one := range v.settings {
			if strings.EqualFold(one.Host, name) {
				return one, true
			}
		}
	}
	return Credential{}, false
}

func (v *vault) findFor(address *url.URL) (Credential, bool) {
	if one, found := v.find(address.Host, address.Hostname()); found {
		return one, true
	}
	return v.find(hostAndPort(address), address.Hostname())
}

// isPlain reports whether a registry is reached without TLS.
func (v *vault) isPlain(host string) bool {
	one, found := v.find(host, hostName(host))
	return found && one.PlainHTTP
}

// hostName is a host without its port.
func hostName(host string) string {
	parsed, err := url.Parse("//" + host)
	if err != nil {
		return host
	}
	return parsed.Hostname()
}

// registryCredential is the credential of a registry: from the settings, or else from the configurations of Docker and
// their helpers. What a helper prints is in no message.
func (v *vault) registryCredential(ctx context.Context, host string) (auth.Credential, error) {
	if one, found := v.find(host, hostName(host)); found && (one.Username != "" || one.Password != "" || one.Token != "") {
		return auth.Credential{Username: one.Username, Password: one.Password, AccessToken: one.Token}, nil
	}
	for _, path := range v.configs {
		store, err := dockerconfig.NewStore(path, dockerconfig.StoreOptions{})
		if err != nil {
			return auth.EmptyCredential, newFault("credentials", "a Docker configuration cannot be read; check that it is JSON as `docker login` writes it")
		}
		found, err := dockerconfig.Credential(store)(ctx, host)
		if err != nil {
			return auth.EmptyCredential, newFault("credentials", "the credential helper for the host %s failed; run it by hand and correct its configuration", host)
		}
		if found != auth.EmptyCredential {
			return found, nil
		}
	}
	return auth.EmptyCredential, nil
}

// authorize adds credentials to a request: those in its address, or of its host, or else of the repository.
func (v *vault) authorize(request *http.Request, repository *url.URL, passes bool) {
	user := request.URL.User
	if request.URL.Scheme == "http" && repository.Scheme == "https" {
		// An index must not make credentials travel in plain text.
		request.URL.User = nil
		return
	}
	one, found := v.findFor(request.URL)
	isOwn := originOf(request.URL) == originOf(repository)
	if user == nil && isOwn {
		user = repository.User
	}
	if user == nil && !found && passes && !isOwn {
		user = repository.User
		one, found = v.findFor(repository)
	}
	request.URL.User = nil
	switch {
	case user != nil:
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	case found && one.Token != "":
		request.Header.Set("Authorization", "Bearer "+one.Token)
	case found && (one.Username != "" || one.Password != ""):
		request.SetBasicAuth(one.Username, one.Password)
	}
}

// tlsSettings are the certificates of a host: its CA beside those of the system, and that of the client.
func (c Credential) tlsSettings() (*tls.Config, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, newFault("credentials", "the CA for the host %s is no certificate; give it as PEM", c.Host)
		}
		settings.RootCAs = pool
	}
	if c.Certificate != "" || c.Key != "" {
		pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
		if err != nil {
			return nil, newFault("credentials", "the client certificate and its key for the host %s do not fit together; give both as PEM", c.Host)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}
