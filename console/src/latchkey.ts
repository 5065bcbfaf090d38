import { createClient, LatchkeyError, RefusalError, RequestError } from '@latchkey/sdk'
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'

/** Acts with the session's cookie, which the page itself cannot read. */
export const latchkey = createClient({ url: globalThis.location.origin })

export function isUnauthenticated(error: unknown): boolean {
  return error instanceof RequestError && error.code === 'UNAUTHENTICATED'
}

/** Nobody can know whether what was asked has happened. */
export function isAnswerLost(error: unknown): boolean {
  return error instanceof RequestError && error.code === 'UNAVAILABLE'
}

const failuresBeforeSaying = 2

/** What was read, and who has to be told when the session turns out to have ended. Answers to changes are not kept. */
export function createQueryClient(onSessionEnded: () => void): QueryClient {
  const onError = (error: unknown) => {
    if (isUnauthenticated(error)) onSessionEnded()
  }
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        // Without a connection a request fails, and says so: it does not wait to be sent when nobody wants it any more.
        networkMode: 'always',
        retry: (failures, error) => isAnswerLost(error) && failures < failuresBeforeSaying,
        throwOnError: false,
      },
      // An answer may hold a secret: it lives as long as what shows it.
      mutations: { gcTime: 0, networkMode: 'always' },
    },
  })
}

/** Whether the answer was that it is to be asked for once more, with `force`. */
export function needsConfirmation(error: unknown): boolean {
  return error instanceof RefusalError && error.code === 'ConfirmationNeeded'
}

/** What to tell a person about a request that got no result. */
export function explainFailure(error: unknown): string {
  if (isAnswerLost(error)) return 'Latchkey cannot be reached at the moment. Check your connection, and try again.'
  // The API’s own words are for programs: they name the argument.
  if (needsConfirmation(error)) return 'This is the last SCIM token in use. Provisioning stops with it.'
  if (error instanceof LatchkeyError) return error.message
  return 'Something went wrong in this page. Reload it, and try again.'
}

/** What is wrong with an input: by the names of its fields, and what belongs to none of them. */
export interface Mistakes {
  fields: Record<string, string>
  message: string | null
}

export function readMistakes(error: unknown): Mistakes {
  const refusal = error instanceof RefusalError ? error.refusal : null
  if (refusal?.__typename === 'LabelTaken') return { fields: { label: refusal.message }, message: null }
  if (refusal?.__typename === 'AlreadyMember') return { fields: { email: refusal.message }, message: null }
  if (refusal?.__typename === 'WrongPassword') return { fields: { currentPassword: refusal.message }, message: null }
  if (refusal?.__typename === 'InvalidInput' && refusal.issues.length > 0) {
    return { fields: Object.fromEntries(refusal.issues.map(({ path, message }) => [path, message])), message: null }
  }
  return { fields: {}, message: error ? explainFailure(error) : null }
}
