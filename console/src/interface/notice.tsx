import { Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import styles from './notice.module.css'

/** In the place of content that is not there: why, and what to do. */
export function Notice({
  icon,
  title,
  children,
  action,
  order = 2,
}: {
  icon: ReactNode
  title: string
  children: ReactNode
  action?: ReactNode
  order?: 1 | 2 | 3
}) {
  return (
    <div className={styles.notice}>
      <span className={styles.icon} aria-hidden>
        {icon}
      </span>
      <Title order={order} size="h4">
        {title}
      </Title>
      <Text c="dimmed" className={styles.text}>
        {children}
      </Text>
      {action}
    </div>
  )
}
