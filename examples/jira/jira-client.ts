import { z } from 'zod'
import { type Finding, findingSchema } from './findings.ts'

/** An issue of this app’s: what it was filed for, and whether it is in a status of the category “Done”. */
export interface FiledIssue {
  id: string
  key: string
  done: boolean
  finding: Finding
}

export interface JiraSettings {
  /** Such as https://example.atlassian.net */
  jiraUrl: string
  jiraEmail: string
  jiraApiToken: string
  projectKey: string
  issueType: string
  fetch: typeof fetch
  wait: (milliseconds: number) => Promise<unknown>
}

/** What Jira refused, with its reason. */
export class JiraError extends Error {
  readonly status: number
  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

export type Jira = ReturnType<typeof createJira>

/** Every issue that the app files has this label, which JQL can search for. */
const label = 'latchkey'
/** What an issue was filed for is kept in the issue, so that the app needs no database: as an entity property, which no
 * editor shows and which comes back as it was sent, as the text that people see and edit need not. */
const property = 'latchkey-finding'
const mostReconciled = 50
const mostAttempts = 5
const longestWaitSeconds = 60

const statusSchema = z.object({ statusCategory: z.object({ key: z.string() }) })
const issueSchema = z.object({
  id: z.string(),
  key: z.string(),
  fields: z.object({ status: statusSchema }),
  properties: z.object({ [property]: findingSchema.optional().catch(undefined) }).optional(),
})
const pageSchema = z.object({ issues: z.array(issueSchema), nextPageToken: z.string().nullish() })
const transitionsSchema = z.object({ transitions: z.array(z.object({ id: z.string(), to: statusSchema })) })
const commentSchema = z.object({ author: z.object({ accountId: z.string() }).optional(), body: z.unknown() })
const createdSchema = z.object({ id: z.string(), key: z.string() })
const accountSchema = z.object({ accountId: z.string() })
const refusalSchema = z.object({
  errorMessages: z.array(z.string()).default([]),
  errors: z.record(z.string(), z.string()).default({}),
})
const nodeSchema = z.object({ text: z.string().default(''), content: z.array(z.unknown()).default([]) })

/**
 * As much of Jira Cloud’s REST API as the app needs, with the email address and the API token of an account of its own.
 *
 * @see https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/
 */
export function createJira(settings: JiraSettings) {
  const { jiraUrl, projectKey, fetch, wait } = settings
  const headers = {
    authorization: `Basic ${Buffer.from(`${settings.jiraEmail}:${settings.jiraApiToken}`).toString('base64')}`,
    'content-type': 'application/json',
    accept: 'application/json',
  }
  let ownAccountId: string | undefined
  let changed: number[] = []

  /**
   * Waits and asks again where Jira asks for that, which it does before it has done anything.
   *
   * @see https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
   */
  async function ask<Answer>(method: string, path: string, schema: z.ZodType<Answer>, body?: object): Promise<Answer> {
    const request = { method, headers, ...(body && { body: JSON.stringify(body) }) }
    for (let attempt = 1; ; attempt++) {
      const signal = AbortSignal.timeout(15_000)
      const response = await fetch(`${jiraUrl}/rest/api/3${path}`, { ...request, signal }).catch(() => null)
      if (!response) throw new JiraError(`Jira at ${jiraUrl} cannot be reached.`, 503)
      const answer: unknown = await response.json().catch(() => null)
      const seconds = Number(response.headers.get('retry-after') ?? 2 ** attempt)
      if (response.status === 429 && attempt < mostAttempts && seconds <= longestWaitSeconds) {
        await wait(seconds * 1000)
        continue
      }
      if (!response.ok) throw new JiraError(whatToDo(response.status, `${method} ${path}`, answer), response.status)
      const parsed = schema.safeParse(answer)
      if (!parsed.success) throw new JiraError(`Jira’s answer to ${method} ${path} is not as documented.`, 502)
      return parsed.data
    }
  }

  function remember(id: string): void {
    changed = [...changed.filter((other) => other !== Number(id)), Number(id)].slice(-mostReconciled)
  }

  const pathOf = (key: string) => `/issue/${encodeURIComponent(key)}`
  const contentOf = (finding: Finding) => ({
    fields: { description: documentOf(`${finding.rule} in ${finding.file} of ${finding.app}, ${linesOf(finding)}.`) },
    properties: [{ key: property, value: finding }],
  })

  return {
    /**
     * All of the app’s issues in the project, those as they are now of which the app knows that they have just changed: what
     * Jira’s search alone says may be minutes old.
     *
     * @see https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile/
     */
    async filedIssues(): Promise<FiledIssue[]> {
      const found: FiledIssue[] = []
      const search = {
        jql: `project = ${JSON.stringify(projectKey)} AND labels = ${label} ORDER BY created ASC`,
        fields: ['status'],
        properties: [property],
        maxResults: 100,
        reconcileIssues: changed,
      }
      let nextPageToken: string | null | undefined
      do {
        const page = await ask('POST', '/search/jql', pageSchema, nextPageToken ? { ...search, nextPageToken } : search)
        found.push(...page.issues.flatMap(filedIssueOf))
        nextPageToken = page.nextPageToken
      } while (nextPageToken)
      return found
    },

    /** An issue that has changed. Null for one that is not the app’s, or is gone. */
    async findIssue(key: string): Promise<FiledIssue | null> {
      const path = `${pathOf(key)}?fields=status&properties=${property}`
      const issue = await ask('GET', path, issueSchema).catch(nullWhereGone)
      if (issue) remember(issue.id)
      return (issue && filedIssueOf(issue)[0]) ?? null
    },

    async file(finding: Finding): Promise<string> {
      const { fields, properties } = contentOf(finding)
      const summary = `${finding.rule} in ${finding.file} of ${finding.app}`.replace(/\s+/g, ' ').slice(0, 255)
      const issuetype = { name: settings.issueType }
      const { id, key } = await ask('POST', '/issue', createdSchema, {
        fields: { ...fields, project: { key: projectKey }, issuetype, summary, labels: [label] },
        properties,
      })
      remember(id)
      return key
    },

    /** Leaves the summary as it is, which people may have put in better words. */
    async rewrite({ id, key }: FiledIssue, finding: Finding): Promise<void> {
      await ask('PUT', pathOf(key), z.null(), contentOf(finding))
      remember(id)
    },

    /** By whichever transition leads there: workflows differ. False where none does from where the issue is. */
    async move({ id, key }: FiledIssue, where: 'open' | 'done'): Promise<boolean> {
      const { transitions } = await ask('GET', `${pathOf(key)}/transitions`, transitionsSchema)
      const leading = transitions.find(({ to }) => (to.statusCategory.key === 'done') === (where === 'done'))
      if (!leading) return false
      await ask('POST', `${pathOf(key)}/transitions`, z.null(), { transition: { id: leading.id } })
      remember(id)
      return true
    },

    async comment(key: string, text: string): Promise<void> {
      await ask('POST', `${pathOf(key)}/comment`, z.unknown(), { body: documentOf(text) })
    },

    /** What somebody else wrote, as bare text. Null for the app’s own comment, so that it never answers itself. */
    async findCommentOfOthers(key: string, commentId: string): Promise<string | null> {
      const path = `${pathOf(key)}/comment/${encodeURIComponent(commentId)}`
      const comment = await ask('GET', path, commentSchema).catch(nullWhereGone)
      ownAccountId ??= (await ask('GET', '/myself', accountSchema)).accountId
      return comment && comment.author?.accountId !== ownAccountId ? textOf(comment.body) : null
    },
  }
}

export const linesOf = ({ lines }: Finding) => `line${lines.length === 1 ? '' : 's'} ${lines.join(', ')}`

function filedIssueOf({ id, key, fields, properties }: z.infer<typeof issueSchema>): FiledIssue[] {
  const finding = properties?.[property]
  return finding ? [{ id, key, done: fields.status.statusCategory.key === 'done', finding }] : []
}

/**
 * In the Atlassian Document Format, which the REST API’s third version takes for text. What a scan says is bare text in it, and
 * is never read as markup.
 *
 * @see https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
 */
function documentOf(text: string) {
  return { type: 'doc', version: 1, content: [{ type: 'paragraph', content: [{ type: 'text', text }] }] }
}

function textOf(node: unknown): string {
  const { success, data } = nodeSchema.safeParse(node)
  return success ? data.text + data.content.map(textOf).join('') : ''
}

function nullWhereGone(error: unknown): null {
  if (error instanceof JiraError && error.status === 404) return null
  throw error
}

function whatToDo(status: number, request: string, answer: unknown): string {
  if (status === 401) {
    return 'Jira does not accept JIRA_EMAIL with JIRA_API_TOKEN. The token may be mistyped, revoked or expired: make another at https://id.atlassian.com/manage-profile/security/api-tokens.'
  }
  const { data } = refusalSchema.safeParse(answer)
  const reasons = [...(data?.errorMessages ?? []), ...Object.values(data?.errors ?? {})].join(' ')
  const hint = status === 403 ? ' The app’s account lacks a permission in the project.' : ''
  return `Jira answered ${status} to ${request}.${hint}${reasons && ` It says: ${reasons}`}`
}
