import type { IntegrationToken, UpdateTokenInput } from '@latchkey/sdk'
import { Alert, Button, Drawer, Skeleton } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import styles from '../interface/form.module.css'
import { readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { DetailsFields } from './details-fields.tsx'
import { type Expiry, endOf, isOffered, latestEnd } from './expiry.ts'
import { ExpiryField, mistakeOf } from './expiry-field.tsx'
import { policyQuery, useUpdateToken } from './queries.ts'

const asItIs: Expiry = { lifetime: 'keep', day: '' }

/** Changes a token's label, description and expiry. */
export function EditPanel({
  token,
  opened,
  onClose,
}: {
  token: IntegrationToken
  opened: boolean
  onClose: () => void
}) {
  return (
    <Drawer opened={opened} onClose={onClose} title={`Edit “${token.label}”`} closeOnClickOutside={false}>
      <Form token={token} onClose={onClose} />
    </Drawer>
  )
}

function Form({ token, onClose }: { token: IntegrationToken; onClose: () => void }) {
  const { organization } = useViewer()
  const update = useUpdateToken(organization.id)
  const [details, setDetails] = useState({ label: token.label, description: token.description ?? '' })
  const policy = useQuery(policyQuery(organization.id))
  const [chosen, choose] = useState(asItIs)
  const [dayMistake, setDayMistake] = useState<string | undefined>()
  const { fields, message } = readMistakes(update.error)
  const form = useRef<HTMLFormElement>(null)
  const [value] = token.secrets
  const latest = policy.data && value ? latestEnd(policy.data, new Date(value.createdAt)) : null
  const expiry = policy.data && isOffered(chosen, policy.data, latest, new Date()) ? chosen : asItIs
  useEffect(() => {
    if (update.error) focusFirstMistake(form.current)
  }, [update.error])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const now = new Date()
    const end = endOf(expiry, now, latest)
    const mistake = mistakeOf(expiry, latest, now)
    setDayMistake(mistake)
    if (mistake) focusFirstMistake(form.current)
    else update.mutate(changesOf(token, details, end), { onSuccess: onClose })
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <DetailsFields
        details={details}
        onChange={(changed) => setDetails({ ...details, ...changed })}
        mistakes={fields}
        disabled={update.isPending}
      />
      {policy.data ? (
        <ExpiryField
          value={expiry}
          onChange={(changed) => {
            choose(changed)
            setDayMistake(undefined)
            update.reset()
          }}
          policy={policy.data}
          latest={latest}
          present={token.expiresAt ?? null}
          error={dayMistake ?? fields.expiresAt}
          disabled={update.isPending}
        />
      ) : policy.error ? (
        <Failure title="The token policy cannot be shown" error={policy.error} retry={() => void policy.refetch()} />
      ) : (
        <Skeleton height={84} />
      )}
      {message && (
        <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
          {message}
        </Alert>
      )}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" loading={update.isPending}>
          Save
        </Button>
      </div>
    </form>
  )
}

/** Only what differs, so that what somebody else changed meanwhile is left as it is. */
function changesOf(
  token: IntegrationToken,
  { label, description }: { label: string; description: string },
  end: Date | null | undefined,
): UpdateTokenInput {
  return {
    id: token.id,
    ...(label !== token.label && { label }),
    ...(description !== (token.description ?? '') && { description: description.trim() || null }),
    ...(end !== undefined && { expiresAt: end?.toISOString() ?? null }),
  }
}
