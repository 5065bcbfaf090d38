import type { Webhook, WebhookDelivery } from '@latchkey/sdk'
import { Button, Text, Title, UnstyledButton } from '@mantine/core'
import { IconMailOff } from '@tabler/icons-react'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { FilterMenu } from '../interface/filter-menu.tsx'
import { Instant } from '../interface/instant.tsx'
import { Notice } from '../interface/notice.tsx'
import layout from '../interface/page-of-one.module.css'
import { Pages } from '../interface/pages.tsx'
import table from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { DeliveryBadge } from './delivery-badge.tsx'
import { DeliveryPanel } from './delivery-panel.tsx'
import { lastProblemOf, NextAttempt, TokenOf } from './delivery-parts.tsx'
import { type DeliveryView, statuses } from './delivery-view.ts'
import { wordsOf } from './event-types.ts'
import type { WebhookPageData } from './queries.ts'

const from = '/signed-in/organizations/$slug/webhooks/$webhookId'

/** What was sent to a webhook and what waits to be, latest first, as the address has it filtered and paged. */
export function DeliveryLog({
  data: { webhook, deliveries },
  isStale,
  onDone,
}: {
  data: WebhookPageData
  isStale: boolean
  /** Something was done here: what to say of it, or null for what is said no longer. */
  onDone: (words: string | null) => void
}) {
  const view = useSearch({ from })
  const navigate = useNavigate()
  const show = (changed: DeliveryView) => void navigate({ to: '.', search: changed, resetScroll: false })
  const [openId, open] = useState<string | null>(null)
  return (
    <section aria-labelledby="deliveries">
      <div className={`${layout.header} ${layout.headerOfTable}`}>
        <Title order={3} size="h5" id="deliveries">
          Deliveries
        </Title>
        <FilterMenu
          name="Status"
          options={Object.entries(statuses)}
          chosen={view.status?.split(',') ?? []}
          onChange={(chosen) => show({ status: chosen.join(',') })}
        />
      </div>
      {deliveries.nodes.length === 0 ? (
        <Nothing webhook={webhook} view={view} onShow={show} />
      ) : (
        <>
          <Table
            caption="Deliveries, latest first"
            columns={['Event', 'Token', 'When', 'Status', 'Next attempt', { name: 'Attempts', isWide: true }]}
            rows={deliveries.nodes}
            row={(delivery) => (
              <Row
                key={delivery.id}
                delivery={delivery}
                onOpen={() => {
                  onDone(null)
                  open(delivery.id)
                }}
              />
            )}
            isStale={isStale}
          />
          <Pages
            of="deliveries"
            pageInfo={deliveries.pageInfo}
            count=""
            onTurn={(bounds) => show({ ...(view.status && { status: view.status }), ...bounds })}
          />
        </>
      )}
      <DeliveryPanel
        delivery={deliveries.nodes.find(({ id }) => id === openId)}
        opened={openId !== null}
        onClose={() => open(null)}
        onSentAgain={({ nextAttemptAt }) =>
          onDone(
            nextAttemptAt
              ? 'The message is sent again. It is the latest in the log.'
              : 'The message is sent again once the webhook is enabled.',
          )
        }
      />
    </section>
  )
}

function Row({ delivery, onOpen }: { delivery: WebhookDelivery; onOpen: () => void }) {
  const { eventType, tokenId, createdAt, status, attempts } = delivery
  const problem = lastProblemOf(delivery)
  return (
    <tr>
      <td className={table.main}>
        <UnstyledButton fz="sm" className={table.link} aria-haspopup="dialog" onClick={onOpen}>
          {wordsOf(eventType).name}
        </UnstyledButton>
      </td>
      <td data-name="Token" className={tokenId ? table.words : table.blank}>
        <TokenOf delivery={delivery} />
      </td>
      <td data-name="When">
        <Instant at={createdAt} />
      </td>
      <td data-name="Status" className={table.words}>
        <DeliveryBadge status={status} />
        {problem && (
          <Text size="sm" c="dimmed">
            {problem}
          </Text>
        )}
      </td>
      <td data-name="Next attempt" className={status === 'PENDING' ? undefined : table.blank}>
        <NextAttempt delivery={delivery} />
      </td>
      <td data-name="Attempts" className={table.wide}>
        {attempts.length}
      </td>
    </tr>
  )
}

function Nothing({
  webhook,
  view,
  onShow,
}: {
  webhook: Webhook
  view: DeliveryView
  onShow: (view: DeliveryView) => void
}) {
  if (view.status || view.after || view.before) {
    return (
      <Notice
        order={3}
        icon={<IconMailOff />}
        title={view.status ? 'No delivery matches' : 'There is nothing on this page any more'}
        action={
          <Button variant="default" onClick={() => onShow({})}>
            Show all deliveries
          </Button>
        }
      >
        {view.status ? 'Try another status. ' : ''}Those that have ended are kept for 30 days.
      </Notice>
    )
  }
  return (
    <Notice order={3} icon={<IconMailOff />} title="Nothing was sent yet">
      {webhook.enabled
        ? 'As soon as something happens to a token it is here. A test message shows whether the receiver takes it.'
        : 'Enable the webhook: it is told what happens from then on.'}
    </Notice>
  )
}
