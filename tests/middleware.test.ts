import { once } from 'node:events'
import type { Server } from 'node:http'
import { unwrap } from '@latchkey/sdk'
import { requireToken } from '@latchkey/sdk/express'
import { createVerifier, type Verifier, VerifierCredentialError } from '@latchkey/sdk/verifier'
import express, { type ErrorRequestHandler } from 'express'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openWorld, type World } from './world.ts'

let world: World
let instance: Awaited<ReturnType<World['startInstance']>>
let verifier: Verifier
let server: Server
let scans: { organizationId: string; by: string | null }[]
let errors: unknown[]
/** What went from the service to Latchkey. */
let sent: string[]

beforeEach(async () => {
  world = await openWorld()
  instance = await world.startInstance()
  await openService(world.service.secret)
})
afterEach(async () => {
  await closeService()
  await world[Symbol.asyncDispose]()
})

/** One of the platform's own services, with one route. */
async function openService(credential: string): Promise<void> {
  scans = []
  errors = []
  sent = []
  verifier = createVerifier({
    url: instance.url,
    credential,
    stalenessBoundMilliseconds: 2_000,
    timeoutMilliseconds: 500,
    fetch(input, init) {
      sent.push(String(input) + JSON.stringify([...new Headers(init?.headers)]) + String(init?.body))
      return fetch(input, init)
    },
  })
  const app = express()
  app.post('/scans', requireToken(verifier, { permission: 'scans:write' }), (request, response) => {
    const { organizationId, label } = request.token
    scans.push({ organizationId, by: label })
    response.status(201).json({ started: true })
  })
  const onError: ErrorRequestHandler = (error, _request, response, _next) => {
    errors.push(error)
    response.status(500).end()
  }
  app.use(onError)
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
}

async function closeService(): Promise<void> {
  server.closeAllConnections()
  server.close()
  await verifier.close()
}

async function startScan(secret?: string): Promise<Response> {
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const headers = secret === undefined ? {} : { authorization: `Bearer ${secret}` }
  return await fetch(`http://127.0.0.1:${port}/scans`, { method: 'POST', headers })
}
const statusFor = async (secret?: string) => (await startScan(secret)).status
const challengeFor = async (secret?: string) => (await startScan(secret)).headers.get('www-authenticate')

const create = async (roleId: string) =>
  unwrap((await world.alpha.superAdmin.createToken({ input: { label: `As ${roleId}`, roleId } })).createToken)

async function until(condition: () => boolean | Promise<boolean>, milliseconds: number): Promise<void> {
  const deadline = Date.now() + milliseconds
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Not within ${milliseconds} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
const isLive = () => verifier.metrics().state === 'live'

describe('a service with requireToken in front of its route', () => {
  it('lets in a token whose role permits it, as its organization’s, and Latchkey learns from where it was used', async () => {
    const { token, secret } = await create('role_ci')
    for (let times = 0; times < 3; times++) expect(await statusFor(secret)).toBe(201)
    expect(scans).toEqual(Array(3).fill({ organizationId: world.alpha.id, by: 'As role_ci' }))
    await instance.dependencies.lastUse.flush()
    const { node } = await world.alpha.superAdmin.node({ id: token.id })
    expect(node).toMatchObject({ lastUsedFrom: '127.0.0.1', lastUsedAt: expect.any(String) })
  })

  it('refuses a token whose role does not permit it, whatever is not a token, and no token at all', async () => {
    const { secret } = await create('role_jira')
    expect(await statusFor(secret)).toBe(403)
    expect(await challengeFor(secret)).toMatch(/error="insufficient_scope".+ scope="scans:write"$/)
    for (const other of [`${secret.slice(0, -1)}_`, world.alpha.superAdmin.sessionToken, world.service.secret, 'x']) {
      expect(await statusFor(other)).toBe(401)
      expect(await challengeFor(other)).toMatch(/error="invalid_token"/)
    }
    expect(await statusFor()).toBe(401)
    expect(await challengeFor()).toBe('Bearer realm="api"')
    expect(scans).toEqual([])
  })

  it('lets in a member’s own access token by what the member’s role permits', async () => {
    const access = async (member: World['stranger']) =>
      unwrap((await member.resetAccessToken()).resetAccessToken).secret
    expect(await statusFor(await access(world.beta.powerUser))).toBe(201)
    expect(await statusFor(await access(world.beta.member))).toBe(403)
    expect(scans).toEqual([{ organizationId: world.beta.id, by: null }])
  })

  it('refuses a token that it knows well as soon as the token is deleted, and never lets it in again', async () => {
    await until(isLive, 5_000)
    const { token, secret } = await create('role_ci')
    expect(await statusFor(secret)).toBe(201)
    expect(await statusFor(secret)).toBe(201)
    expect(verifier.metrics().hits).toBeGreaterThan(0)
    unwrap((await world.alpha.superAdmin.deleteToken({ input: { id: token.id } })).deleteToken)
    await until(async () => (await statusFor(secret)) === 401, 1_000)
    for (let times = 0; times < 20; times++) expect(await statusFor(secret)).toBe(401)
    expect(await challengeFor(secret)).toMatch(/error="invalid_token"/)
  })

  it('refuses a token that was deleted before it first saw it', async () => {
    const { token, secret } = await create('role_ci')
    unwrap((await world.alpha.superAdmin.deleteToken({ input: { id: token.id } })).deleteToken)
    expect(await statusFor(secret)).toBe(401)
    expect(scans).toEqual([])
  })

  it('answers 503 with Retry-After, within the timeout, once Latchkey is away and its bound is over, and says no more', async () => {
    await until(isLive, 5_000)
    const known = await create('role_ci')
    const unknown = await create('role_jira')
    expect(await statusFor(known.secret)).toBe(201)
    await instance.close()
    expect(await statusFor(unknown.secret)).toBe(503)
    await until(() => !isLive(), 4_000)
    const askedAt = Date.now()
    const response = await startScan(known.secret)
    expect(Date.now() - askedAt).toBeLessThan(1_500)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect(response.headers.get('www-authenticate')).toBeNull()
    expect(await response.json()).toEqual({
      error: 'temporarily_unavailable',
      error_description: 'The token cannot be checked at the moment. Try again shortly.',
    })
    // What Latchkey need not be asked about is answered all the same.
    expect(await statusFor('x')).toBe(401)
    expect(errors).toEqual([])
  })

  it('gives its own error handler the error where Latchkey does not accept the service, and tells the caller nothing', async () => {
    await closeService()
    await openService(`${world.service.secret.slice(0, -1)}_`)
    const { secret } = await create('role_ci')
    const response = await startScan(secret)
    expect([response.status, await response.text()]).toEqual([500, ''])
    expect(errors).toEqual([new VerifierCredentialError('UNAUTHENTICATED')])
    expect(scans).toEqual([])
  })

  it('sends Latchkey no secret that was presented to it', async () => {
    const { secret } = await create('role_ci')
    expect(await statusFor(secret)).toBe(201)
    expect(await statusFor(`${secret}${secret}`)).toBe(401)
    expect(sent.join()).toContain('verifyTokenDigests')
    expect(sent.join()).not.toContain(secret.slice(4))
  })
})
