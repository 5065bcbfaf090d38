import { Skeleton, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Failure } from '../interface/failure.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import tools from '../interface/tools.module.css'
import { useViewer } from '../session/session.ts'
import { policyQuery } from '../tokens/queries.ts'
import { PolicyForm } from './policy-form.tsx'

/** What the organization asks of its tokens' expiry. */
export function PolicyPage() {
  const { organization } = useViewer()
  usePageTitle('Token Policy', organization.name)
  const policy = useQuery(policyQuery(organization.id))
  if (policy.error && !policy.data) {
    return <Failure title="The token policy cannot be shown" error={policy.error} retry={() => void policy.refetch()} />
  }
  return (
    <>
      <div className={tools.tools}>
        <Text size="sm" className={tools.about}>
          What the organization asks of when its tokens expire. It holds for every token that is created, by a person or
          by a program, and for each expiry that is changed.
        </Text>
      </div>
      {policy.data ? <PolicyForm policy={policy.data} /> : <Skeleton height={380} maw="45rem" aria-busy />}
    </>
  )
}
