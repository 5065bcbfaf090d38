import type { IntegrationToken } from '@latchkey/sdk'
import { Instant } from '../interface/instant.tsx'
import { Table } from '../interface/table.tsx'

/** The values that are accepted while the token is, by their last four characters, and when each was used. */
export function SecretTable({ token: { secrets, expiresAt } }: { token: IntegrationToken }) {
  return (
    <Table
      caption="Values"
      columns={['Value', 'Made', 'Last used', 'Accepted until']}
      rows={secrets}
      row={({ hint, createdAt, lastUsedAt, acceptedUntil }) => (
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
      )}
    />
  )
}
