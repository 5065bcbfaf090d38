import type { TokenRole } from '@latchkey/sdk'
import { TextLink } from '../interface/text-link.tsx'
import { useViewer } from '../session/session.ts'
import { describeCount, viewOfRole } from '../tokens/list-view.ts'

/** How many tokens have a role, with the way to them; undefined while that is being counted. */
export function RoleUse({ role, count }: { role: TokenRole; count: number | undefined }) {
  const { slug } = useViewer().organization
  return (
    <>
      <TextLink
        to="/organizations/$slug/integration-tokens"
        params={{ slug }}
        search={viewOfRole(role.id)}
        inherit
        c="inherit"
        underline="always"
      >
        {count === undefined ? 'Tokens' : describeCount(count)}
      </TextLink>{' '}
      {count === 1 ? 'has this role' : 'have this role'}
    </>
  )
}
