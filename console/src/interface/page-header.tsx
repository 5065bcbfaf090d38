import { Title } from '@mantine/core'
import type { ReactNode } from 'react'
import styles from './page-header.module.css'

/** The name of what the page's tabs belong to, with the kind of it above. */
export function PageHeader({ above, title, children }: { above: string; title: string; children?: ReactNode }) {
  return (
    <div className={styles.header}>
      <div>
        <p className={styles.above}>{above}</p>
        <Title order={1} size="h2">
          {title}
        </Title>
      </div>
      {children}
    </div>
  )
}
