import type { Acting, Dependencies } from '../dependencies.ts'
import { Fault } from '../fault.ts'
import type { MemberPrincipal, Origin, Principal } from '../identity/principal.ts'
import type { BegunLookup } from '../tokens/verification.ts'

/** One request: its caller, where it came from, and what its answer should do to the browser's session. */
export interface Context extends Dependencies {
  principal: Principal | null
  /** A credential came along, and was not good. */
  credentialRefused: boolean
  origin: Origin
  /** Where browsers reach the server. */
  publicUrl: URL
  /** Of what the request asks to verify. */
  begunLookup: BegunLookup | null
  session: SessionCookie
  /** Asks anew, for an answer that outlives the request: whoever it is for may be refused by now. */
  isStillAccepted(): Promise<boolean>
}

export interface SessionCookie {
  /** Whether it is what the caller is known by. */
  isCallers: boolean
  set(secret: string, expiresAt: Date): void
  clear(): void
}

/** Throws `Fault` FORBIDDEN for a service, which acts in no organization. */
export function acting(context: Context): Acting {
  const { principal } = context
  if (!principal || principal.kind === 'service') {
    throw new Fault(
      'FORBIDDEN',
      'This acts within an organization, and a service belongs to none. Use a member’s or an organization’s credential.',
    )
  }
  return { ...context, principal }
}

/** Throws `Fault` FORBIDDEN for whoever is not a member. */
export function actingMember(context: Context): Acting<MemberPrincipal> {
  const { principal } = context
  if (principal?.kind !== 'member') throw new Fault('FORBIDDEN', 'Only a member can do this.')
  return { ...context, principal }
}
