import { type AuditEvent, type AuditEventFilter, paginate } from '@latchkey/sdk'
import { latchkey } from '../latchkey.ts'
import { writeCsv } from './audit-csv.ts'

export type ExportForm = 'csv' | 'json'

/** Reads every event that the filter lets through, a page at a time, and hands them to the browser as a file. */
export async function exportEvents(
  filter: AuditEventFilter,
  form: ExportForm,
  { name, onProgress, signal }: { name: string; onProgress: (events: number) => void; signal: AbortSignal },
): Promise<void> {
  const reading = latchkey.with({ signal })
  const events: AuditEvent[] = []
  for await (const event of paginate((page) => reading.auditEvents({ ...page, filter }))) {
    if (events.push(event) % 100 === 0) onProgress(events.length)
  }
  const text = form === 'csv' ? writeCsv(events) : JSON.stringify(events, null, 2)
  save(new Blob([text], { type: form === 'csv' ? 'text/csv;charset=utf-8' : 'application/json' }), `${name}.${form}`)
}

function save(content: Blob, name: string): void {
  const address = URL.createObjectURL(content)
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
  URL.revokeObjectURL(address)
}
