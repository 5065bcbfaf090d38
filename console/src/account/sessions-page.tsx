import type { Session } from '@latchkey/sdk'
import { Alert, Button, Text } from '@mantine/core'
import { IconCheck } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { EndOthersWarning } from './end-others-warning.tsx'
import { EndSessionWarning } from './end-session-warning.tsx'
import { sessionsQuery } from './queries.ts'
import { SessionTable } from './session-table.tsx'
import styles from './sessions-page.module.css'

/** Where the person is signed in, and the ways to end it. */
export function SessionsPage() {
  usePageTitle('Sessions', 'Your account')
  const sessions = useQuery(sessionsQuery)
  const [ending, askToEnd] = useState<Session | null>(null)
  const [isEndingOthers, askToEndOthers] = useState(false)
  const [done, say] = useState<string | null>(null)
  const hasOthers = sessions.data?.some(({ current }) => !current) ?? false
  return (
    <>
      <div className={styles.above}>
        <Text size="sm" className={styles.about}>
          Where you are signed in, in every organization. A session ends when you sign out, after 12 hours without use,
          and after 7 days in any case.
        </Text>
        {hasOthers && (
          <Button
            variant="outline"
            color="red"
            aria-haspopup="dialog"
            onClick={() => {
              say(null)
              askToEndOthers(true)
            }}
          >
            End All Others
          </Button>
        )}
      </div>
      <div role="status">
        {done && (
          <Alert role="note" icon={<IconCheck aria-hidden />} mb="md">
            {done}
          </Alert>
        )}
      </div>
      {sessions.error && !sessions.data ? (
        <Failure title="Your sessions cannot be shown" error={sessions.error} retry={() => void sessions.refetch()} />
      ) : (
        <>
          <SessionTable
            sessions={sessions.data ?? null}
            onEnd={(session) => {
              say(null)
              askToEnd(session)
            }}
          />
          {sessions.data && !hasOthers && (
            <Text size="sm" c="dimmed" mt="md">
              You are signed in nowhere else.
            </Text>
          )}
        </>
      )}
      <EndSessionWarning session={ending} onClose={() => askToEnd(null)} onEnded={say} />
      <EndOthersWarning opened={isEndingOthers} onClose={() => askToEndOthers(false)} onEnded={say} />
    </>
  )
}
