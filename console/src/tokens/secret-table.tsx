import type { IntegrationToken } from '@latchkey/sdk'
import { Instant } from '../interface/instant.tsx'
import styles from '../interface/table.module.css'

/** The values that are accepted while the token is, by their last four characters, and when each was used. */
export function SecretTable({ token: { secrets, expiresAt } }: { token: IntegrationToken }) {
  return (
    <div className={styles.frame}>
      <table className={styles.table}>
        <caption className="visually-hidden">Values</caption>
        <thead>
          <tr>
            <th scope="col">Value</th>
            <th scope="col">Made</th>
            <th scope="col">Last used</th>
            <th scope="col">Accepted until</th>
          </tr>
        </thead>
        <tbody>
          {secrets.map(({ hint, createdAt, lastUsedAt, acceptedUntil }) => (
            <tr key={`${createdAt} ${hint}`}>
              <td>
                <code>…{hint}</code>
              </td>
              <td data-name="Made">
                <Instant at={createdAt} />
              </td>
              <td data-name="Last used">{lastUsedAt ? <Instant at={lastUsedAt} /> : 'Never'}</td>
              <td data-name="Accepted until">
                {acceptedUntil ? <Instant at={acceptedUntil} /> : expiresAt ? 'The token expires' : 'No end of its own'}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
