import { z } from 'zod'

/** One rule that one file of an application breaks, on however many lines. */
export const findingSchema = z.object({
  app: z.string(),
  rule: z.string(),
  file: z.string(),
  lines: z.array(z.number()),
})
export type Finding = z.infer<typeof findingSchema>

/**
 * The latest scan of each application, by the application’s name. One that is not in it was not scanned, which says nothing of
 * its findings: they are neither there nor gone.
 */
export type LatestScans = ReadonlyMap<string, { commit: string; findings: ReadonlyMap<string, Finding> }>

const scansSchema = z.array(
  z.object({
    app: z.string(),
    commit: z.string(),
    findings: z.array(z.object({ rule: z.string(), file: z.string(), line: z.number() })),
  }),
)

/** What a finding is known by, from scan to scan. Not its lines: what is written above moves those. */
export const nameOf = ({ app, rule, file }: Omit<Finding, 'lines'>) => JSON.stringify([app, rule, file])

export interface ScanServiceSettings {
  scanServiceUrl: string
  /** The value of an integration token with the role Jira. */
  latchkeyToken: string
  fetch: typeof fetch
}

/** Throws an error that says what to do, and never has the token in it. */
export async function readLatestScans(settings: ScanServiceSettings): Promise<LatestScans> {
  const { scanServiceUrl, latchkeyToken, fetch } = settings
  const headers = { authorization: `Bearer ${latchkeyToken}` }
  const response = await fetch(`${scanServiceUrl}/findings`, { headers, signal: AbortSignal.timeout(10_000) }).catch(
    // The error is left out: where the token cannot be a header, its message has the token in it.
    () => null,
  )
  if (!response?.ok) throw new Error(whatToDo(response?.status ?? null, scanServiceUrl))
  const scans = scansSchema.safeParse(await response.json().catch(() => null))
  if (!scans.success) throw new Error(`The scan service at ${scanServiceUrl} answered something other than scans.`)
  return new Map(
    scans.data.map(({ app, commit, findings }) => {
      const byName = new Map<string, Finding>()
      for (const { rule, file, line } of findings) {
        const name = nameOf({ app, rule, file })
        const lines = [...(byName.get(name)?.lines ?? []), line].sort((a, b) => a - b)
        byName.set(name, { app, rule, file, lines })
      }
      return [app, { commit, findings: byName }]
    }),
  )
}

function whatToDo(status: number | null, scanServiceUrl: string): string {
  switch (status) {
    case null:
      return `The scan service at ${scanServiceUrl} cannot be reached, or LATCHKEY_TOKEN is not the value of a token alone.`
    case 401:
      return 'The scan service does not accept the token in LATCHKEY_TOKEN. It may be mistyped, expired, disabled or deleted: “latchkey whoami” tells which, and a super admin can make another, with the role Jira.'
    case 403:
      return 'The token in LATCHKEY_TOKEN is good, but may not read findings. It takes one with the role Jira.'
    case 503:
      return 'The scan service cannot check tokens at the moment. The next synchronization asks again.'
    default:
      return `The scan service at ${scanServiceUrl} answered ${status}.`
  }
}
