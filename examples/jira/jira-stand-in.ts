import { createHmac, randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import express, { type Express, type Response } from 'express'
import { z } from 'zod'

interface Account {
  accountId: string
  displayName: string
}
interface Issue {
  id: string
  key: string
  fields: { summary: string; description: unknown; labels: string[]; status: (typeof statuses)[number] }
  properties: Record<string, unknown>
  comments: { id: string; author: Account; body: unknown }[]
}
/** One webhook, with the status that each try to deliver it was answered with; null for one that was not answered. */
export interface Delivery {
  headers: Record<string, string>
  body: string
  answers: (number | null)[]
}

const appAccount: Account = { accountId: '712020:latchkey-app', displayName: 'Latchkey' }
const personAccount: Account = { accountId: '712020:some-person', displayName: 'Some Person' }
const statuses = [
  { id: '10000', name: 'To Do', statusCategory: { id: 2, key: 'new', name: 'To Do' } },
  { id: '10001', name: 'In Progress', statusCategory: { id: 4, key: 'indeterminate', name: 'In Progress' } },
  { id: '10002', name: 'Done', statusCategory: { id: 3, key: 'done', name: 'Done' } },
] as const
const [toDo, , done] = statuses

const documentSchema = z.strictObject({
  type: z.literal('doc'),
  version: z.literal(1),
  content: z.array(
    z.strictObject({
      type: z.literal('paragraph'),
      content: z.array(z.strictObject({ type: z.literal('text'), text: z.string().min(1) })),
    }),
  ),
})
const propertiesSchema = z.array(z.strictObject({ key: z.string(), value: z.unknown() }))
const creationSchema = z.strictObject({
  fields: z.strictObject({
    project: z.strictObject({ key: z.string() }),
    issuetype: z.strictObject({ name: z.string() }),
    summary: z.string().min(1).max(255).regex(/^.*$/),
    description: documentSchema,
    labels: z.array(z.string().regex(/^\S+$/)),
  }),
  properties: propertiesSchema,
})
const editSchema = z.strictObject({
  fields: z.strictObject({ description: documentSchema }),
  properties: propertiesSchema,
})
const searchSchema = z.strictObject({
  jql: z.string(),
  fields: z.array(z.string()),
  properties: z.array(z.string()).max(5),
  maxResults: z.number(),
  nextPageToken: z.string().optional(),
  reconcileIssues: z.array(z.number()).max(50),
})
const transitionSchema = z.strictObject({ transition: z.strictObject({ id: z.string() }) })
const commentSchema = z.strictObject({ body: documentSchema })

export type JiraStandIn = ReturnType<typeof createJiraStandIn>

/**
 * This is not Jira: it stands in for one, so that the example and its tests need no account at Atlassian. It takes and gives
 * the shapes that Atlassian documents, as far as the app uses them, refuses any other, and sends signed webhooks, which it
 * repeats as documented. Whatever Jira does besides, it does not show.
 *
 * @see https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/
 * @see https://developer.atlassian.com/cloud/jira/platform/webhooks/
 */
export function createJiraStandIn(settings: {
  email: string
  apiToken: string
  projectKey: string
  pageSize?: number
}) {
  const { email, apiToken, projectKey, pageSize = 100 } = settings
  const issues = new Map<string, Issue>()
  const deliveries: Delivery[] = []
  const underWay = new Set<Promise<void>>()
  const requests: string[] = []
  let webhook: { url: string; secret: string } | undefined
  let limited = { times: 0, seconds: 0 }
  let searchIndex: Map<string, Issue> | undefined
  let reopens = true
  let lastId = 10_000

  async function deliver(delivery: Delivery, { url }: { url: string }): Promise<void> {
    const { headers, body } = delivery
    for (let retry = 0; retry <= 5; retry++) {
      const sent = { ...headers, ...(retry && { 'x-atlassian-webhook-retry': String(retry) }) }
      const response = await fetch(url, { method: 'POST', headers: sent, body }).catch(() => null)
      delivery.answers.push(response?.status ?? null)
      if (response && response.status < 500 && ![408, 409, 425, 429].includes(response.status)) return
      // Jira takes from five to fifteen minutes.
      await wait(20)
    }
  }

  function tell(webhookEvent: string, issue: Issue, user: Account, more: object): void {
    if (!webhook) return
    const { id, key, fields } = issue
    const described = {
      id,
      key,
      self: `https://jira.example.com/rest/api/2/issue/${id}`,
      fields: { ...fields, description: '' },
    }
    const body = JSON.stringify({ timestamp: Date.now(), webhookEvent, issue: described, user, ...more })
    const headers = {
      'content-type': 'application/json',
      'x-atlassian-webhook-identifier': randomUUID(),
      'x-atlassian-webhook-flow': 'Primary',
      'x-hub-signature': `sha256=${createHmac('sha256', webhook.secret).update(body).digest('hex')}`,
    }
    const delivery: Delivery = { headers, body, answers: [] }
    deliveries.push(delivery)
    const delivering = deliver(delivery, webhook).finally(() => underWay.delete(delivering))
    underWay.add(delivering)
  }

  function changeStatus(issue: Issue, status: Issue['fields']['status'], by: Account): void {
    const { status: before } = issue.fields
    issue.fields.status = status
    const item = { field: 'status', fieldtype: 'jira', fromString: before.name, toString: status.name }
    tell('jira:issue_updated', issue, by, {
      issue_event_type_name: 'issue_generic',
      changelog: { id: String(++lastId), items: [{ ...item, from: before.id, to: status.id }] },
    })
  }

  function addComment(issue: Issue, body: z.infer<typeof documentSchema>, author: Account) {
    const comment = { id: String(++lastId), author, body }
    issue.comments.push(comment)
    tell('comment_created', issue, author, { comment: { ...comment, body: plain(body) } })
    return comment
  }

  const app = express().disable('x-powered-by')
  app.use('/rest/api/3', express.json(), (request, response, next) => {
    requests.push(`${request.method} ${request.path}`)
    if (limited.times > 0) {
      limited.times--
      response
        .set('retry-after', String(limited.seconds))
        .status(429)
        .json({ errorMessages: ['Rate limit exceeded.'] })
    } else if (request.get('authorization') !== `Basic ${btoa(`${email}:${apiToken}`)}`) {
      response.status(401).json({ errorMessages: ['You are not authenticated.'], errors: {} })
    } else next()
  })
  app.get('/rest/api/3/myself', (_request, response) => {
    response.json({ ...appAccount, accountType: 'atlassian', active: true })
  })
  app.post('/rest/api/3/issue', ({ body }, response) => {
    const asked = read(creationSchema, body, response)
    if (!asked) return
    if (asked.fields.project.key !== projectKey) {
      response.status(400).json({ errorMessages: [], errors: { project: 'valid project is required' } })
      return
    }
    const { project: _project, issuetype: _issuetype, ...fields } = asked.fields
    const key = `${projectKey}-${issues.size + 1}`
    const id = String(++lastId)
    const properties = Object.fromEntries(asked.properties.map((entry) => [entry.key, entry.value]))
    const issue: Issue = { id, key, fields: { ...fields, status: toDo }, properties, comments: [] }
    issues.set(key, issue)
    tell('jira:issue_created', issue, appAccount, { issue_event_type_name: 'issue_created' })
    response.status(201).json({ id, key, self: `https://jira.example.com/rest/api/3/issue/${id}` })
  })
  app.post('/rest/api/3/search/jql', ({ body }, response) => {
    const asked = read(searchSchema, body, response)
    if (!asked) return
    const [, project, label] = /^project = "(\w+)" AND labels = (\S+) ORDER BY created ASC$/.exec(asked.jql) ?? []
    if (!project || !label) {
      response.status(400).json({ errorMessages: [`Error in the JQL Query: ${asked.jql}`], warningMessages: [] })
      return
    }
    const known = [...issues.values()].flatMap(
      (issue) =>
        (asked.reconcileIssues.includes(Number(issue.id)) ? issue : (searchIndex ?? issues).get(issue.key)) ?? [],
    )
    const found = known.filter(({ key, fields }) => key.startsWith(`${project}-`) && fields.labels.includes(label))
    const from = Number(asked.nextPageToken ? atob(asked.nextPageToken) : 0)
    const to = from + Math.min(asked.maxResults, pageSize)
    const isLast = to >= found.length
    const shown = found.slice(from, to).map((issue) => show(issue, asked.fields, asked.properties))
    response.json({ issues: shown, isLast, ...(!isLast && { nextPageToken: btoa(String(to)) }) })
  })
  app.use('/rest/api/3/issue/:key', ({ params }, response, next) => {
    if (issues.has(params.key)) next()
    else response.status(404).json({ errorMessages: ['Issue does not exist or you do not have permission to see it.'] })
  })
  app.get('/rest/api/3/issue/:key', ({ params, query }, response) => {
    response.json(show(readIssue(params.key), String(query.fields).split(','), String(query.properties).split(',')))
  })
  app.put('/rest/api/3/issue/:key', ({ params, body }, response) => {
    const asked = read(editSchema, body, response)
    if (!asked) return
    const issue = readIssue(params.key)
    Object.assign(issue.fields, asked.fields)
    for (const { key, value } of asked.properties) issue.properties[key] = value
    tell('jira:issue_updated', issue, appAccount, { issue_event_type_name: 'issue_updated' })
    response.status(204).end()
  })
  app.get('/rest/api/3/issue/:key/transitions', ({ params }, response) => {
    response.json({ expand: 'transitions', transitions: transitionsOf(readIssue(params.key)) })
  })
  app.post('/rest/api/3/issue/:key/transitions', ({ params, body }, response) => {
    const asked = read(transitionSchema, body, response)
    if (!asked) return
    const issue = readIssue(params.key)
    const chosen = transitionsOf(issue).find(({ id }) => id === asked.transition.id)
    if (!chosen) {
      response.status(400).json({ errorMessages: ['It is not on the workflow’s path from here.'], errors: {} })
      return
    }
    changeStatus(issue, chosen.to, appAccount)
    response.status(204).end()
  })
  app.post('/rest/api/3/issue/:key/comment', ({ params, body }, response) => {
    const asked = read(commentSchema, body, response)
    if (asked) response.status(201).json(addComment(readIssue(params.key), asked.body, appAccount))
  })
  app.get('/rest/api/3/issue/:key/comment/:id', ({ params }, response) => {
    const comment = readIssue(params.key).comments.find(({ id }) => id === params.id)
    if (comment) response.json(comment)
    else response.status(404).json({ errorMessages: ['Can not find a comment for the id.'], errors: {} })
  })

  function readIssue(key: string): Issue {
    const issue = issues.get(key)
    if (!issue) throw new Error(`There is no issue ${key}.`)
    return issue
  }

  function transitionsOf({ fields }: Issue) {
    return statuses
      .filter((to) => to !== fields.status && (reopens || to === done))
      .map((to, index) => ({ id: `${index + 1}1`, name: to.name, to, isAvailable: true }))
  }

  return {
    app: app satisfies Express,
    /** What was asked, in order. */
    requests,
    deliveries,
    /** As an administrator registers it. */
    registerWebhook(url: string, secret: string) {
      webhook = { url, secret }
    },
    removeWebhook() {
      webhook = undefined
    },
    /** Until no webhook is under way any more. */
    async delivered(): Promise<void> {
      while (underWay.size > 0) await Promise.all(underWay)
    },
    /** Delivers once more what was delivered already, as Jira does where the answer was lost. */
    async deliverAgain(delivery: Delivery): Promise<void> {
      if (webhook) await deliver(delivery, webhook)
    },
    /** A person in front of Jira drags the issue to Done, or to To Do. */
    moveByHand(key: string, where: 'open' | 'done') {
      changeStatus(readIssue(key), where === 'done' ? done : toDo, personAccount)
    },
    /** A person comments. */
    write(key: string, text: string) {
      addComment(readIssue(key), documentOf(text), personAccount)
    },
    /** What a person sees who opens it. */
    look(key: string) {
      const { fields, comments } = readIssue(key)
      return {
        summary: fields.summary,
        description: plain(fields.description),
        status: fields.status.name,
        comments: comments.map(({ author, body }) => `${author.displayName}: ${plain(body)}`),
      }
    },
    keys: () => [...issues.keys()],
    /** The next requests are too many. */
    limit(times: number, seconds: number) {
      limited = { times, seconds }
    },
    /** Its search hears of no change any more, but for what it is asked to reconcile. */
    letSearchLag() {
      searchIndex = structuredClone(issues)
    },
    /** Its workflow lets nothing out of Done. */
    forbidReopening() {
      reopens = false
    },
  }
}

function show({ id, key, fields, properties }: Issue, wanted: string[], wantedProperties: string[]) {
  const pick = (from: object, names: string[]) =>
    Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)))
  const self = `https://jira.example.com/rest/api/3/issue/${id}`
  return { id, key, self, fields: pick(fields, wanted), properties: pick(properties, wantedProperties) }
}

function read<Asked>(schema: z.ZodType<Asked>, body: unknown, response: Response): Asked | null {
  const { success, data, error } = schema.safeParse(body)
  if (success) return data
  const errors = Object.fromEntries(error.issues.map(({ path, message }) => [path.join('.'), message]))
  response.status(400).json({ errorMessages: ['Invalid request payload.'], errors })
  return null
}

function documentOf(text: string) {
  return documentSchema.parse({
    type: 'doc',
    version: 1,
    content: [{ type: 'paragraph', content: [{ type: 'text', text }] }],
  })
}

function plain(body: unknown): string {
  return documentSchema
    .parse(body)
    .content.flatMap(({ content }) => content.map(({ text }) => text))
    .join('\n')
}
