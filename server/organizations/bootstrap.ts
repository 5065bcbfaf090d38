import type { Dependencies, RandomBytes } from '../dependencies.ts'
import { addService } from '../identity/services.ts'
import { createOrganization, hasOrganizations, OperatorError } from './operator.ts'

/** What the one who started Latchkey needs to sign in; shown once. */
export interface FirstAccess {
  email: string
  password: string
  service: { name: string; secret: string }
}

/** Fills an empty database so that someone can sign in. Null where there is an organization already. */
export async function bootstrap(
  dependencies: Dependencies,
  { organization, email, password }: { organization: string; email: string; password: string },
): Promise<FirstAccess | null> {
  if (await hasOrganizations(dependencies)) return null
  try {
    await createOrganization(dependencies, { name: organization, owner: { email, password } })
  } catch (error) {
    // Another instance that started at the same moment was quicker.
    if (error instanceof OperatorError && (await hasOrganizations(dependencies))) return null
    throw error
  }
  const name = 'first-service'
  return { email, password, service: { name, secret: await addService(dependencies, name) } }
}

/** 30 letters and digits that are hard to confuse: 148 bits. */
export function generatePassword(randomBytes: RandomBytes): string {
  const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'
  const letters: string[] = []
  while (letters.length < 30) {
    // Bytes that would favour the alphabet's first letters are left out.
    for (const byte of randomBytes(32)) {
      const letter = byte < 248 ? alphabet[byte % alphabet.length] : undefined
      if (letter && letters.length < 30) letters.push(letter)
    }
  }
  return [0, 5, 10, 15, 20, 25].map((start) => letters.slice(start, start + 5).join('')).join('-')
}
