import type { IntegrationToken } from '@latchkey/sdk'
import { Alert, Button, Card, Skeleton, Text, Title } from '@mantine/core'
import { IconAlertTriangle, IconArrowLeft, IconKeyOff, IconPencil, IconRefresh, IconTrash } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { EventTable } from '../audit/event-table.tsx'
import { FactList } from '../interface/fact-list.tsx'
import { Failure, FailureNote } from '../interface/failure.tsx'
import { useFocusBack } from '../interface/focus-back.ts'
import { Instant } from '../interface/instant.tsx'
import { Notice } from '../interface/notice.tsx'
import layout from '../interface/page-of-one.module.css'
import { usePageTitle } from '../interface/page-title.ts'
import { PermissionList } from '../interface/permission-list.tsx'
import { TextLink } from '../interface/text-link.tsx'
import { needsConfirmation } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { DeleteWarning } from './delete-warning.tsx'
import { EditPanel } from './edit-panel.tsx'
import { eventsOfTokenQuery, tokenQuery, useUpdateToken } from './queries.ts'
import { RegeneratePanel } from './regenerate-panel.tsx'
import { SecretTable } from './secret-table.tsx'
import { StatusBadge } from './status-badge.tsx'

/** One token: its facts, what may be done with it, its values and its events. */
export function TokenPage() {
  const { organization } = useViewer()
  const { slug, tokenId } = useParams({ from: '/signed-in/organizations/$slug/integration-tokens/$tokenId' })
  const { data: token, error, refetch } = useQuery(tokenQuery(organization.id, tokenId))
  usePageTitle(token?.label ?? 'Integration token', organization.name)
  return (
    <>
      <TextLink to="/organizations/$slug/integration-tokens" params={{ slug }} size="sm" className={layout.back}>
        <IconArrowLeft aria-hidden size={14} /> All integration tokens
      </TextLink>
      {token ? (
        <Token token={token} />
      ) : error ? (
        <Failure title="The token cannot be shown" error={error} retry={() => void refetch()} />
      ) : token === null ? (
        <Notice icon={<IconKeyOff />} title="There is no such token">
          It was deleted, or its address has a mistake in it. What became of a deleted token is in the audit log.
        </Notice>
      ) : (
        <Skeleton height={240} aria-busy />
      )}
    </>
  )
}

type Action = 'edit' | 'regenerate' | 'delete'

function Token({ token }: { token: IntegrationToken }) {
  const { organization } = useViewer()
  const navigate = useNavigate()
  const [action, act] = useState<Action | null>(null)
  const update = useUpdateToken(organization.id)
  const done = () => act(null)
  const isEnabled = token.status !== 'DISABLED'
  const switchButton = useFocusBack<HTMLButtonElement>(update.isPending)
  // What would stop has been shown by then: whoever goes on means it.
  const force = needsConfirmation(update.error)
  return (
    <div className={layout.page}>
      <header className={layout.header}>
        <div className={layout.name}>
          <Title order={2} size="h3">
            {token.label}
          </Title>
          <StatusBadge status={token.status} />
        </div>
        <div className={layout.actions}>
          <Button variant="default" leftSection={<IconPencil aria-hidden size={16} />} onClick={() => act('edit')}>
            Edit
          </Button>
          <Button
            variant="default"
            leftSection={<IconRefresh aria-hidden size={16} />}
            onClick={() => act('regenerate')}
          >
            Regenerate
          </Button>
          {token.status !== 'EXPIRED' && (
            <Button
              variant="default"
              ref={switchButton}
              loading={update.isPending}
              onClick={() => update.mutate({ id: token.id, enabled: !isEnabled, force })}
            >
              {!isEnabled ? 'Enable' : force ? 'Disable it all the same' : 'Disable'}
            </Button>
          )}
          <Button
            variant="outline"
            color="red"
            leftSection={<IconTrash aria-hidden size={16} />}
            onClick={() => act('delete')}
          >
            Delete
          </Button>
        </div>
      </header>
      {update.error && <FailureNote error={update.error} />}
      {token.retiredSecretLastUsedAt && (
        <Alert color="orange" icon={<IconAlertTriangle aria-hidden />} title="An old value was presented">
          A value that was retired by a regeneration was presented <Instant at={token.retiredSecretLastUsedAt} />, and
          was refused. Find what still has it, and give it the present one.
        </Alert>
      )}
      {token.description && <Text className={layout.description}>{token.description}</Text>}
      <Card withBorder padding="lg">
        <FactList facts={factsOf(token)} />
      </Card>
      <section aria-labelledby="values">
        <Title order={3} size="h5" id="values" mb="xs">
          Values
        </Title>
        <SecretTable token={token} />
      </section>
      <Events token={token} />

      <EditPanel token={token} opened={action === 'edit'} onClose={done} />
      <RegeneratePanel token={token} opened={action === 'regenerate'} onClose={done} />
      <DeleteWarning
        token={action === 'delete' ? token : null}
        onClose={done}
        onDeleted={() =>
          void navigate({ to: '/organizations/$slug/integration-tokens', params: { slug: organization.slug } })
        }
      />
    </div>
  )
}

function factsOf({ role, id, lastUsedAt, lastUsedFrom, expiresAt, createdAt, createdBy }: IntegrationToken) {
  return [
    [
      'Role',
      <PermissionList key="role" permissions={role.permissions}>
        {role.label}
      </PermissionList>,
    ],
    ['Last used', lastUsedAt ? <Instant key="used" at={lastUsedAt} inFull /> : 'Never'],
    ['From', lastUsedFrom ?? '–'],
    ['Expires', expiresAt ? <Instant key="expires" at={expiresAt} inFull /> : 'Never'],
    ['Created', <Instant key="created" at={createdAt} inFull />],
    ['Created by', createdBy?.email ?? 'Another token, or a member who has left'],
    [
      'ID',
      <Text key="id" span size="sm" ff="monospace">
        {id}
      </Text>,
    ],
  ] as const
}

function Events({ token }: { token: IntegrationToken }) {
  const { organization } = useViewer()
  const events = useQuery(eventsOfTokenQuery(organization.id, token.id))
  return (
    <section aria-labelledby="events">
      <div className={layout.header}>
        <Title order={3} size="h5" id="events" mb="xs">
          Events
        </Title>
        <TextLink
          size="sm"
          to="/organizations/$slug/audit-log"
          params={{ slug: organization.slug }}
          search={{ target: token.id }}
        >
          All in the audit log
        </TextLink>
      </div>
      {events.error && !events.data ? (
        <Failure title="The events cannot be shown" error={events.error} retry={() => void events.refetch()} />
      ) : (
        <EventTable events={events.data?.nodes ?? null} withTarget={false} />
      )}
    </section>
  )
}
