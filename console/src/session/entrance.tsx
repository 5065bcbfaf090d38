import type { ReactNode } from 'react'
import { Brand } from '../interface/brand.tsx'
import styles from './entrance.module.css'

/** What is around a page for whoever need not be signed in. */
export function Entrance({ children }: { children: ReactNode }) {
  return (
    <main className={styles.page}>
      <div className={styles.brand}>
        <Brand />
      </div>
      {children}
    </main>
  )
}
