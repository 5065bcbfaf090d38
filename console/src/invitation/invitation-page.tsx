import { Paper, Skeleton } from '@mantine/core'
import { IconMail, IconMailOff } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { Notice } from '../interface/notice.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { TextLink } from '../interface/text-link.tsx'
import { latchkey } from '../latchkey.ts'
import styles from '../session/entrance.module.css'
import { Entrance } from '../session/entrance.tsx'
import { Acceptance } from './acceptance.tsx'
import { usePresentedSecret } from './presented-secret.ts'

/** Where an invitation is accepted, by whoever has its link. */
export function InvitationPage() {
  usePageTitle('Invitation')
  const secret = usePresentedSecret()
  return (
    <Entrance>
      {secret === null ? (
        <Paper withBorder>
          <Notice order={1} icon={<IconMail />} title="Open the link that you were sent" action={<ToSignIn />}>
            An invitation opens by its whole link, with all that follows the #. If you have reloaded this page, open the
            link again: nothing of it was kept.
          </Notice>
        </Paper>
      ) : (
        <Presented key={secret} secret={secret} />
      )}
    </Entrance>
  )
}

function Presented({ secret }: { secret: string }) {
  const [isRefused, refuse] = useState(false)
  const offer = useQuery({
    queryKey: ['invitation', secret],
    queryFn: async () => (await latchkey.invitationOffer({ secret })).invitationOffer ?? null,
    // What is being typed is disturbed by nothing: whoever accepts hears whether it is still good.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
  if (isRefused || offer.data === null) {
    return (
      <Paper withBorder>
        <Notice order={1} icon={<IconMailOff />} title="This invitation is not good any more" action={<ToSignIn />}>
          It may have been accepted, withdrawn, replaced by a newer one, or have expired; or its link was not copied
          whole. Ask whoever invited you for a new one. If it was you who accepted it, sign in.
        </Notice>
      </Paper>
    )
  }
  if (offer.data) return <Acceptance secret={secret} offer={offer.data} onRefused={() => refuse(true)} />
  if (offer.error) {
    return <Failure title="The invitation cannot be shown" error={offer.error} retry={() => void offer.refetch()} />
  }
  return (
    <Paper withBorder className={styles.card} aria-busy>
      <Skeleton height={28} width="60%" />
      <Skeleton height={64} />
      <Skeleton height={36} />
      <Skeleton height={36} />
    </Paper>
  )
}

function ToSignIn() {
  return <TextLink to="/sign-in">Go to sign-in</TextLink>
}
