import { type IntegrationToken, unwrap } from '@latchkey/sdk'
import { Alert, Button, Modal, Radio, Stack, Text } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { SecretOnce } from '../interface/secret-once.tsx'
import styles from '../interface/warning.module.css'
import { isAnswerLost, latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { useTokensChanged } from './queries.ts'
import { SecretTable } from './secret-table.tsx'
import { Snippets } from './snippets.tsx'

const overlaps = [
  ['86400', 'For one day', 'Time to put the new value in its place.'],
  ['3600', 'For one hour', 'Where one place has it, and you are about to change it.'],
  ['604800', 'For seven days', 'Where several people or systems have it.'],
  ['0', 'Not at all', 'Where the old value may have leaked. Whatever still uses it stops working.'],
] as const

/** Gives a token a new value, with the time for which the old one is still accepted. */
export function RegeneratePanel({
  token,
  opened,
  onClose,
}: {
  token: IntegrationToken
  opened: boolean
  onClose: () => void
}) {
  const { organization } = useViewer()
  const changed = useTokensChanged(organization.id)
  const [overlap, setOverlap] = useState('86400')
  const regeneration = useMutation({
    mutationFn: async (overlapSeconds: number) =>
      unwrap((await latchkey.regenerateToken({ input: { id: token.id, overlapSeconds } })).regenerateToken),
    // Also without an answer: what is shown then tells whether there is a new value. And not waited for: the value comes first.
    onSettled: () => void changed(),
  })
  const made = regeneration.data?.secret
  const mayClose = !made && !regeneration.isPending
  useLeaveWarning(regeneration.isPending)
  const close = () => {
    regeneration.reset()
    onClose()
  }
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={made ? 'The new value' : `Regenerate “${token.label}”`}
      size="lg"
      closeOnClickOutside={mayClose}
      closeOnEscape={mayClose}
      withCloseButton={mayClose}
    >
      {made ? (
        <SecretOnce secret={made} name={`the new value of “${token.label}”`} onDone={close}>
          {(onOtherCopied) => <Snippets role={token.role} onCopy={onOtherCopied} />}
        </SecretOnce>
      ) : (
        <div className={styles.content}>
          <Text size="sm">The token keeps its label, role and history, and gets a new value. It has these now:</Text>
          <SecretTable token={token} />
          {token.secrets.length > 1 && (
            <Text size="sm">
              The older of them is refused at once, whatever you choose here: the choice is about the newest.
            </Text>
          )}
          <Radio.Group label="For how long is the present value still accepted?" value={overlap} onChange={setOverlap}>
            <Stack gap="sm" mt="xs">
              {overlaps.map(([value, label, description]) => (
                <Radio key={value} value={value} label={label} description={description} />
              ))}
            </Stack>
          </Radio.Group>
          {isAnswerLost(regeneration.error) ? (
            <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
              No answer came, so the token may have a new value that nobody has seen: look at the values above. If it
              has, and you regenerate again, the value before it is refused at once.
            </Alert>
          ) : (
            regeneration.error && <FailureNote error={regeneration.error} />
          )}
          <div className={styles.buttons}>
            <Button variant="default" onClick={close} disabled={regeneration.isPending}>
              Cancel
            </Button>
            <Button loading={regeneration.isPending} onClick={() => regeneration.mutate(Number(overlap))}>
              Regenerate
            </Button>
          </div>
        </div>
      )}
    </Modal>
  )
}
