import { Alert, Button, Checkbox, Text } from '@mantine/core'
import { IconAlertTriangle, IconCheck, IconCopy } from '@tabler/icons-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { useLeaveWarning } from './leave-warning.ts'
import styles from './secret-once.module.css'

/**
 * A value that is shown this once. Nothing but its own button ends it, and that only once the value was copied, or is said
 * to be kept: neither a stray click, nor a key, nor going back, nor closing the page without being asked.
 */
export function SecretOnce({
  secret,
  name,
  onDone,
  done = 'Done',
  advice = 'Whoever has it can use it: keep it where secrets are kept, and send it to nobody.',
  children,
}: {
  secret: string
  name: string
  /** What to do with it, and what not. */
  advice?: ReactNode
  onDone: () => void
  done?: string
  /** What else can be copied here takes the value's place in the clipboard, and has to say so. */
  children?: (onOtherCopied: () => void) => ReactNode
}) {
  const [copying, setCopying] = useState<'not yet' | 'copied' | 'failed'>('not yet')
  const [isKept, keep] = useState(false)
  const value = useRef<HTMLElement>(null)
  const copyButton = useRef<HTMLButtonElement>(null)
  useLeaveWarning(true)
  useEffect(() => copyButton.current?.focus(), [])

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(secret)
      setCopying('copied')
    } catch {
      // Browsers lend the clipboard over HTTPS only; what is selected can be copied by hand.
      if (value.current) getSelection()?.selectAllChildren(value.current)
      setCopying('failed')
    }
  }

  return (
    <div className={styles.secret}>
      <Alert color="yellow" icon={<IconAlertTriangle aria-hidden />} title="Copy it now">
        This is the only time that {name} is shown. It cannot be read again, by you or by anybody. {advice}
      </Alert>
      <div className={styles.box}>
        <code ref={value} className={styles.value} translate="no" data-secret>
          {secret}
        </code>
        <Button
          ref={copyButton}
          onClick={() => void copy()}
          leftSection={copying === 'copied' ? <IconCheck aria-hidden size={16} /> : <IconCopy aria-hidden size={16} />}
        >
          {copying === 'copied' ? 'Copied' : 'Copy'}
        </Button>
      </div>
      <Text size="sm" c="dimmed" role="status" mih="1.4em">
        {copying === 'copied' && 'It is in the clipboard. Paste it where it belongs before you copy anything else.'}
        {copying === 'failed' && 'The browser does not let this page copy. The value is selected: copy it by hand.'}
      </Text>
      {children?.(() => setCopying('not yet'))}
      <div className={styles.end}>
        {copying !== 'copied' && (
          <Checkbox
            label="I have kept it another way"
            checked={isKept}
            onChange={({ currentTarget }) => keep(currentTarget.checked)}
          />
        )}
        <Button variant="default" disabled={copying !== 'copied' && !isKept} onClick={onDone} className={styles.done}>
          {done}
        </Button>
      </div>
    </div>
  )
}
