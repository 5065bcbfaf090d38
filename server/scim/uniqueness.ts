import { constraintOf, sqlState } from '../database/unavailable.ts'
import { ScimError } from './scim-error.ts'

const taken: Record<string, string> = {
  members_external_id_taken: 'Another user of the organization has this externalId.',
  members_person_id_organization_id_key: 'The organization has a user of this userName already.',
  people_email_unique: 'Someone else took this userName at this moment. Read the user, and try again.',
  groups_name_taken: 'The organization has a group of this displayName already.',
  groups_external_id_taken: 'Another group of the organization has this externalId.',
}

export const conflict = (constraint: keyof typeof taken) =>
  new ScimError(409, taken[constraint] ?? '', { scimType: 'uniqueness' })

/** Throws `ScimError` 409 for what the database refused since there may be only one of it. */
export async function namingConflicts<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const constraint = sqlState(error) === '23505' ? constraintOf(error) : null
    throw constraint !== null && Object.hasOwn(taken, constraint) ? conflict(constraint) : error
  }
}
