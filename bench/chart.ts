export interface Bar {
  label: string
  value: number
  /** Drawn in colour, where the others are grey. */
  ours: boolean
}

export interface Chart {
  title: string
  groups: { heading: string; bars: Bar[] }[]
  /** Lines of small print. */
  notes: string[]
}

const width = 760
const labelWidth = 230
const barWidth = 440
const rowHeight = 26
const headingHeight = 34
const noteHeight = 18

/** An SVG with every bar on one scale, to be read on a light ground and on a dark one, and aloud. */
export function drawChart({ title, groups, notes }: Chart): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)))
  const parts: string[] = []
  let y = 30
  for (const { heading, bars } of groups) {
    y += headingHeight
    parts.push(`<text class="heading" x="0" y="${y - 12}">${escapeXml(heading)}</text>`)
    for (const { label, value, ours } of bars) {
      const length = Math.max(2, Math.round((value / most) * barWidth))
      const middle = y + rowHeight / 2 + 4
      parts.push(
        `<text class="label" x="${labelWidth - 10}" y="${middle}">${escapeXml(label)}</text>`,
        `<rect class="${ours ? 'ours' : 'other'}" x="${labelWidth}" y="${y + 4}" width="${length}" height="${rowHeight - 8}" rx="3"/>`,
        `<text class="value" x="${labelWidth + length + 8}" y="${middle}">${Math.round(value).toLocaleString('en')}</text>`,
      )
      y += rowHeight
    }
  }
  y += 10
  for (const note of notes) {
    y += noteHeight
    parts.push(`<text class="note" x="0" y="${y}">${escapeXml(note)}</text>`)
  }
  const spoken = groups
    .map(
      ({ heading, bars }) =>
        `${heading}: ${bars.map(({ label, value }) => `${label} ${Math.round(value)}`).join(', ')}.`,
    )
    .join(' ')
  const height = y + 12
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title spoken">
<title id="title">${escapeXml(title)}</title>
<desc id="spoken">${escapeXml(spoken)}</desc>
<style>
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.heading { font-weight: 600 }
.label { text-anchor: end }
.value { font-variant-numeric: tabular-nums }
.note { font-size: 12px; fill: #59636e }
.ours { fill: #4f5bd5 }
.other { fill: #b6bec9 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.ours { fill: #8b95ff }
.other { fill: #5a636e }
}
</style>
<text class="title" x="0" y="20">${escapeXml(title)}</text>
${parts.join('\n')}
</svg>
`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
