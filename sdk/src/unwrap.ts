import { RefusalError } from './errors.ts'
import type { Refusal } from './types.ts'

/** What a mutation answers when it did what was asked. In the contract, these types and no others end in `Payload`. */
export interface Payload {
  readonly __typename: `${string}Payload`
}

/** The member of a result union that is no refusal. */
export type PayloadOf<Result> = Extract<Result, Payload>

/**
 * Turns a refusal into a thrown error, for scripts and for code that has nothing better to do about one.
 * A refusal that this version does not know is thrown as well.
 *
 * @example const { token, secret } = unwrap((await latchkey.createToken({ input })).createToken)
 * @throws {RefusalError} for whatever is not a payload
 */
export function unwrap<Result extends Payload | Refusal>(result: Result): PayloadOf<Result>
export function unwrap(result: Payload | Refusal): Payload {
  if (isRefusal(result)) throw new RefusalError(result)
  return result
}

function isRefusal(result: Payload | Refusal): result is Refusal {
  return !result.__typename.endsWith('Payload')
}
