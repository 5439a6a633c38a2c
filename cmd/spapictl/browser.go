// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// forwardHTML leads a browser on to a link.
const forwardHTML = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={{.}}"><title>On to Amazon</title></head>
<body><p><a href="{{.}}">On to Amazon</a></p></body></html>
`

// openInBrowser opens a link if it can; the link has been printed, so that it is
// no error if not. The link holds a state, which everybody on the machine could
// read in the arguments of a process: the browser gets a file of this user's that
// leads on to the link. The function that is returned removes it.
func openInBrowser(link string) (forget func()) {
	forget = func() {}
	name, args := browserCommand()
	program, err := exec.LookPath(name)
	if name == "" || err != nil {
		return forget
	}
	dir, err := os.MkdirTemp("", "spapictl-") // 0700
	if err != nil {
		return forget
	}
	forget = func() { _ = os.RemoveAll(dir) }
	file := filepath.Join(dir, "consent.html")
	if err := writeForward(file, link); err != nil {
		return forget
	}
	// It may go on after this program, and needs nothing of Vault's.
	cmd := exec.CommandContext(context.Background(), program, append(args, file)...) //nolint:gosec // one of three names
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "VAULT_") })
	detach(cmd)
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
	return forget
}

func browserCommand() (name string, args []string) {
	switch runtime.GOOS {
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler"}
	case "darwin":
		return "open", nil
	}
	// Without a screen xdg-open would start a browser in this terminal.
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return "", nil
	}
	return "xdg-open", nil
}

func writeForward(file, link string) error {
	page, err := template.New("forward").Parse(forwardHTML)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in a directory of our own
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // the browser finds nothing, and the link was printed
	return page.Execute(out, link)
}
