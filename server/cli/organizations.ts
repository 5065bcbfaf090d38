import {
  addDomain as addOrganizationDomain,
  createOrganization,
  domainProblem,
  emailProblem,
  listOrganizations,
  memberNameProblem,
  nameOf,
  organizationNameProblem,
  removeDomain as removeOrganizationDomain,
  slugOf,
  slugProblem,
} from '../organizations/operator.ts'
import { formatInstant, formatTable } from './output.ts'
import { type PasswordOptions, readMemberPassword } from './passwords.ts'
import { requireValue, type Work } from './work.ts'

export interface CreateOptions extends PasswordOptions {
  name?: string
  slug?: string
  ownerEmail?: string
  ownerName?: string
  json?: boolean
}

export async function create(work: Work, options: CreateOptions): Promise<void> {
  const name = await requireValue(work, options.name, {
    option: '--name',
    question: 'Name of the organization',
    problem: organizationNameProblem,
  })
  const slug = await requireValue(work, options.slug, {
    option: '--slug',
    question: 'Slug, its name in addresses',
    fallback: slugOf(name) || undefined,
    problem: slugProblem,
  })
  const email = await requireValue(work, options.ownerEmail, {
    option: '--owner-email',
    question: 'Email address of its owner',
    problem: emailProblem,
  })
  const displayName = await requireValue(work, options.ownerName, {
    option: '--owner-name',
    question: 'Name of the owner',
    fallback: nameOf(email),
    problem: memberNameProblem,
  })
  const dependencies = await work.open()
  const given = await readMemberPassword(work, dependencies, { ...options, email })
  const { id, owner } = await createOrganization(dependencies, {
    name,
    slug,
    owner: { email, displayName, password: given?.password ?? null },
  })
  const shown = given?.generated ? { password: given.password } : {}
  if (options.json) {
    work.printJson({ id, name: name.trim(), slug, owner: { email: owner.email, name: owner.name }, ...shown })
    return
  }
  work.print(`The organization ${name.trim()} (${slug}) is there. Its owner is ${owner.email}.`)
  work.print(howToSignIn(owner.email, given))
}

export async function list(work: Work, options: { json?: boolean }): Promise<void> {
  const organizations = await listOrganizations(await work.open())
  if (options.json) return work.printJson(organizations)
  if (organizations.length === 0) {
    work.print('There is no organization yet. “latchkey organization create” makes the first one.')
    return
  }
  work.print(
    formatTable(
      ['NAME', 'SLUG', 'OWNER', 'MEMBERS', 'DOMAINS', 'CREATED'],
      organizations.map(({ name, slug, owner, members, domains, createdAt }) => [
        name,
        slug,
        owner ?? '',
        String(members),
        domains.join(' '),
        formatInstant(createdAt),
      ]),
    ),
  )
}

export interface DomainOptions {
  organization?: string
  domain?: string
}

export async function addDomain(work: Work, options: DomainOptions): Promise<void> {
  const given = await requireDomain(work, options)
  const domain = await addOrganizationDomain(await work.open(), given)
  work.print(
    `${domain} is a domain of ${given.organization}. Whoever it invites at such an address chooses their first password by the invitation.`,
  )
}

export async function removeDomain(work: Work, options: DomainOptions): Promise<void> {
  const given = await requireDomain(work, options)
  const domain = await removeOrganizationDomain(await work.open(), given)
  work.print(`${domain} is no domain of ${given.organization} any more. Passwords that were chosen stay.`)
}

async function requireDomain(work: Work, { organization, domain }: DomainOptions) {
  return {
    organization: await requireValue(work, organization, {
      option: '--organization',
      question: 'Slug of the organization',
    }),
    domain: await requireValue(work, domain, {
      option: '--domain',
      question: 'Domain of its email addresses',
      problem: domainProblem,
    }),
  }
}

/** What the person needs to be told, with the one showing of a password that was made here. */
export function howToSignIn(email: string, given: { password: string; generated: boolean } | null): string {
  if (!given) return `${email} is known already, from another organization, and signs in as there.`
  if (!given.generated) return `${email} signs in with the password that you have set.`
  return `
  Email      ${email}
  Password   ${given.password}

The password is shown this once.`
}
