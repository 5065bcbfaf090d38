import type { WebhookDelivery } from '@latchkey/sdk'
import { Instant } from '../interface/instant.tsx'
import { TextLink } from '../interface/text-link.tsx'
import { useViewer } from '../session/session.ts'
import { labelIn } from './payload.ts'

/** As the token was called then, with the way to its page unless its deletion is what is told. */
export function TokenOf({ delivery: { tokenId, eventType, payload } }: { delivery: WebhookDelivery }) {
  const { slug } = useViewer().organization
  if (!tokenId) return <>–</>
  const label = labelIn(payload) ?? tokenId
  if (eventType === 'TOKEN_DELETED') return <>{label}</>
  return (
    <TextLink to="/organizations/$slug/integration-tokens/$tokenId" params={{ slug, tokenId }} inherit>
      {label}
    </TextLink>
  )
}

export function NextAttempt({ delivery: { status, nextAttemptAt } }: { delivery: WebhookDelivery }) {
  if (nextAttemptAt) return Date.parse(nextAttemptAt) > Date.now() ? <Instant at={nextAttemptAt} /> : <>Now</>
  return <>{status === 'PENDING' ? 'Once it is enabled' : '–'}</>
}

/** Why the last attempt counts as failed; null where it does not. */
export const lastProblemOf = ({ attempts }: WebhookDelivery): string | null => attempts.at(-1)?.problem ?? null
