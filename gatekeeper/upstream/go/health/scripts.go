package health

import (
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"

	scripts "github.com/argoproj/argo-cd/v3/resource_customizations"
)

const scriptFile = "health.lua"

// patterns lists the folders of scripts that apply to many kinds; `_` in their names matches anything.
var patterns = sync.OnceValue(func() []string {
	folders := []string{}
	_ = fs.WalkDir(scripts.Embedded, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && path.Base(name) == scriptFile && strings.Contains(path.Dir(name), "_") {
			folders = append(folders, path.Dir(name))
		}
		return err
	})
	sort.Strings(folders)
	return folders
})

// findScript returns Argo CD's script for a kind; empty if it has no script.
func findScript(group, kind string) string {
	key := path.Join(group, kind)
	if text, err := scripts.Embedded.ReadFile(path.Join(key, scriptFile)); err == nil {
		return string(text)
	}
	for _, pattern := range patterns() {
		if matches, _ := path.Match(strings.ReplaceAll(pattern, "_", "*"), key); matches {
			text, _ := scripts.Embedded.ReadFile(path.Join(pattern, scriptFile))
			return string(text)
		}
	}
	return ""
}
