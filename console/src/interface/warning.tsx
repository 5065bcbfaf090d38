import { Button, Modal } from '@mantine/core'
import { type ReactNode, useEffect, useRef } from 'react'
import { focusAfterwards } from './focus-afterwards.ts'
import styles from './warning.module.css'

/**
 * Asks before something that cannot be taken back. Whoever opens it finds the way out first: the focus is on Cancel.
 */
export function Warning({
  opened,
  onClose,
  onProceed,
  proceed,
  isPending,
  other,
  returnFocus = true,
  nextFocus,
  children,
}: {
  opened: boolean
  onClose: () => void
  onProceed: () => void
  /** What the button says that does it; null where it cannot be done. */
  proceed: string | null
  isPending: boolean
  /** A milder way. */
  other?: ReactNode
  /** Whether what it was opened by is still there when it closes. */
  returnFocus?: boolean
  /** The id of what has the focus afterwards where that is gone; the beginning of the page unless it is said. */
  nextFocus?: string | undefined
  children: ReactNode
}) {
  const wayOut = useRef<HTMLButtonElement>(null)
  const isPossible = proceed !== null
  useEffect(() => {
    // The button that was pressed went away.
    if (!isPossible && document.activeElement === document.body) wayOut.current?.focus()
  }, [isPossible])
  return (
    <Modal.Root
      opened={opened}
      onClose={() => !isPending && onClose()}
      centered
      lockScroll={false}
      returnFocus={returnFocus}
      onExitTransitionEnd={() => focusAfterwards(nextFocus)}
    >
      <Modal.Overlay />
      <Modal.Content>
        {/* Mantine's header is a landmark, of which a page has one at most. */}
        <div className={styles.header}>
          <Modal.Title>Warning</Modal.Title>
          <Modal.CloseButton aria-label="Close" />
        </div>
        <Modal.Body>
          <div className={styles.content}>{children}</div>
          <div className={styles.buttons}>
            <Button ref={wayOut} variant="default" onClick={onClose} disabled={isPending} data-autofocus>
              {isPossible ? 'Cancel' : 'Close'}
            </Button>
            {other}
            {isPossible && (
              <Button color="red" loading={isPending} onClick={onProceed}>
                {proceed}
              </Button>
            )}
          </div>
        </Modal.Body>
      </Modal.Content>
    </Modal.Root>
  )
}
