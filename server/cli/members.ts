import { emailKey } from '../identity/service.ts'
import {
  addMember,
  emailProblem,
  listMembers,
  memberNameProblem,
  nameOf,
  requirePerson,
  setMemberActive,
  setPassword as setPersonPassword,
} from '../organizations/operator.ts'
import { type OrganizationRole, organizationRoles } from '../organizations/roles.ts'
import { howToSignIn } from './organizations.ts'
import { formatInstant, formatTable } from './output.ts'
import { type PasswordOptions, readMemberPassword, readNewPassword } from './passwords.ts'
import { requireValue, UsageError, type Work } from './work.ts'

export interface AddOptions extends PasswordOptions {
  organization?: string
  email?: string
  name?: string
  role?: string
  json?: boolean
}

/** Those that a member can be given: the owner comes with the organization. */
export const givenRoles = organizationRoles.filter((role) => role !== 'OWNER')

export async function add(work: Work, options: AddOptions): Promise<void> {
  const organization = await requireOrganization(work, options.organization)
  const email = await requireEmail(work, options.email)
  const displayName = await requireValue(work, options.name, {
    option: '--name',
    question: 'Name',
    fallback: nameOf(email),
    problem: memberNameProblem,
  })
  const role = readRole(
    await requireValue(work, options.role, {
      option: '--role',
      question: `Role (${givenRoles.join(', ')})`,
      problem: roleProblem,
    }),
  )
  const dependencies = await work.open()
  const given = await readMemberPassword(work, dependencies, { ...options, email })
  const password = given?.password ?? null
  const member = await addMember(dependencies, { organization, email, displayName, role, password })
  if (options.json) {
    const { createdAt: _, ...added } = member
    const shown = given?.generated ? { password: given.password } : {}
    work.printJson({ organization, ...added, ...shown })
    return
  }
  work.print(`${member.name} is a member of ${organization}, as ${role}.`)
  work.print(howToSignIn(member.email, given))
}

export async function list(work: Work, options: { organization?: string; json?: boolean }): Promise<void> {
  const organization = await requireOrganization(work, options.organization)
  const members = await listMembers(await work.open(), organization)
  if (options.json) return work.printJson(members)
  work.print(
    formatTable(
      ['EMAIL', 'NAME', 'ROLE', 'STATUS', 'ADDED'],
      members.map(({ email, name, role, active, createdAt }) => [
        email,
        name,
        role,
        active ? 'active' : 'deactivated',
        formatInstant(createdAt),
      ]),
    ),
  )
}

export async function setPassword(work: Work, options: PasswordOptions & { email?: string }): Promise<void> {
  const email = await requireEmail(work, options.email)
  const dependencies = await work.open()
  // Nobody chooses a password, twice, to be told then that there is no such person.
  const person = await requirePerson(dependencies, email)
  const given = await readNewPassword(work, dependencies, { ...options, email: person.email })
  await setPersonPassword(dependencies, { email: person.email, password: given.password })
  work.print(`${person.email} has a new password, and every session of theirs has ended.`)
  if (given.generated) work.print(howToSignIn(person.email, given))
}

export async function deactivate(work: Work, options: MemberOptions): Promise<void> {
  const { organization, email } = await setActive(work, options, false)
  work.print(
    `${email} is deactivated in ${organization}: their sessions have ended, and their access token is refused. What tokens they made stay.`,
  )
}

export async function activate(work: Work, options: MemberOptions): Promise<void> {
  const { organization, email } = await setActive(work, options, true)
  work.print(`${email} is active in ${organization} again, and signs in as before.`)
}

export interface MemberOptions {
  organization?: string
  email?: string
}

async function setActive(work: Work, options: MemberOptions, active: boolean) {
  const organization = await requireOrganization(work, options.organization)
  const email = emailKey(await requireEmail(work, options.email))
  await setMemberActive(await work.open(), { organization, email, active })
  return { organization, email }
}

function requireOrganization(work: Work, given: string | undefined): Promise<string> {
  return requireValue(work, given, { option: '--organization', question: 'Slug of the organization' })
}

function requireEmail(work: Work, given: string | undefined): Promise<string> {
  return requireValue(work, given, { option: '--email', question: 'Email address', problem: emailProblem })
}

/** In any case, and with hyphens for underscores, as people write it. */
function findRole(text: string): OrganizationRole | null {
  const written = text.trim().toUpperCase().replaceAll('-', '_')
  return organizationRoles.find((role) => role === written) ?? null
}

function roleProblem(text: string): string | null {
  const role = findRole(text)
  if (role === 'OWNER') return `Every organization has its one owner already. Choose one of ${givenRoles.join(', ')}.`
  return role ? null : `There is no role “${text}”. Choose one of ${givenRoles.join(', ')}.`
}

function readRole(text: string): OrganizationRole {
  const role = findRole(text)
  if (!role) throw new UsageError(`--role cannot be used. ${roleProblem(text)}`)
  return role
}
