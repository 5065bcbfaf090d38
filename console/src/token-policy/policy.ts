import type { TokenPolicy, UpdateTokenPolicyInput } from '@latchkey/sdk'

/** What an organization can ask of its tokens' expiry. */
export type Policy = Pick<TokenPolicy, 'longestLifetimeDays' | 'expiryRequired' | 'defaultLifetimeDays'>

/** As it is typed. */
export interface Draft {
  longestLifetimeDays: string
  expiryRequired: boolean
  defaultLifetimeDays: string
}

const mostDays = 3_650

export function draftOf({ longestLifetimeDays, expiryRequired, defaultLifetimeDays }: Policy): Draft {
  return {
    longestLifetimeDays: longestLifetimeDays?.toString() ?? '',
    expiryRequired,
    defaultLifetimeDays: defaultLifetimeDays?.toString() ?? '',
  }
}

/** Null for none; undefined where it is no number of days that a lifetime can have. */
function readDays(text: string): number | null | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return null
  if (!/^\d{1,4}$/.test(trimmed)) return undefined
  const days = Number(trimmed)
  return days >= 1 && days <= mostDays ? days : undefined
}

/** The policy that was typed, or what is wrong with it, by the fields’ names. */
export function readDraft(
  draft: Draft,
): { policy: Policy; mistakes?: never } | { policy?: never; mistakes: Record<string, string> } {
  const longestLifetimeDays = readDays(draft.longestLifetimeDays)
  const defaultLifetimeDays = readDays(draft.defaultLifetimeDays)
  if (longestLifetimeDays !== undefined && defaultLifetimeDays !== undefined) {
    return { policy: { longestLifetimeDays, expiryRequired: draft.expiryRequired, defaultLifetimeDays } }
  }
  const mistake = `Give a whole number of days from 1 to ${mostDays.toLocaleString()}, or leave it empty.`
  return {
    mistakes: {
      ...(longestLifetimeDays === undefined && { longestLifetimeDays: mistake }),
      ...(defaultLifetimeDays === undefined && { defaultLifetimeDays: mistake }),
    },
  }
}

/** Only what differs, so that what somebody else changed meanwhile is left as it is. */
export function changesOf(before: Policy, after: Policy): UpdateTokenPolicyInput {
  return {
    ...(after.longestLifetimeDays !== before.longestLifetimeDays && { longestLifetimeDays: after.longestLifetimeDays }),
    ...(after.expiryRequired !== before.expiryRequired && { expiryRequired: after.expiryRequired }),
    ...(after.defaultLifetimeDays !== before.defaultLifetimeDays && { defaultLifetimeDays: after.defaultLifetimeDays }),
  }
}

/** Where there is a longest lifetime, no token is without an expiry either. */
export const needsExpiry = ({ longestLifetimeDays, expiryRequired }: Policy): boolean =>
  expiryRequired || longestLifetimeDays !== null

/** Whether a program that creates a token without a word about its expiry is refused. */
const refusesSilence = (policy: Policy): boolean => needsExpiry(policy) && policy.defaultLifetimeDays === null

/** What is asked for that was not before, in words. Nothing where the policy is no stricter. */
export function describeStricter(before: Policy, after: Policy): string[] {
  const { longestLifetimeDays: longest } = after
  const words: string[] = []
  if (longest !== null && longest < (before.longestLifetimeDays ?? Number.POSITIVE_INFINITY)) {
    words.push(
      `A value is accepted for at most ${inDays(longest)} after it was made. A token that is needed for longer has to be regenerated within that time.`,
    )
  }
  if (needsExpiry(after) && !needsExpiry(before)) words.push('No token is created without an expiry any more.')
  if (refusesSilence(after) && !refusesSilence(before)) {
    words.push(
      'A program that creates tokens and names no expiry is refused. Set a default lifetime, and its tokens have that.',
    )
  }
  return words
}

export const inDays = (days: number): string => (days === 1 ? '1 day' : `${days.toLocaleString()} days`)
