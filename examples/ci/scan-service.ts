import { requireToken } from '@latchkey/sdk/express'
import type { Verifier } from '@latchkey/sdk/verifier'
import express, { type Express } from 'express'

/** What a scanner found in one commit of an application. */
export interface Scan {
  app: string
  commit: string
  findings: { rule: string; file: string; line: number }[]
}

/** A scan as it is kept: with the organization that its token belongs to, and the token’s label. */
export type StoredScan = Scan & { organizationId: string; sentBy: string | null }

/**
 * Takes scan results from pipelines, whose token has to permit `scans:write`, and shows what was found to whoever may
 * `findings:read`: of their own organization, since a token is one organization’s. Keeps them in memory: it is an example.
 */
export function createScanService(verifier: Pick<Verifier, 'verify'>): Express {
  const scans: StoredScan[] = []
  const app = express()
  app.use(express.json({ limit: '1mb' }))
  app.post('/scans', requireToken(verifier, { permission: 'scans:write' }), ({ body, token }, response) => {
    if (!isScan(body)) {
      response.status(400).json({ error: 'invalid_scan', error_description: 'A scan has app, commit and findings.' })
      return
    }
    const { app: name, commit, findings } = body
    scans.push({ app: name, commit, findings, organizationId: token.organizationId, sentBy: token.label })
    response.status(201).json({ accepted: findings.length, sentBy: token.label })
  })
  app.get('/findings', requireToken(verifier, { permission: 'findings:read' }), ({ token }, response) => {
    response.json(scans.filter(({ organizationId }) => organizationId === token.organizationId))
  })
  return app
}

function isScan(body: unknown): body is Scan {
  if (typeof body !== 'object' || body === null) return false
  const { app, commit, findings } = { app: null, commit: null, findings: null, ...body }
  return typeof app === 'string' && typeof commit === 'string' && Array.isArray(findings)
}
