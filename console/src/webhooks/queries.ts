import { type PageInfo, type UpdateWebhookInput, unwrap, type Webhook, type WebhookDelivery } from '@latchkey/sdk'
import { queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { latchkey } from '../latchkey.ts'
import { type DeliveryView, requestOf } from './delivery-view.ts'

const everyMinute = 60_000
const whileSendingMilliseconds = 2_000
/** One that is under way is said to be due in a minute, as it is where nothing more is heard of it. */
const soonMilliseconds = 90_000
const mostCounted = 100

/** Everything that is read about webhooks begins with this key, and is read anew when one has changed. */
const webhooksKey = (organizationId: string) => ['webhooks', organizationId] as const

export function webhooksQuery(organizationId: string) {
  return queryOptions({
    queryKey: [...webhooksKey(organizationId), 'list'],
    queryFn: async () => (await latchkey.webhooks()).webhooks,
    refetchInterval: everyMinute,
  })
}

/** A webhook and a part of its log. */
export interface WebhookPageData {
  webhook: Webhook
  deliveries: { nodes: WebhookDelivery[]; pageInfo: PageInfo }
}

/** A webhook and a part of its log, read again every other second while something of that is about to be sent; null for none. */
export function webhookQuery(organizationId: string, id: string, view: DeliveryView) {
  return queryOptions({
    queryKey: [...webhooksKey(organizationId), 'one', id, view],
    async queryFn(): Promise<WebhookPageData | null> {
      // In this order: the webhook then knows of whatever became of what is in the log.
      const { webhookDeliveries } = await latchkey.webhookDeliveries({ webhookId: id, ...requestOf(view) })
      const { webhook } = await latchkey.webhook({ id })
      return webhook ? { webhook, deliveries: webhookDeliveries } : null
    },
    placeholderData: (previous) => (previous?.webhook.id === id ? previous : undefined),
    refetchInterval: ({ state: { data } }) =>
      data?.deliveries.nodes.some(isDueSoon) ? whileSendingMilliseconds : everyMinute,
  })
}

function isDueSoon({ nextAttemptAt }: WebhookDelivery): boolean {
  return nextAttemptAt ? Date.parse(nextAttemptAt) < Date.now() + soonMilliseconds : false
}

/** How many messages wait to be sent to it, counted as far as one page goes. */
export function waitingQuery(organizationId: string, webhookId: string) {
  return queryOptions({
    queryKey: [...webhooksKey(organizationId), 'waiting', webhookId],
    async queryFn() {
      const page = { first: mostCounted, filter: { statuses: ['PENDING' as const] } }
      const { nodes, pageInfo } = (await latchkey.webhookDeliveries({ webhookId, ...page })).webhookDeliveries
      return { count: nodes.length, hasMore: pageInfo.hasNextPage }
    },
  })
}

/** Has whatever shows webhooks, or events, read them again. */
export function useWebhooksChanged(organizationId: string): () => Promise<void> {
  const queryClient = useQueryClient()
  return async () => {
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: webhooksKey(organizationId) }),
      queryClient.invalidateQueries({ queryKey: ['audit', organizationId] }),
    ])
  }
}

export function useUpdateWebhook(organizationId: string) {
  const changed = useWebhooksChanged(organizationId)
  return useMutation({
    mutationFn: async (input: UpdateWebhookInput) =>
      unwrap((await latchkey.updateWebhook({ input })).updateWebhook).webhook,
    onSuccess: changed,
  })
}
