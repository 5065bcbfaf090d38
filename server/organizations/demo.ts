import { inArray, sql } from 'drizzle-orm'
import { appendEvents } from '../audit/record-event.ts'
import {
  accessTokens,
  integrationTokens,
  members,
  organizationDomains,
  organizations,
  people,
  tokenSecrets,
  tokenUses,
} from '../database/tables.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import { createId, type PersonId } from '../identifiers.ts'
import { labelKey, searchText } from '../tokens/token-input.ts'
import { generatePassword } from './bootstrap.ts'
import { type DemoMember, type DemoStory, domainOf, tellStory } from './demo-story.ts'
import { naming, OperatorError, slugProblem } from './operator.ts'

export interface Demo {
  slug: string
  name: string
  tokens: number
  events: number
  members: Pick<DemoMember, 'email' | 'name' | 'role'>[]
  /** The same for every member; shown once, and stored nowhere. */
  password: string
}

/** No statement takes more parameters than PostgreSQL's 65,535. */
const rowsAtOnce = 1_000

/**
 * Makes an organization with a year behind it, in one transaction. Null where there is an organization of that slug
 * already, which stays as it is. Throws `OperatorError`.
 */
export async function createDemo(
  dependencies: Dependencies,
  { slug, seed }: { slug: string; seed: number },
): Promise<Demo | null> {
  const problem = slugProblem(slug)
  if (problem) throw new OperatorError(problem)
  if (await isTaken(dependencies, slug)) return null
  const { digester, randomBytes, now, passwords } = dependencies
  const story = tellStory({
    slug,
    seed,
    now: now(),
    randomBytes,
    // The secret itself is given up at once: nothing presents it, and nobody can.
    issueSecret: () => digester.issue('integrationToken').record,
  })
  const password = generatePassword(randomBytes)
  const passwordHash = await passwords.hash(password)
  await naming(() =>
    withOrganization(dependencies.database, { organizationId: story.organization.id }, (transaction) =>
      insertStory(transaction, dependencies, story, passwordHash),
    ),
  )
  const { name } = story.organization
  return { slug, name, tokens: story.tokens.length, events: story.events.length, members: story.members, password }
}

async function isTaken({ database }: Dependencies, slug: string): Promise<boolean> {
  const { rowCount } = await database.lookup.query('select from organizations where slug = $1', [slug])
  return (rowCount ?? 0) > 0
}

async function insertStory(
  transaction: Transaction,
  dependencies: Dependencies,
  { organization, members: cast, tokens, events }: DemoStory,
  passwordHash: string,
): Promise<void> {
  const organizationId = organization.id
  await transaction.insert(organizations).values(organization)
  // So that whoever is invited at one of its addresses can be tried as well.
  await transaction
    .insert(organizationDomains)
    .values({ organizationId, domain: domainOf(organization.slug) })
    .onConflictDoNothing()
  const personIds = await insertPeople(transaction, dependencies, cast, passwordHash)
  await transaction.insert(members).values(
    cast.map(({ id, name, email, role, createdAt }) => ({
      id,
      organizationId,
      personId: personIds(email),
      displayName: name,
      role,
      createdAt,
    })),
  )
  await transaction
    .insert(accessTokens)
    .values(
      cast.flatMap(({ id: memberId, accessToken }) =>
        accessToken
          ? [{ ...accessToken, organizationId, memberId, ...dependencies.digester.issue('accessToken').record }]
          : [],
      ),
    )
  for (const some of inParts(tokens)) {
    await transaction.insert(integrationTokens).values(
      some.map(({ secrets: _secrets, ...token }) => ({
        ...token,
        organizationId,
        labelKey: labelKey(token.label),
        searchText: searchText(token.label, token.description),
      })),
    )
    await transaction
      .insert(tokenUses)
      .values(some.map(({ id: tokenId, ...use }) => ({ ...use, organizationId, tokenId })))
      .onConflictDoUpdate({
        target: [tokenUses.organizationId, tokenUses.tokenId],
        set: {
          lastUsedAt: sql`excluded.last_used_at`,
          lastUsedFrom: sql`excluded.last_used_from`,
          retiredSecretLastUsedAt: sql`excluded.retired_secret_last_used_at`,
        },
      })
  }
  const secrets = tokens.flatMap(({ id: tokenId, secrets }) =>
    secrets.map(({ record, ...secret }) => ({ ...record, ...secret, organizationId, tokenId })),
  )
  for (const some of inParts(secrets)) await transaction.insert(tokenSecrets).values(some)
  for (const some of inParts(events)) await appendEvents(transaction, dependencies, { organizationId, events: some })
}

/** Nobody of another organization is given another password. */
async function insertPeople(
  transaction: Transaction,
  dependencies: Dependencies,
  cast: readonly DemoMember[],
  passwordHash: string,
): Promise<(email: string) => PersonId> {
  const emails = cast.map(({ email }) => email)
  const [known] = await transaction.select({ email: people.email }).from(people).where(inArray(people.email, emails))
  if (known) {
    throw new OperatorError(
      `${known.email} is a person of another organization already. Choose another slug: --organization decides the addresses.`,
    )
  }
  const ids = new Map(cast.map(({ email }) => [email, createId('person', dependencies)]))
  const personIds = (email: string) => {
    const id = ids.get(email)
    if (!id) throw new Error('A member of the demo is no person of it.')
    return id
  }
  await transaction
    .insert(people)
    .values(cast.map(({ email, createdAt }) => ({ id: personIds(email), email, passwordHash, createdAt })))
  return personIds
}

function* inParts<T>(rows: readonly T[]): Generator<T[]> {
  for (let start = 0; start < rows.length; start += rowsAtOnce) yield rows.slice(start, start + rowsAtOnce)
}
