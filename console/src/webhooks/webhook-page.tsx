import { unwrap, type Webhook } from '@latchkey/sdk'
import { Alert, Badge, Button, Card, Skeleton, Text, Title } from '@mantine/core'
import {
  IconAlertTriangle,
  IconArrowLeft,
  IconCheck,
  IconPencil,
  IconPlayerPause,
  IconRefresh,
  IconSend,
  IconTrash,
  IconWebhookOff,
} from '@tabler/icons-react'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { FactList } from '../interface/fact-list.tsx'
import { Failure, FailureNote } from '../interface/failure.tsx'
import { useFocusBack } from '../interface/focus-back.ts'
import { Instant } from '../interface/instant.tsx'
import { Notice } from '../interface/notice.tsx'
import layout from '../interface/page-of-one.module.css'
import { usePageTitle } from '../interface/page-title.ts'
import { TextLink } from '../interface/text-link.tsx'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { hostOf } from './address.ts'
import { DeleteWarning } from './delete-warning.tsx'
import { DeliveryLog } from './delivery-log.tsx'
import { EditPanel } from './edit-panel.tsx'
import { describeEventTypes, eventTypes, wordsOf } from './event-types.ts'
import { useUpdateWebhook, useWebhooksChanged, type WebhookPageData, webhookQuery } from './queries.ts'
import { RegeneratePanel } from './regenerate-panel.tsx'
import { StateBadge } from './state-badge.tsx'

const from = '/signed-in/organizations/$slug/webhooks/$webhookId'

/** One webhook: its facts, what may be done with it, and the log of what was sent to it. */
export function WebhookPage() {
  const { organization } = useViewer()
  const { slug, webhookId } = useParams({ from })
  const view = useSearch({ from })
  const { data, error, refetch, isPlaceholderData } = useQuery(webhookQuery(organization.id, webhookId, view))
  usePageTitle(data ? hostOf(data.webhook.url) : 'Webhook', organization.name)
  return (
    <>
      <TextLink to="/organizations/$slug/webhooks" params={{ slug }} size="sm" className={layout.back}>
        <IconArrowLeft aria-hidden size={14} /> All webhooks
      </TextLink>
      {data ? (
        <Shown data={data} isStale={isPlaceholderData} />
      ) : error ? (
        <Failure title="The webhook cannot be shown" error={error} retry={() => void refetch()} />
      ) : data === null ? (
        <Notice icon={<IconWebhookOff />} title="There is no such webhook">
          It was deleted, or its address has a mistake in it. What became of a deleted webhook is in the audit log.
        </Notice>
      ) : (
        <Skeleton height={240} aria-busy />
      )}
    </>
  )
}

type Action = 'edit' | 'regenerate' | 'delete'

function Shown({ data, isStale }: { data: WebhookPageData; isStale: boolean }) {
  const { webhook } = data
  const { organization } = useViewer()
  const navigate = useNavigate()
  const [action, act] = useState<Action | null>(null)
  const [done, say] = useState<string | null>(null)
  const changed = useWebhooksChanged(organization.id)
  const update = useUpdateWebhook(organization.id)
  const testing = useMutation({
    mutationFn: async (id: string) => unwrap((await latchkey.testWebhook({ input: { id } })).testWebhook),
    async onSuccess() {
      say('A test message is on its way. It is the latest in the log.')
      await changed()
    },
  })
  const testButton = useFocusBack<HTMLButtonElement>(testing.isPending)
  const switchButton = useFocusBack<HTMLButtonElement>(update.isPending)
  const begin = (begun: Action) => {
    say(null)
    act(begun)
  }
  const endAction = () => act(null)
  const error = update.error ?? testing.error
  return (
    <div className={layout.page}>
      <header className={layout.header}>
        <div className={layout.name}>
          <Title order={2} size="h3">
            {hostOf(webhook.url)}
          </Title>
          <StateBadge webhook={webhook} />
        </div>
        <div className={layout.actions}>
          {webhook.enabled && (
            <Button
              variant="default"
              leftSection={<IconSend aria-hidden size={16} />}
              ref={testButton}
              loading={testing.isPending}
              onClick={() => {
                say(null)
                testing.mutate(webhook.id)
              }}
            >
              Send Test Message
            </Button>
          )}
          <Button
            variant="default"
            leftSection={<IconPencil aria-hidden size={16} />}
            aria-haspopup="dialog"
            onClick={() => begin('edit')}
          >
            Edit
          </Button>
          <Button
            variant="default"
            leftSection={<IconRefresh aria-hidden size={16} />}
            aria-haspopup="dialog"
            onClick={() => begin('regenerate')}
          >
            Regenerate Secret
          </Button>
          <Button
            variant="default"
            ref={switchButton}
            loading={update.isPending}
            onClick={() => {
              say(null)
              update.mutate({ id: webhook.id, enabled: !webhook.enabled })
            }}
          >
            {webhook.enabled ? 'Disable' : 'Enable'}
          </Button>
          <Button
            variant="outline"
            color="red"
            leftSection={<IconTrash aria-hidden size={16} />}
            aria-haspopup="dialog"
            onClick={() => begin('delete')}
          >
            Delete
          </Button>
        </div>
      </header>
      {error && <FailureNote error={error} />}
      <div role="status" className={layout.outcome}>
        {done && (
          <Alert role="note" icon={<IconCheck aria-hidden />}>
            {done}
          </Alert>
        )}
      </div>
      <Trouble webhook={webhook} />
      {webhook.description && <Text className={layout.description}>{webhook.description}</Text>}
      <Card withBorder padding="lg">
        <FactList facts={factsOf(webhook)} />
        <TextLink
          size="sm"
          mt="md"
          to="/organizations/$slug/audit-log"
          params={{ slug: organization.slug }}
          search={{ target: webhook.id }}
        >
          Who changed it, in the audit log
        </TextLink>
      </Card>
      <DeliveryLog data={data} isStale={isStale} onDone={say} />

      <EditPanel webhook={webhook} opened={action === 'edit'} onClose={endAction} />
      <RegeneratePanel webhook={webhook} opened={action === 'regenerate'} onClose={endAction} />
      <DeleteWarning
        webhook={webhook}
        opened={action === 'delete'}
        onClose={endAction}
        onDeleted={() => navigate({ to: '/organizations/$slug/webhooks', params: { slug: organization.slug } })}
      />
    </div>
  )
}

/** Why nothing arrives, where that is so. */
function Trouble({ webhook: { enabled, failingSince } }: { webhook: Webhook }) {
  if (!enabled) {
    return (
      <Alert role="note" color="gray" icon={<IconPlayerPause aria-hidden />} title="It is disabled">
        It is told nothing of what happens meanwhile. What waits to be sent is kept, and sent once it is enabled.
      </Alert>
    )
  }
  if (!failingSince) return null
  return (
    <Alert role="note" color="red" icon={<IconAlertTriangle aria-hidden />} title="Its messages do not arrive">
      None has since <Instant at={failingSince} inFull />. The log below says why. Each is sent again, less and less
      often, for three days, and then given up.
    </Alert>
  )
}

function factsOf({ id, url, eventTypes: chosen, lastDeliveredAt, createdAt, formerSecretUntil }: Webhook) {
  const code = (text: string, size = 'sm') => (
    <Text key={text} span size={size} ff="monospace">
      {text}
    </Text>
  )
  const isAll = eventTypes.every((type) => chosen.includes(type))
  return [
    ['Address', code(url)],
    [
      'Events',
      isAll ? (
        describeEventTypes(chosen)
      ) : (
        <span key="events" className={layout.tags}>
          {eventTypes
            .filter((type) => chosen.includes(type))
            .map((type) => (
              <Badge key={type} color="gray" size="sm">
                {wordsOf(type).name}
              </Badge>
            ))}
        </span>
      ),
    ],
    ['Last delivered', lastDeliveredAt ? <Instant key="delivered" at={lastDeliveredAt} inFull /> : 'Never'],
    ...(formerSecretUntil
      ? [
          [
            'Former secret',
            <span key="former">
              Signs as well until <Instant at={formerSecretUntil} inFull />
            </span>,
          ] as const,
        ]
      : []),
    ['Created', <Instant key="created" at={createdAt} inFull />],
    ['ID', code(id, 'xs')],
  ] as const
}
