import { execFile, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { type VerifiedToken, VerifierUnavailableError } from '@latchkey/sdk/verifier'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createScanService, type Scan } from '../examples/ci/scan-service.ts'
import { createJiraApp, type JiraAppSettings } from '../examples/jira/jira-app.ts'
import { createJiraStandIn, type JiraStandIn } from '../examples/jira/jira-stand-in.ts'
import { serve } from '../examples/local-servers.ts'

const run = promisify(execFile)
const program = (name: string) => ['--conditions=latchkey-source', `examples/jira/${name}`]

const pipelineToken = 'the-value-of-the-pipeline-token'
const latchkeyToken = 'the-value-of-the-jira-token'
const apiToken = 'the-api-token-at-atlassian'
const email = 'latchkey@example.com'
/** What Atlassian’s page on webhooks shows its example with. */
const webhookSecret = "It's a Secret to Everybody"
const signatureOfHelloWorld = 'sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9'

const token: VerifiedToken = {
  active: true,
  kind: 'INTEGRATION_TOKEN',
  organizationId: 'org_1',
  tokenId: 'tok_1',
  label: 'A token',
  roleId: null,
  memberId: null,
  organizationRole: null,
  permissions: [],
  expiresAt: null,
}

let opened: AsyncDisposableStack
let jira: JiraStandIn
let settings: JiraAppSettings
let permissions: Map<string, string[]>
let verifierIsAway: boolean
let waits: number[]
let logged: string[]
let webhookUrl: string
let sync: () => Promise<void>

beforeEach(async () => {
  opened = new AsyncDisposableStack()
  permissions = new Map([
    [pipelineToken, ['scans:write']],
    [latchkeyToken, ['apps:read', 'findings:read', 'findings:comment']],
  ])
  verifierIsAway = false
  waits = []
  logged = []
  await useJira({})
})
afterEach(async () => {
  await jira.delivered()
  await opened.disposeAsync()
  for (const line of logged) {
    for (const secret of [latchkeyToken, apiToken, webhookSecret]) expect(line).not.toContain(secret)
  }
})

/** A stand-in for Jira, with the scan service and the app that belong to it. */
async function useJira(more: { pageSize?: number }): Promise<void> {
  jira = createJiraStandIn({ email, apiToken, projectKey: 'SEC', ...more })
  settings = {
    scanServiceUrl: await startScanService(),
    latchkeyToken,
    jiraUrl: await serve(opened, jira.app),
    jiraEmail: email,
    jiraApiToken: apiToken,
    projectKey: 'SEC',
    issueType: 'Task',
    webhookSecret,
    fetch,
    wait: async (milliseconds) => waits.push(milliseconds),
    log: (line) => logged.push(line),
  }
  await startApp()
}

function startScanService(): Promise<string> {
  const verify = async (secret: string) => {
    if (verifierIsAway) throw new VerifierUnavailableError('Latchkey cannot be asked.', 1)
    const permitted = permissions.get(secret)
    return permitted ? { ...token, permissions: permitted } : ({ active: false } as const)
  }
  return serve(opened, createScanService({ verify }))
}

/** As after a restart: what the app knew before, it has to find again. */
async function startApp(changed: Partial<JiraAppSettings> = {}): Promise<void> {
  const started = createJiraApp({ ...settings, ...changed })
  sync = started.sync
  webhookUrl = `${await serve(opened, started.app)}/jira/webhook`
  jira.registerWebhook(webhookUrl, webhookSecret)
}

async function scan(app: string, commit: string, ...findings: Scan['findings']): Promise<void> {
  const { status } = await fetch(`${settings.scanServiceUrl}/scans`, {
    method: 'POST',
    headers: { authorization: `Bearer ${pipelineToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ app, commit, findings }),
  })
  expect(status).toBe(201)
}

const injection = { rule: 'sql-injection', file: 'cart.ts', line: 42 }
const secretInCode = { rule: 'hard-coded-secret', file: 'mail.ts', line: 7 }

async function post(body: string, headers: Record<string, string>): Promise<number> {
  return (await fetch(webhookUrl, { method: 'POST', headers, body })).status
}
const sign = (body: string, secret = webhookSecret, method = 'sha256') =>
  `${method}=${createHmac(method, secret).update(body).digest('hex')}`

/** What the app asked of Jira since the last time. */
const asked = () => jira.requests.splice(0)

describe('npm run example:jira', () => {
  it('shows the whole way from the token to issues and back, and each refusal in words that a person understands', {
    timeout: 60_000,
  }, async () => {
    const { stdout, stderr } = await run(process.execPath, program('run.ts'))
    expect(stderr).toBe('')
    expect(stdout.split('\n').filter((line) => !/^\d+\. /.test(line))).toEqual([
      '   SEC-1 was filed: sql-injection, cart.ts.',
      '   SEC-2 was filed: hard-coded-secret, mail.ts.',
      '   SEC-1 was opened again. Found in cart.ts, line 42, by the latest scan, of commit 4f1c2ab.',
      '   SEC-1 was updated: now on line 57.',
      '   SEC-2 was closed. Not found in mail.ts, by the latest scan, of commit 9d0e1f2.',
      '   SEC-1 was answered. Found in cart.ts, line 57, by the latest scan, of commit 9d0e1f2.',
      '   SEC-1 (To Do): sql-injection in cart.ts of shop, line 57.',
      '      Latchkey: Found in cart.ts, line 42, by the latest scan, of commit 4f1c2ab.',
      '      Some Person: /recheck',
      '      Latchkey: Found in cart.ts, line 57, by the latest scan, of commit 9d0e1f2.',
      '   SEC-2 (Done): hard-coded-secret in mail.ts of shop, line 7.',
      '      Latchkey: Not found in mail.ts, by the latest scan, of commit 9d0e1f2.',
      '   401 {"error":"The signature is missing, or is not by this webhook’s secret."}',
      expect.stringMatching(
        /^ {3}The scan service does not accept the token .* can make another, with the role Jira\.$/,
      ),
      '',
    ])
    expect(stdout).not.toMatch(/lk[ipsv]_/)
  })

  it('is an app that starts by itself, with its settings from the environment', async () => {
    await scan('shop', 'a1', injection)
    const child = spawn(process.execPath, program('main.ts'), {
      env: {
        PATH: process.env.PATH,
        PORT: '0',
        SCAN_SERVICE_URL: `${settings.scanServiceUrl}/`,
        LATCHKEY_TOKEN: latchkeyToken,
        JIRA_URL: `${settings.jiraUrl}/`,
        JIRA_EMAIL: email,
        JIRA_API_TOKEN: `${apiToken}\n`,
        JIRA_PROJECT: 'SEC',
        JIRA_WEBHOOK_SECRET: webhookSecret,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    opened.defer(() => void child.kill())
    for await (const line of createInterface(child.stdout)) {
      const [, port] = /^Takes Jira’s webhooks at 127\.0\.0\.1, port (\d+), path \/jira\/webhook$/.exec(line) ?? []
      if (port) jira.registerWebhook(`http://127.0.0.1:${port}/jira/webhook`, webhookSecret)
      if (line.startsWith('SEC-1 was filed')) jira.moveByHand('SEC-1', 'done')
      if (line.startsWith('SEC-1 was opened again')) break
    }
    await jira.delivered()
    expect(jira.look('SEC-1').status).toBe('To Do')
  })

  it('is an app that says which of its settings are missing', async () => {
    const env = { PATH: process.env.PATH, JIRA_URL: 'https://example.atlassian.net', LATCHKEY_TOKEN: ' ' }
    const failed = await run(process.execPath, program('main.ts'), { env }).catch((error: unknown) => error)
    expect(failed).toMatchObject({
      code: 2,
      stderr:
        'Set SCAN_SERVICE_URL, LATCHKEY_TOKEN, JIRA_EMAIL, JIRA_API_TOKEN, JIRA_PROJECT, JIRA_WEBHOOK_SECRET: docs/jira.md says where each value comes from.\n',
    })
  })
})

describe('a webhook', () => {
  const body = '{"webhookEvent":"jira:issue_updated","issue":{"key":"SEC-1"}}'

  it.each([
    ['that is missing', {}],
    ['by another secret', { 'x-hub-signature': sign(body, 'another secret') }],
    ['of another body', { 'x-hub-signature': sign(`${body} `) }],
    ['by another algorithm', { 'x-hub-signature': sign(body, webhookSecret, 'sha1') }],
    ['by another algorithm, as long as the right one', { 'x-hub-signature': sign(body).replace('sha256', 'sha512') }],
    ['that is only begun', { 'x-hub-signature': sign(body).slice(0, -2) }],
    ['that is no hexadecimal', { 'x-hub-signature': `sha256=${'z'.repeat(64)}` }],
    ['that is empty', { 'x-hub-signature': 'sha256=' }],
  ])('with a signature %s is refused, and nothing is done', async (_what, headers) => {
    expect(await post(body, { ...headers })).toBe(401)
    expect(asked()).toEqual([])
    expect(await post(body, { 'x-hub-signature': sign(body) })).toBe(204)
    expect(asked()).toEqual(['GET /issue/SEC-1'])
  })

  it('is signed byte by byte: what else would say the same is another body', async () => {
    const signed = `\n${body} `
    expect(await post(signed, { 'x-hub-signature': sign(signed) })).toBe(204)
    expect(await post(signed, { 'x-hub-signature': sign(body) })).toBe(401)
  })

  it('that is signed as in Atlassian’s own example is let in, and refused for what it says', async () => {
    expect(await post('Hello World!', { 'x-hub-signature': signatureOfHelloWorld })).toBe(400)
    for (const text of ['', '{"webhookEvent":', '[]', '{"webhookEvent":7}', '{"webhookEvent":"x","issue":"SEC-1"}']) {
      expect(await post(text, { 'x-hub-signature': sign(text) }), text).toBe(400)
    }
    expect(asked()).toEqual([])
  })

  it('of any other event is taken, and nothing is done', async () => {
    for (const webhookEvent of ['jira:issue_created', 'comment_deleted', 'jira:issue_updated', 'comment_created']) {
      const text = JSON.stringify({ webhookEvent })
      expect(await post(text, { 'x-hub-signature': sign(text) })).toBe(204)
    }
    expect(asked()).toEqual([])
  })

  it('that is longer than any of Jira’s is refused', async () => {
    const text = ' '.repeat(5 * 1024 * 1024 + 1)
    expect(await post(text, { 'x-hub-signature': sign(text) })).toBe(400)
  })

  it('cannot be taken without a secret', () => {
    expect(() => createJiraApp({ ...settings, webhookSecret: '' })).toThrow('anyone could send one')
  })

  it('that is delivered again does nothing, be it later or at the same time', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    jira.write('SEC-1', 'recheck')
    const delivery = jira.deliveries.at(-1)
    if (!delivery) throw new Error('Nothing was delivered.')
    await Promise.all([jira.deliverAgain(delivery), jira.deliverAgain(delivery)])
    await jira.delivered()
    await jira.deliverAgain(delivery)
    expect(delivery.answers).toEqual([204, 204, 204, 204])
    expect(jira.look('SEC-1').comments).toHaveLength(2)
  })

  it('that could not be handled is delivered again by Jira, and handled then', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    verifierIsAway = true
    jira.write('SEC-1', '/recheck')
    await expect.poll(() => jira.deliveries.at(-1)?.answers[0]).toBe(503)
    verifierIsAway = false
    await jira.delivered()
    expect(jira.look('SEC-1').comments).toEqual([
      'Some Person: /recheck',
      'Latchkey: Found in cart.ts, line 42, by the latest scan, of commit a1.',
    ])
    expect(logged).toContain('The scan service cannot check tokens at the moment. The next synchronization asks again.')
  })
})

describe('a comment', () => {
  beforeEach(async () => {
    await scan('shop', 'a1', injection)
    await sync()
  })

  it.each(['recheck', '/recheck', ' Recheck '])('that says “%s” is answered', async (text) => {
    jira.write('SEC-1', text)
    await jira.delivered()
    expect(jira.look('SEC-1').comments.slice(1)).toEqual([
      'Latchkey: Found in cart.ts, line 42, by the latest scan, of commit a1.',
    ])
  })

  it('that asks about what was mended closes the issue, with one answer', async () => {
    await scan('shop', 'a2')
    jira.write('SEC-1', 'recheck')
    await jira.delivered()
    expect(jira.look('SEC-1')).toMatchObject({
      status: 'Done',
      comments: ['Some Person: recheck', 'Latchkey: Not found in cart.ts, by the latest scan, of commit a2.'],
    })
  })

  it('is answered though Jira refuses what would follow from it', async () => {
    await startApp({
      fetch: (url, init) =>
        String(url).endsWith('/transitions')
          ? Promise.resolve(Response.json({ errorMessages: ['Not you.'], errors: {} }, { status: 403 }))
          : fetch(url, init),
    })
    await scan('shop', 'a2')
    jira.write('SEC-1', 'recheck')
    await jira.delivered()
    expect(jira.look('SEC-1').comments).toHaveLength(2)
    expect(logged).toContain(
      'Jira answered 403 to GET /issue/SEC-1/transitions. The app’s account lacks a permission in the project. It says: Not you.',
    )
  })

  it('that says anything else is not', async () => {
    jira.write('SEC-1', 'Please recheck this.')
    await jira.delivered()
    expect(jira.look('SEC-1').comments).toHaveLength(1)
  })

  it('of the app itself is never answered', async () => {
    const paragraph = { type: 'paragraph', content: [{ type: 'text', text: 'recheck' }] }
    const { status } = await fetch(`${settings.jiraUrl}/rest/api/3/issue/SEC-1/comment`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${email}:${apiToken}`)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ body: { type: 'doc', version: 1, content: [paragraph] } }),
    })
    expect(status).toBe(201)
    await jira.delivered()
    expect(jira.look('SEC-1').comments).toEqual(['Latchkey: recheck'])
  })
})

describe('an issue', () => {
  it('that a person closes is opened again while its finding is still found, and stays as it is otherwise', async () => {
    await scan('shop', 'a1', injection, secretInCode)
    await sync()
    await scan('shop', 'a2', injection)
    for (const key of ['SEC-1', 'SEC-2']) jira.moveByHand(key, 'done')
    await jira.delivered()
    expect(jira.look('SEC-1')).toMatchObject({
      status: 'To Do',
      comments: ['Latchkey: Found in cart.ts, line 42, by the latest scan, of commit a2.'],
    })
    expect(jira.look('SEC-2')).toMatchObject({ status: 'Done', comments: [] })
  })

  it('that is changed in any other way is none of the app’s business', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    asked()
    verifierIsAway = true
    jira.moveByHand('SEC-1', 'open')
    await jira.delivered()
    expect(jira.deliveries.at(-1)?.answers).toEqual([204])
    expect(asked()).toEqual(['GET /issue/SEC-1'])
  })

  it('that its workflow does not open again is left, without a word in it', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    jira.forbidReopening()
    jira.moveByHand('SEC-1', 'done')
    await jira.delivered()
    await sync()
    expect(jira.look('SEC-1').comments).toEqual([])
    expect(logged.at(-1)).toMatch(/^SEC-1 cannot be opened again: its workflow has no transition/)
  })

  it('follows its finding to other lines, and keeps the summary that a person gave it', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    await scan('shop', 'a2', { ...injection, line: 60 }, { ...injection, line: 57 })
    asked()
    await sync()
    expect(jira.look('SEC-1')).toMatchObject({
      summary: 'sql-injection in cart.ts of shop',
      description: 'sql-injection in cart.ts of shop, lines 57, 60.',
      comments: [],
    })
    expect(asked()).toEqual(['POST /search/jql', 'PUT /issue/SEC-1'])
    await sync()
    expect(asked()).toEqual(['POST /search/jql'])
  })

  it('is closed when its finding is gone, opened again when that is back, and filed only once', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    await scan('shop', 'a2')
    await sync()
    expect(jira.look('SEC-1').status).toBe('Done')
    await scan('shop', 'a3', injection)
    await sync()
    expect(jira.look('SEC-1')).toMatchObject({
      status: 'To Do',
      comments: [
        'Latchkey: Not found in cart.ts, by the latest scan, of commit a2.',
        'Latchkey: Found in cart.ts, line 42, by the latest scan, of commit a3.',
      ],
    })
    expect(jira.keys()).toEqual(['SEC-1'])
  })

  it('stays open where no scan of its application is known: what was not looked for is not gone', async () => {
    await scan('shop', 'a1', injection)
    await sync()
    settings.scanServiceUrl = await startScanService()
    await startApp()
    await scan('another', 'b1', secretInCode)
    await sync()
    expect(jira.look('SEC-1')).toMatchObject({ status: 'To Do', comments: [] })
  })

  it('that Jira refuses is told of, and does not hold up the others', async () => {
    await startApp({
      fetch: (url, init) =>
        String(init?.body).includes('"summary":"sql-injection')
          ? Promise.resolve(Response.json({ errorMessages: [], errors: { summary: 'Not this.' } }, { status: 400 }))
          : fetch(url, init),
    })
    await scan('shop', 'a1', injection, secretInCode)
    await sync()
    expect(logged).toEqual([
      'Jira answered 400 to POST /issue. It says: Not this.',
      'SEC-1 was filed: hard-coded-secret, mail.ts.',
    ])
  })

  it('is found again after a restart, on whichever page of the search it is', async () => {
    await useJira({ pageSize: 2 })
    const findings = Array.from({ length: 5 }, (_, index) => ({ ...injection, file: `file-${index}.ts` }))
    await scan('shop', 'a1', ...findings)
    await sync()
    await startApp()
    asked()
    await sync()
    expect(asked()).toEqual(['POST /search/jql', 'POST /search/jql', 'POST /search/jql'])
    expect(jira.keys()).toHaveLength(5)
  })

  describe('is known as it is, though Jira’s search does not know of it yet,', () => {
    beforeEach(async () => {
      jira.removeWebhook()
      await scan('shop', 'a1', injection)
    })

    it('when it was just filed', async () => {
      jira.letSearchLag()
      await sync()
      await sync()
      expect(jira.keys()).toEqual(['SEC-1'])
    })

    it.each([
      ['rewritten', [{ ...injection, line: 57 }], ['PUT /issue/SEC-1']],
      ['closed', [], ['GET /issue/SEC-1/transitions', 'POST /issue/SEC-1/transitions', 'POST /issue/SEC-1/comment']],
    ])('when it was just %s', async (_what, findings, requests) => {
      await sync()
      await startApp()
      jira.removeWebhook()
      jira.letSearchLag()
      await scan('shop', 'a2', ...findings)
      asked()
      await sync()
      await sync()
      expect(asked()).toEqual(['POST /search/jql', ...requests, 'POST /search/jql'])
    })

    it('when a person just changed it', async () => {
      await sync()
      await scan('shop', 'a2')
      await sync()
      await startApp()
      jira.letSearchLag()
      jira.moveByHand('SEC-1', 'open')
      await jira.delivered()
      await sync()
      expect(jira.look('SEC-1').status).toBe('Done')
    })
  })

  it('is filed once, by however many synchronizations at once', async () => {
    await scan('shop', 'a1', injection)
    await Promise.all([sync(), sync(), sync()])
    expect(jira.keys()).toEqual(['SEC-1'])
  })
})

describe('where Jira asks to wait', () => {
  it('the app waits for as long as that, and goes on', async () => {
    await scan('shop', 'a1', injection)
    jira.limit(2, 7)
    await sync()
    expect(waits).toEqual([7000, 7000])
    expect(jira.keys()).toEqual(['SEC-1'])
  })

  it('for long, or again and again, the app gives up and says so', async () => {
    jira.limit(1, 3600)
    await expect(sync()).rejects.toThrow('Jira answered 429 to POST /search/jql. It says: Rate limit exceeded.')
    expect(waits).toEqual([])
    jira.limit(5, 1)
    await expect(sync()).rejects.toThrow('Jira answered 429')
    expect(waits).toHaveLength(4)
  })
})

describe('what the app cannot do is told in words that a person understands, and without a secret', () => {
  async function complaint(changed: Partial<JiraAppSettings> = {}): Promise<string> {
    await startApp(changed)
    const error = await sync().then(
      () => null,
      (reason: unknown) => reason,
    )
    if (!(error instanceof Error)) throw new Error('It was done.')
    for (const secret of [latchkeyToken, apiToken]) expect(`${error.stack}${error.cause}`).not.toContain(secret)
    return error.message
  }

  it.each([
    ['was deleted', () => permissions.delete(latchkeyToken), /does not accept the token in LATCHKEY_TOKEN.* deleted/],
    ['has another role', () => permissions.set(latchkeyToken, ['scans:write']), /takes one with the role Jira/],
  ])('of a token that %s', async (_what, change, words) => {
    change()
    expect(await complaint()).toMatch(words)
    expect(asked()).toEqual([])
  })

  it('of a value that is no token', async () => {
    expect(await complaint({ latchkeyToken: `${latchkeyToken}\nand more` })).toMatch(/not the value of a token alone/)
  })

  it('of a scan service that is away, or is none', async () => {
    verifierIsAway = true
    expect(await complaint()).toMatch(/cannot check tokens at the moment/)
    expect(await complaint({ scanServiceUrl: `${settings.jiraUrl}/nothing` })).toMatch(/answered 404/)
    const answering = () => Promise.resolve(Response.json({ scans: [] }))
    expect(await complaint({ fetch: answering })).toMatch(/something other than scans/)
  })

  it('of an account that Jira does not accept', async () => {
    expect(await complaint({ jiraApiToken: 'revoked' })).toMatch(
      /JIRA_EMAIL with JIRA_API_TOKEN.*make another at https/,
    )
  })

  it('of a Jira that is away', async () => {
    expect(await complaint({ jiraUrl: 'http://127.0.0.1:9' })).toBe('Jira at http://127.0.0.1:9 cannot be reached.')
  })
})
