// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package figures_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/bench/figures"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target figures.Target
		want   string
	}{
		"at least, more":  {figures.Target{Value: 1.1, Bound: 1, AtLeast: true}, "met"},
		"at least, equal": {figures.Target{Value: 1, Bound: 1, AtLeast: true}, "met"},
		"at least, less":  {figures.Target{Value: 0.99, Bound: 1, AtLeast: true}, "missed"},
		"at most, less":   {figures.Target{Value: 1, Bound: 1.3}, "met"},
		"at most, equal":  {figures.Target{Value: 1.3, Bound: 1.3}, "met"},
		"at most, more":   {figures.Target{Value: 1.31, Bound: 1.3}, "missed"},
		"none":            {figures.Target{}, "met"},
		"one of none":     {figures.Target{Value: 1}, "missed"},
		"unjudged":        {figures.Target{Value: 9, Unjudged: "only 10 accounts"}, "not judged: only 10 accounts"},
	} {
		require.Equal(t, c.want, c.target.Verdict(), name)
	}
}

func report() *figures.Report {
	section := &figures.Section{Title: "Cold burst", Text: "What was done.", Columns: []string{"readers", "ms"}}
	section.Add("2000", "3.5")
	section.Add("a|b") // fewer cells than columns, and a character of tables
	return &figures.Report{
		Title: "Benchmark",
		Facts: []figures.Fact{{Name: "Go", Value: "1.26"}},
		Targets: []figures.Target{
			{Name: "ratio <of> reads", Value: 0.9, Range: "0.80–1.00", Bound: 0.97, AtLeast: true},
			{Name: "live heap", Value: 100, Bound: 160, Unit: "MiB"},
			{Name: "reads that wait", Value: 0, Count: true},
			{Name: "exchanges", Value: 5, Bound: 5, Count: true, Unjudged: "only 5"},
			{Name: "far off", Value: 100, Bound: 1},
		},
		Sections: []*figures.Section{section},
		Failures: []string{"burst: broken\nand more"},
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, report().Markdown(&b, "report.svg"))
	require.Equal(t, `# Benchmark

- Go: 1.26

## Failures

- burst: broken
  and more

## Targets

![Each figure against its target](report.svg)

| figure           |     value |     range |            target |                    |
|------------------|----------:|----------:|------------------:|-------------------:|
| ratio <of> reads |      0.90 | 0.80–1.00 |     at least 0.97 |             missed |
| live heap        | 100.0 MiB |           | at most 160.0 MiB |                met |
| reads that wait  |         0 |           |         at most 0 |                met |
| exchanges        |         5 |           |         at most 5 | not judged: only 5 |
| far off          |    100.00 |           |      at most 1.00 |             missed |

## Cold burst

What was done.

| readers |  ms |
|---------|----:|
| 2000    | 3.5 |
| a/b     |     |
`, b.String())
}

func TestMarkdownWithoutAnything(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, (&figures.Report{Title: "Nothing"}).Markdown(&b, ""))
	require.Equal(t, "# Nothing\n\n", b.String())
}

// shapes are the elements of an SVG image that the tests look at.
type shapes struct {
	Width  float64 `xml:"width,attr"`
	Height float64 `xml:"height,attr"`
	Rects  []struct {
		X      float64 `xml:"x,attr"`
		Y      float64 `xml:"y,attr"`
		Width  float64 `xml:"width,attr"`
		Height float64 `xml:"height,attr"`
		Fill   string  `xml:"fill,attr"`
	} `xml:"rect"`
	Texts []string `xml:"text"`
	Lines []struct {
		X1 float64 `xml:"x1,attr"`
	} `xml:"line"`
}

func chart(t *testing.T, r *figures.Report) shapes {
	t.Helper()
	var b strings.Builder
	require.NoError(t, r.Chart(&b))
	var drawn shapes
	require.NoError(t, xml.Unmarshal([]byte(b.String()), &drawn))
	return drawn
}

func TestChart(t *testing.T) {
	t.Parallel()
	drawn := chart(t, report())
	require.Len(t, drawn.Rects, 5, "the background and a bar for each target that has a bound")
	background, bars := drawn.Rects[0], drawn.Rects[1:]
	require.InDelta(t, drawn.Width, background.Width, 2, "the background covers all")
	require.InDelta(t, drawn.Height, background.Height, 2)

	require.Len(t, drawn.Lines, 1)
	whole := drawn.Lines[0].X1 - bars[0].X // a bar that just reaches its target
	for i, want := range []float64{0.9 / 0.97, 100.0 / 160, 1, 2} {
		require.InDelta(t, want*whole, bars[i].Width, 0.1, "bar %d", i)
		require.LessOrEqual(t, bars[i].X+bars[i].Width, drawn.Width, "bar %d", i)
		require.LessOrEqual(t, bars[i].Y+bars[i].Height, drawn.Height, "bar %d", i)
	}
	require.NotEqual(t, bars[0].Fill, bars[1].Fill, "missed and met")
	require.NotEqual(t, bars[1].Fill, bars[2].Fill, "met and not judged")
	require.Equal(t, bars[0].Fill, bars[3].Fill, "both missed")

	all := strings.Join(drawn.Texts, "\n")
	for _, want := range []string{"ratio <of> reads", "✗ 0.90, at least 0.97", "✓ 100.0 MiB, at most 160.0 MiB", "– 5, at most 5"} {
		require.Contains(t, all, want)
	}
	require.NotContains(t, all, "reads that wait", "a share of nothing cannot be drawn")
}

func TestWriteErrorsAreReported(t *testing.T) {
	t.Parallel()
	full := errors.New("the disk is full")
	reader, writer := io.Pipe()
	require.NoError(t, reader.CloseWithError(full))
	require.ErrorIs(t, report().Markdown(writer, ""), full)
	require.ErrorIs(t, report().Chart(writer), full)
}

func TestChartGrowsWithTargets(t *testing.T) {
	t.Parallel()
	many := &figures.Report{}
	for i := range 40 {
		many.Targets = append(many.Targets, figures.Target{Name: fmt.Sprintf("figure %d", i), Value: 1, Bound: 1})
	}
	drawn := chart(t, many)
	require.Greater(t, drawn.Height, chart(t, report()).Height)
	last := drawn.Rects[len(drawn.Rects)-1]
	require.LessOrEqual(t, last.Y+last.Height, drawn.Height)
}
