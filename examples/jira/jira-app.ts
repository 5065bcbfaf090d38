import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import { z } from 'zod'
import { createFiling } from './filing.ts'
import { readLatestScans, type ScanServiceSettings } from './findings.ts'
import { createJira, type JiraSettings } from './jira-client.ts'

export interface JiraAppSettings extends ScanServiceSettings, JiraSettings {
  /** The secret that the webhook was given in Jira. */
  webhookSecret: string
  /** Takes one line for whoever runs the app. No secret is in any. */
  log: (line: string) => void
}

export interface JiraApp {
  /** Takes Jira’s webhooks at /jira/webhook. */
  app: Express
  /** Files, updates and closes issues as the latest scans have it. Throws an error that says what to do. */
  sync: () => Promise<void>
}

const webhookSchema = z.object({
  webhookEvent: z.string(),
  issue: z.object({ key: z.string() }).optional(),
  comment: z.object({ id: z.string() }).optional(),
})
type Webhook = z.infer<typeof webhookSchema>

const mostRemembered = 10_000

/**
 * A webhook tells this app where to look, and nothing more: what it acts on, it reads by the REST API, since a delivery may be
 * half an hour old. It answers when all is done, and with 503 where something failed, so that Jira delivers again. Deliveries
 * of one event have one identifier, by which a second is known and does nothing.
 *
 * @see https://developer.atlassian.com/cloud/jira/platform/webhooks/
 */
export function createJiraApp(settings: JiraAppSettings): JiraApp {
  const { webhookSecret, log } = settings
  if (!webhookSecret) throw new TypeError('Without a secret for the webhook, anyone could send one.')
  const filing = createFiling(createJira(settings), () => readLatestScans(settings), log)
  const handled = new Map<string, Promise<void>>()

  async function handle({ webhookEvent, issue, comment }: Webhook): Promise<void> {
    if (webhookEvent === 'jira:issue_updated' && issue) await filing.issueChanged(issue.key)
    if (/^comment_(created|updated)$/.test(webhookEvent) && issue && comment)
      await filing.commented(issue.key, comment.id)
  }

  function handleOnce(identifier: string, webhook: Webhook): Promise<void> {
    const handling = handled.get(identifier) ?? handle(webhook)
    handled.set(identifier, handling)
    handling.catch(() => handled.delete(identifier))
    const [oldest = identifier] = handled.keys()
    if (handled.size > mostRemembered) handled.delete(oldest)
    return handling
  }

  const app = express().disable('x-powered-by')
  app.post('/jira/webhook', express.raw({ type: () => true, limit: '5mb' }), async (request, response) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    if (!isSigned(body, request.get('x-hub-signature'), webhookSecret)) {
      response.status(401).json({ error: 'The signature is missing, or is not by this webhook’s secret.' })
      return
    }
    const webhook = webhookSchema.safeParse(JSON.parse(body.toString()))
    if (!webhook.success) {
      response.status(400).json({ error: 'This is not a webhook of Jira’s: it has no webhookEvent.' })
      return
    }
    try {
      await handleOnce(request.get('x-atlassian-webhook-identifier') ?? randomUUID(), webhook.data)
      response.status(204).end()
    } catch (error) {
      log(error instanceof Error ? error.message : 'A webhook could not be handled.')
      response.status(503).json({ error: 'It could not be handled now. Deliver it again.' })
    }
  })
  // What is thrown up to here is about the body: what goes wrong afterwards is caught above.
  app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    response.status(400).json({ error: 'The body is not JSON, or is longer than any of Jira’s.' })
  })
  return { app, sync: filing.sync }
}

/** By HMAC-SHA-256 over the bytes as they came, compared in a time that does not tell how much of it was right. */
function isSigned(body: Buffer, header: string | undefined, secret: string): boolean {
  const [, signature] = /^sha256=([0-9a-f]{64})$/.exec(header ?? '') ?? []
  if (!signature) return false
  return timingSafeEqual(Buffer.from(signature, 'hex'), createHmac('sha256', secret).update(body).digest())
}
