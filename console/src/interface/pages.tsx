import type { PageInfo } from '@latchkey/sdk'
import { Button } from '@mantine/core'
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react'
import styles from './pages.module.css'

export interface PageBounds {
  after?: string
  before?: string
}

/** The way to the pages beside this one. */
export function Pages({
  of,
  pageInfo,
  count,
  onTurn,
}: {
  of: string
  pageInfo: PageInfo
  count: string
  onTurn: (bounds: PageBounds) => void
}) {
  const { startCursor, endCursor, hasPreviousPage, hasNextPage } = pageInfo
  if (!count && !hasPreviousPage && !hasNextPage) return null
  return (
    <nav className={styles.pages} aria-label={`Pages of ${of}`}>
      <span className={styles.count} role="status">
        {count}
      </span>
      <Button
        variant="default"
        size="xs"
        leftSection={<IconChevronLeft aria-hidden size={14} />}
        disabled={!hasPreviousPage || !startCursor}
        onClick={() => startCursor && onTurn({ before: startCursor })}
      >
        Previous
      </Button>
      <Button
        variant="default"
        size="xs"
        rightSection={<IconChevronRight aria-hidden size={14} />}
        disabled={!hasNextPage || !endCursor}
        onClick={() => endCursor && onTurn({ after: endCursor })}
      >
        Next
      </Button>
    </nav>
  )
}
