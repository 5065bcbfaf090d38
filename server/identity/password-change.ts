import { recordAction, recordEvent } from '../audit/record-event.ts'
import { inEachOrganization, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { InvalidInput } from '../refusal.ts'
import { passwordProblem } from './passwords.ts'
import type { MemberPrincipal } from './principal.ts'
import { TooManyAttempts, WrongPassword } from './refusals.ts'
import * as repository from './repository.ts'
import { longestPresentedPassword } from './service.ts'
import { requireSession, sessionEnded } from './sessions.ts'

/**
 * Every other session of the person is refused once this has answered, and so is the secret that this one had. Whoever
 * has got hold of a session can guess at the password no oftener than by signing in. Throws `InvalidInput`,
 * `WrongPassword`, `TooManyAttempts`, and `Fault` FORBIDDEN for an access token, which would otherwise open every organization
 * of its person.
 */
export async function changePassword(
  acting: Acting<MemberPrincipal>,
  { currentPassword, newPassword }: { currentPassword: string; newPassword: string },
): Promise<{ sessionToken: string; expiresAt: Date }> {
  const { database, passwords, limits, digester, origin, principal } = acting
  const { personId, name: email } = principal
  const { session: sessionId } = await requireSession(acting, {
    field: 'changePassword',
    words: 'Only a session can change the password. Sign in, and change it there.',
  })
  const problem = passwordProblem(newPassword, email)
  if (problem) throw new InvalidInput([{ path: 'newPassword', message: problem }])

  const retryAfterSeconds = await limits.signInsByAccount.count(email)
  const oldHash = (await repository.findPerson(database, email))?.passwordHash ?? null
  const mayBeRight = retryAfterSeconds === null && currentPassword.length <= longestPresentedPassword
  const right = mayBeRight && (await passwords.verify(currentPassword, oldHash))
  if (!right || oldHash === null) {
    await withOrganization(database, principal, (transaction) =>
      recordAction(transaction, acting, 'member.password_change_failed'),
    )
    throw retryAfterSeconds === null ? new WrongPassword() : new TooManyAttempts(retryAfterSeconds)
  }
  await limits.signInsByAccount.reset(email)

  const newHash = await passwords.hash(newPassword)
  const memberships = await repository.listMemberships(database, personId)
  return withOrganization(database, principal, async (transaction) => {
    await repository.storePassword(transaction, { personId, passwordHash: newHash })
    const { secret, record } = digester.issue('session')
    const expiresAt = await repository.renewSession(transaction, { personId, sessionId }, record)
    // So it has where the password was changed or set meanwhile, and that change holds.
    if (!expiresAt) throw sessionEnded()
    await repository.removeSessions(transaction, { personId, kept: sessionId })
    await inEachOrganization(
      transaction,
      memberships.map(({ organization, memberId }) => ({ organizationId: organization.id, memberId })),
      ({ organizationId, memberId }) =>
        recordEvent(transaction, acting, {
          organizationId,
          action: 'member.password_changed',
          actor: { name: email, id: memberId },
          origin,
          target: { name: email, id: memberId },
        }),
    )
    return { sessionToken: secret, expiresAt }
  })
}
