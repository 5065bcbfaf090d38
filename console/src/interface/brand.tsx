import styles from './brand.module.css'

export function Brand() {
  return (
    <span className={styles.brand}>
      <img src="/icon.svg" alt="" className={styles.mark} />
      Latchkey
    </span>
  )
}
