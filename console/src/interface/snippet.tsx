import { Button, CopyButton } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import styles from './snippet.module.css'

/** A text for machines, to be copied. */
export function Snippet({
  text,
  of = 'the snippet',
  copied = text,
  onCopy,
}: {
  text: string
  /** What it is called on its button. */
  of?: string
  /** What goes into the clipboard, where that is not what is shown. */
  copied?: string
  onCopy?: () => void
}) {
  return (
    <>
      <pre className={styles.snippet}>{text}</pre>
      <CopyButton value={copied}>
        {({ copied: isCopied, copy }) => (
          <Button
            variant="default"
            size="compact-sm"
            onClick={() => {
              copy()
              onCopy?.()
            }}
            leftSection={isCopied ? <IconCheck aria-hidden size={14} /> : <IconCopy aria-hidden size={14} />}
          >
            {isCopied ? `Copied ${of}` : `Copy ${of}`}
          </Button>
        )}
      </CopyButton>
    </>
  )
}
