import type { AuditEventFilter } from '@latchkey/sdk'

/** What part of the log is shown, as the address has it. */
export interface AuditView {
  /** Actions, parted by commas. */
  action?: string
  /** The id of what it was done to. */
  target?: string
  /** The first and the last day, in the browser's time zone. */
  since?: string
  until?: string
  after?: string
  before?: string
}

const pageSize = 50

export function readAuditView(given: Record<string, unknown>): AuditView {
  const text = (key: string) => {
    const value = given[key]
    return typeof value === 'string' ? value : ''
  }
  const [action, target, after, before] = [text('action'), text('target'), text('after'), text('before')]
  const [since, until] = [text('since'), text('until')]
  return {
    ...(action && { action }),
    ...(target && { target }),
    ...(startOf(since) && { since }),
    ...(startOf(until) && { until }),
    ...(after ? { after } : before ? { before } : {}),
  }
}

export function filterOf({ action, target, since, until }: AuditView): AuditEventFilter {
  const first = startOf(since ?? '')
  const end = startOf(until ?? '')
  end?.setDate(end.getDate() + 1)
  return {
    ...(action && { actions: action.split(',') }),
    ...(target && { targetId: target }),
    ...(first && { after: first.toISOString() }),
    ...(end && { before: end.toISOString() }),
  }
}

export function boundsOf({ after, before }: AuditView) {
  return before ? { last: pageSize, before } : { first: pageSize, ...(after && { after }) }
}

function startOf(day: string): Date | null {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day) ?? []
  return year && month && date ? new Date(Number(year), Number(month) - 1, Number(date)) : null
}
