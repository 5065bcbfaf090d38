import { z } from 'zod'
import { OperatorError } from '../organizations/operator.ts'
import { parseSecret } from '../tokens/secret.ts'
import { formatInstant, onOneLine } from './output.ts'
import { readFirstLine } from './passwords.ts'
import { UsageError, type Work } from './work.ts'

/** Longer than Latchkey takes to answer, whatever it answers. */
const patienceMilliseconds = 10_000

const document = `{
  viewer {
    __typename
    ... on MemberViewer { member { displayName email role } organization { name slug } }
    ... on TokenViewer { token { label expiresAt role { label permissions } } organization { name slug } }
    ... on ServiceViewer { name permissions }
  }
}`

const organization = z.object({ name: z.string(), slug: z.string() })
const viewers = z.discriminatedUnion('__typename', [
  z.object({
    __typename: z.literal('MemberViewer'),
    member: z.object({ displayName: z.string(), email: z.string(), role: z.string() }),
    organization,
  }),
  z.object({
    __typename: z.literal('TokenViewer'),
    token: z.object({
      label: z.string(),
      expiresAt: z.string().nullable(),
      role: z.object({ label: z.string(), permissions: z.array(z.string()) }),
    }),
    organization,
  }),
  z.object({ __typename: z.literal('ServiceViewer'), name: z.string(), permissions: z.array(z.string()) }),
])
type Viewer = z.output<typeof viewers>

const answers = z.object({
  data: z.object({ viewer: viewers }).nullish(),
  errors: z.array(z.object({ message: z.string() })).optional(),
})

/**
 * Says what a credential is, for whom, and until when. It is read from LATCHKEY_TOKEN, or else from standard input, and is
 * sent to the server at LATCHKEY_URL alone. Throws `OperatorError`, in words for whoever reads a pipeline’s log, for one that
 * is mistyped or not accepted.
 */
export async function whoami(work: Work, { url, json }: { url?: string; json?: boolean }): Promise<void> {
  const secret = await readCredential(work)
  if (parseSecret(work.config.tokenPrefix, secret) === null) {
    throw new OperatorError(
      `This is no credential of Latchkey, or it was not copied whole: it does not have the form “${work.config.tokenPrefix}i_…”, or its checksum does not fit.`,
    )
  }
  const viewer = await ask(url ?? work.environment.LATCHKEY_URL ?? work.config.publicUrl.href, secret)
  if (json) return work.printJson(viewer)
  work.print(describe(viewer).join('\n'))
}

async function readCredential({ environment, input, questions }: Work): Promise<string> {
  const given = environment.LATCHKEY_TOKEN?.trim()
  if (given) return given
  const asking = questions()
  if (asking) return (await asking.askHidden('The credential (not shown)')).trim()
  const line = (await readFirstLine(input)).trim()
  if (line === '') throw new UsageError(missing)
  return line
}

const missing =
  'There is no credential: LATCHKEY_TOKEN is empty, and so is standard input. In a pipeline, take the variable from its secrets.'

async function ask(server: string, secret: string): Promise<Viewer> {
  if (!URL.canParse(server)) throw new UsageError('LATCHKEY_URL, or --url, is not the address of a Latchkey.')
  const endpoint = new URL('/graphql', server)
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query: document }),
    redirect: 'error',
    signal: AbortSignal.timeout(patienceMilliseconds),
  }).catch(() => null)
  if (!response) throw new OperatorError(`There is no Latchkey to be reached at ${endpoint.origin}.`)
  const answer = answers.safeParse(await response.json().catch(() => null))
  if (!answer.success) throw new OperatorError(`What answers at ${endpoint.origin} is no Latchkey.`)
  const { data, errors } = answer.data
  if (data) return data.viewer
  throw new OperatorError(errors?.[0]?.message ?? 'Latchkey did not say who this is.')
}

function describe(viewer: Viewer): string[] {
  switch (viewer.__typename) {
    case 'MemberViewer': {
      const { member } = viewer
      return [
        `${onOneLine(member.displayName)} (${onOneLine(member.email)}), ${member.role} of ${called(viewer.organization)}.`,
      ]
    }
    case 'TokenViewer': {
      const { label, role, expiresAt } = viewer.token
      return [
        `The integration token “${onOneLine(label)}” of ${called(viewer.organization)}.`,
        `Role      ${onOneLine(role.label)}: ${role.permissions.map(onOneLine).join(', ') || 'no permissions'}`,
        `Expires   ${expiresAt === null ? 'never' : formatInstant(new Date(expiresAt))}`,
      ]
    }
    case 'ServiceViewer':
      return [`The service “${viewer.name}”: ${viewer.permissions.join(', ')}.`]
  }
}

const called = ({ name, slug }: z.output<typeof organization>) => `${onOneLine(name)} (${slug})`
