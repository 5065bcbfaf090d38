import { Skeleton, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import styles from './table.module.css'

/** A column by its name: one that is hidden is named to screen readers alone, and a wide one goes where there is little room. */
export type Column = string | { name: string; isHidden: true } | { name: string; isWide: true }

const skeletonRows = ['a', 'b', 'c', 'd']

/** On a phone each row is a card, in which a cell is named by its `data-name`. */
export function Table<Row>({
  caption,
  columns,
  rows,
  row,
  empty,
  isStale = false,
}: {
  caption: string
  columns: readonly Column[]
  /** Null while they are read for the first time. */
  rows: readonly Row[] | null
  row: (row: Row) => ReactNode
  /** What is said where there is no row. */
  empty?: string
  /** Whether others are being read in their place. */
  isStale?: boolean
}) {
  return (
    <div className={styles.frame}>
      <table className={styles.table} aria-busy={isStale || rows === null} data-stale={isStale || undefined}>
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Heading key={nameOf(column)} column={column} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows
            ? rows.map(row)
            : skeletonRows.map((key) => (
                <tr key={key}>
                  <td colSpan={columns.length}>
                    <Skeleton height={20} />
                  </td>
                </tr>
              ))}
        </tbody>
      </table>
      {rows?.length === 0 && empty && (
        <Text c="dimmed" size="sm" p="md">
          {empty}
        </Text>
      )}
    </div>
  )
}

const nameOf = (column: Column) => (typeof column === 'string' ? column : column.name)

function Heading({ column }: { column: Column }) {
  if (typeof column === 'string') return <th scope="col">{column}</th>
  if ('isWide' in column) {
    return (
      <th scope="col" className={styles.wide}>
        {column.name}
      </th>
    )
  }
  return (
    <th scope="col">
      <span className="visually-hidden">{column.name}</span>
    </th>
  )
}
