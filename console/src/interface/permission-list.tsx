import { Badge } from '@mantine/core'
import type { ReactNode } from 'react'
import styles from './permission-list.module.css'

/** Permissions as they are written, after what is said of them. */
export function PermissionList({ permissions, children }: { permissions: readonly string[]; children?: ReactNode }) {
  return (
    <span className={styles.list}>
      {children}
      {permissions.map((permission) => (
        <Badge
          key={permission}
          component="span"
          color="gray"
          size="sm"
          miw={0}
          classNames={{ root: styles.permission, label: styles.text }}
        >
          {permission}
        </Badge>
      ))}
    </span>
  )
}
