import type { WebhookDeliveryStatus } from '@latchkey/sdk'

export const statuses = {
  PENDING: 'Pending',
  DELIVERED: 'Delivered',
  FAILED: 'Failed',
} as const satisfies Record<WebhookDeliveryStatus, string>

/** What part of a webhook’s log is shown, as the address has it. */
export interface DeliveryView {
  /** Statuses, parted by commas; all where none is named. */
  status?: string
  after?: string
  before?: string
}

const pageSize = 20

/** Leaves out what the API would not take. */
export function readDeliveryView(given: Record<string, unknown>): DeliveryView {
  const text = (key: string) => {
    const value = given[key]
    return typeof value === 'string' ? value : ''
  }
  const status = text('status').split(',').filter(isStatus).join(',')
  const [after, before] = [text('after'), text('before')]
  return { ...(status && { status }), ...(after ? { after } : before ? { before } : {}) }
}

function isStatus(text: string): text is WebhookDeliveryStatus {
  return Object.hasOwn(statuses, text)
}

/** As the API wants it. */
export function requestOf({ status, after, before }: DeliveryView) {
  return {
    ...(before ? { last: pageSize, before } : { first: pageSize, ...(after && { after }) }),
    filter: { ...(status && { statuses: status.split(',').filter(isStatus) }) },
  }
}
