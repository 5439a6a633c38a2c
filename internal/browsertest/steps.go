// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package browsertest

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/chromedp/chromedp"
)

// Open loads a page, as if its address had been typed. Redirects are followed,
// and any status of HTTP is fine.
func (b *Browser) Open(address string) {
	b.tb.Helper()
	do(b, "opening "+withoutQuery(address), chromedp.Navigate(address))
}

// Click clicks on what a CSS selector finds, once that is visible.
func (b *Browser) Click(selector string) {
	b.tb.Helper()
	do(b, "clicking on "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Follow is Click for a link or a button that leads to another page, and waits
// until that has loaded.
func (b *Browser) Follow(selector string) {
	b.tb.Helper()
	do(b, "following "+selector, func(ctx context.Context, _ *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector)))
		return chromedp.Void{}, err
	})
}

// WaitVisible waits until a CSS selector finds something visible.
func (b *Browser) WaitVisible(selector string) {
	b.tb.Helper()
	do(b, "waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// Text returns the visible text of what a CSS selector finds.
func (b *Browser) Text(selector string) string {
	b.tb.Helper()
	return do(b, "reading "+selector, chromedp.Text(chromedp.CSS(selector)))
}

// Source returns all of the page, with what is not visible.
func (b *Browser) Source() string {
	b.tb.Helper()
	return do(b, "reading the page", chromedp.OuterHTML(chromedp.CSS("html")))
}

// URL returns what the address bar holds.
func (b *Browser) URL() string {
	b.tb.Helper()
	return do(b, "reading the address", chromedp.Location())
}

// History returns the addresses that the back button leads to, and the page's.
func (b *Browser) History() []string {
	b.tb.Helper()
	entries := do(b, "reading the history", chromedp.NavigationEntries()).Entries
	addresses := make([]string, 0, len(entries))
	for _, entry := range entries {
		addresses = append(addresses, entry.URL)
	}
	return addresses
}

// Screenshot writes the whole page into a file, as PNG.
func (b *Browser) Screenshot(path string) {
	b.tb.Helper()
	picture := do(b, "taking a screenshot", chromedp.FullScreenshot(100))
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		b.tb.Fatalf("taking a screenshot: %v", err)
	}
}

func do[T any](b *Browser, what string, action chromedp.Action[T]) T {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepLimit)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		b.tb.Fatalf("%s: %v\n%s", what, err, b.report())
	}
	return result
}

// report tells what the page shows. Queries hold codes and states.
func (b *Browser) report() string {
	ctx, cancel := context.WithTimeout(b.ctx, reportLimit)
	defer cancel()
	address, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return fmt.Sprintf("the page cannot be read: %v", err)
	}
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	if err != nil {
		text = fmt.Sprintf("cannot be read: %v", err)
	}
	return fmt.Sprintf("--- page %s\n%s\n---", withoutQuery(address), text)
}

func withoutQuery(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be parsed"
	}
	parsed.RawQuery, parsed.Fragment, parsed.User = "", "", nil
	return parsed.String()
}
