import type { Invitation } from '@latchkey/sdk'
import { Badge, Button, Text, Title } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { Instant } from '../interface/instant.tsx'
import table from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import styles from './members.module.css'
import { invitationsQuery } from './queries.ts'
import { WithdrawWarning } from './withdraw-warning.tsx'

/** Who is invited and has not accepted yet; nothing where that is nobody. */
export function Invitations({
  onRenew,
  onWithdrawn,
}: {
  onRenew: (invitation: Invitation) => void
  onWithdrawn: (words: string) => void
}) {
  const { organization } = useViewer()
  const invitations = useQuery(invitationsQuery(organization.id))
  const [withdrawing, askToWithdraw] = useState<Invitation | null>(null)
  const { data, error } = invitations
  return (
    <>
      {error && !data ? (
        <div className={styles.section}>
          <Failure
            title="The open invitations cannot be shown"
            error={error}
            retry={() => void invitations.refetch()}
          />
        </div>
      ) : (
        data &&
        data.length > 0 && (
          <section className={styles.section} aria-labelledby="open-invitations">
            <Title order={2} size="h5" id="open-invitations" mb="xs">
              Open invitations
            </Title>
            <Table
              caption="Open invitations, the newest first"
              columns={[
                'Invited',
                'Role',
                'Good until',
                { name: 'By', isWide: true },
                { name: 'Actions', isHidden: true },
              ]}
              rows={data}
              row={(invitation) => (
                <Row
                  key={invitation.id}
                  invitation={invitation}
                  onRenew={() => onRenew(invitation)}
                  onWithdraw={() => askToWithdraw(invitation)}
                />
              )}
            />
            {data.some(({ domainConfirmed }) => !domainConfirmed) && (
              <Text size="sm" c="dimmed" mt="xs">
                Where the domain is not confirmed, only somebody who has a password here already can accept. Whoever
                runs Latchkey can confirm it.
              </Text>
            )}
          </section>
        )
      )}
      <WithdrawWarning invitation={withdrawing} onClose={() => askToWithdraw(null)} onWithdrawn={onWithdrawn} />
    </>
  )
}

function Row({
  invitation: { email, role, domainConfirmed, expiresAt, createdAt, createdBy },
  onRenew,
  onWithdraw,
}: {
  invitation: Invitation
  onRenew: () => void
  onWithdraw: () => void
}) {
  return (
    <tr>
      <td className={`${table.main} ${table.words}`}>
        <b>{email}</b>
        <div>
          <Badge color={domainConfirmed ? 'latch' : 'orange'}>
            {domainConfirmed ? 'Domain confirmed' : 'Domain not confirmed'}
          </Badge>
        </div>
      </td>
      <td data-name="Role">{organizationRoleNames[role]}</td>
      <td data-name="Good until">
        <Instant at={expiresAt} />
      </td>
      <td data-name="By" className={`${table.wide} ${table.words}`}>
        <span title={createdBy.email}>{createdBy.displayName}</span>
        <Text size="sm" c="dimmed">
          <Instant at={createdAt} />
        </Text>
      </td>
      <td className={styles.actions}>
        <div className={styles.buttons}>
          <Button
            variant="default"
            size="xs"
            aria-haspopup="dialog"
            aria-label={`New Link for ${email}`}
            onClick={onRenew}
          >
            New Link
          </Button>
          <Button
            variant="default"
            size="xs"
            aria-haspopup="dialog"
            aria-label={`Withdraw the invitation of ${email}`}
            onClick={onWithdraw}
          >
            Withdraw
          </Button>
        </div>
      </td>
    </tr>
  )
}
