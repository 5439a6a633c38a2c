// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The chart's measures, in pixels, and its colours. It brings its own background,
// so that it is legible on a white page and on a dark one.
const (
	chartWidth  = 900
	labelWidth  = 400
	barsWidth   = 290
	rowHeight   = 22
	barHeight   = 12
	chartMargin = 16
	headHeight  = 58

	panelColor    = "#ffffff"
	borderColor   = "#d0d7de"
	textColor     = "#1f2328"
	metColor      = "#1a7f37"
	missedColor   = "#cf222e"
	unjudgedColor = "#8c959f"
	targetColor   = "#1f2328"

	// chartMost is where bars are cut off, in multiples of their target.
	chartMost = 2.0
)

// Charted are the targets that a chart can show: a bar needs a bound other than
// nothing.
func (r *Report) Charted() []Target {
	var charted []Target
	for _, t := range r.Targets {
		if t.Bound > 0 {
			charted = append(charted, t)
		}
	}
	return charted
}

// Chart writes a bar for each figure as a share of its target, as SVG.
func (r *Report) Chart(w io.Writer) error {
	targets := r.Charted()
	height := headHeight + rowHeight*len(targets) + chartMargin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" fill="%s" role="img" aria-label="%s">`+"\n",
		chartWidth, height, chartWidth, height, textColor, escaped("Each figure against its target"))
	fmt.Fprintf(&b, `<rect x="0.5" y="0.5" width="%d" height="%d" rx="6" fill="%s" stroke="%s"/>`+"\n", chartWidth-1, height-1, panelColor, borderColor)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="14" font-weight="600">%s</text>`+"\n", chartMargin, escaped("Each figure as a share of its target"))
	fmt.Fprintf(&b, `<text x="%d" y="42">%s</text>`+"\n", chartMargin, escaped("at least: to reach the line; at most: not to pass it"))
	target := labelWidth + barsWidth/chartMost
	fmt.Fprintf(&b, `<text x="%.0f" y="48" text-anchor="middle">target</text>`+"\n", target)
	for i, t := range targets {
		drawBar(&b, t, headHeight+i*rowHeight)
	}
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-dasharray="3 2"/>`+"\n", target, headHeight-4, target, height-chartMargin, targetColor)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func drawBar(b *strings.Builder, t Target, top int) {
	color := metColor
	switch {
	case t.Unjudged != "":
		color = unjudgedColor
	case !t.Met():
		color = missedColor
	}
	share := min(max(t.Value/t.Bound, 0), chartMost)
	middle := top + rowHeight/2 + 4
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, middle, escaped(t.Name))
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, top+(rowHeight-barHeight)/2, share*barsWidth/chartMost, barHeight, color)
	mark := "✓"
	switch {
	case t.Unjudged != "":
		mark = "–"
	case !t.Met():
		mark = "✗"
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", labelWidth+barsWidth+8, middle, escaped(mark+" "+t.number(t.Value)+", "+t.wanted()))
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes everything
	return b.String()
}
