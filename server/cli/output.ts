/** Columns under headings, as wide as their longest cell. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows].map((cells) => cells.map(onOneLine))
  const widths = headings.map((_, column) => Math.max(...lines.map((cells) => lengthOf(cells[column] ?? ''))))
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - lengthOf(cell)))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')
}

const lengthOf = (text: string) => [...text].length

/** A name can come from an identity provider; in a terminal, control characters would be commands. */
export function onOneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')
}

/** To the minute, in UTC, for a table. */
export function formatInstant(instant: Date | null): string {
  return instant ? `${instant.toISOString().slice(0, 16).replace('T', ' ')} UTC` : 'never'
}
