import { Alert, Button } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { explainFailure } from '../latchkey.ts'
import styles from './failure.module.css'

/** Something could not be read: why, and the way on. */
export function Failure({ title, error, retry }: { title: string; error: unknown; retry: () => void }) {
  return (
    <Alert color="red" icon={<IconAlertCircle aria-hidden />} title={title} role="alert">
      <div className={styles.content}>
        {explainFailure(error)}
        <Button variant="default" size="xs" onClick={retry}>
          Try again
        </Button>
      </div>
    </Alert>
  )
}

/** What was tried did not happen: why. */
export function FailureNote({ error }: { error: unknown }) {
  return (
    <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
      {explainFailure(error)}
    </Alert>
  )
}
