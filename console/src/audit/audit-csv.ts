import type { AuditEvent } from '@latchkey/sdk'

const columns = ['at', 'action', 'actor', 'target', 'targetId', 'ipAddress', 'userAgent', 'id'] as const

/** RFC 4180. */
export function writeCsv(events: AuditEvent[]): string {
  const rows = events.map((event) => columns.map((column) => writeCell(event[column] ?? '')).join(','))
  return [columns.join(','), ...rows, ''].join('\r\n')
}

/** A spreadsheet would take some texts for formulas, and whoever causes an event chooses its user agent: those begin with ’ there. */
function writeCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
