package command

import (
	_ "github.com/hashicorp/vault/helper/builtinplugins"
	"github.com/hashicorp/vault/sdk/physical/file"
)

// The tests keep data in memory or in files; the original adds twenty databases and clouds.
func extendAddonHandlers(handlers *vaultHandlers) {
	handlers.physicalBackends["file"] = file.NewFileBackend
}
