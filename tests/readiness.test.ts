import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../server/config.ts'
import { start } from '../server/start.ts'
import { createDatabase, openWorld, serve, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

async function ready(url = world.url) {
  const response = await fetch(`${url}/readyz`)
  const { status, reasons = [] }: { status: string; reasons?: { code: string; message: string }[] } =
    await response.json()
  for (const { message } of reasons) expect(message).not.toMatch(/latchkey_|drizzle|postgres|test_|\d{4}/i)
  return { http: response.status, status, codes: reasons.map(({ code }) => code) }
}

describe('/readyz', () => {
  it('says that the instance is ready, and no more', async () => {
    const response = await fetch(`${world.url}/readyz`)
    expect([response.status, await response.text()]).toEqual([200, '{"status":"ready"}'])
  })

  it('tells when the database is away', async () => {
    const server = new pg.Pool({ connectionString: 'postgres://nobody:secret@127.0.0.1:1/test_nothing' })
    const { url, close } = await serve({ ...world.dependencies, database: { ...world.dependencies.database, server } })
    expect(await ready(url)).toEqual({ http: 503, status: 'not ready', codes: ['DATABASE_AWAY'] })
    await close()
    await server.end()
  })

  it('tells when migrations are missing: the newest, or all of them', async () => {
    const missing = { http: 503, status: 'not ready', codes: ['NOT_MIGRATED'] }
    await world.sql('create table kept as select * from drizzle.__drizzle_migrations')
    const newest = '(select max(created_at) from kept)'
    await world.sql(`delete from drizzle.__drizzle_migrations where created_at = ${newest}`)
    expect(await ready()).toEqual(missing)
    await world.sql(`insert into drizzle.__drizzle_migrations select * from kept where created_at = ${newest}`)
    await world.sql('drop table kept')
    expect((await ready()).http).toBe(200)
    await world.sql('alter schema drizzle rename to elsewhere')
    expect(await ready()).toEqual(missing)
    await world.sql('alter schema elsewhere rename to drizzle')
    expect((await ready()).http).toBe(200)
  })

  it('tells when the database refuses to answer, whose reason is in the log alone', async () => {
    await world.sql('revoke select on drizzle.__drizzle_migrations from public, latchkey_server')
    world.logged.length = 0
    expect(await ready()).toEqual({ http: 503, status: 'not ready', codes: ['DATABASE_REFUSES'] })
    expect(world.logged.join('')).toContain('permission denied')
    await world.sql('grant select on drizzle.__drizzle_migrations to latchkey_server')
    expect((await ready()).http).toBe(200)
  })
})

describe('an instance that is stopped', () => {
  const run = async (more: Record<string, string>) => {
    const { databaseUrl, drop } = await createDatabase()
    const settings = {
      DATABASE_URL: databaseUrl,
      LATCHKEY_SECRET: 'a server key of this test which is long enough',
      PORT: '0',
    }
    const log = pino({ level: 'silent' })
    const running = await start(readConfig({ ...settings, ...more }), { log, announce: () => undefined })
    return { ...running, drop }
  }

  it('says at once that it is not ready, and answers for the delay what still comes', async () => {
    const { address, close, drop } = await run({ SHUTDOWN_DELAY_SECONDS: '1' })
    expect((await ready(address)).http).toBe(200)
    const since = performance.now()
    const closed = close()
    expect(await ready(address)).toEqual({ http: 503, status: 'not ready', codes: ['STOPPING'] })
    await delay(600)
    expect((await fetch(`${address}/healthz`)).status).toBe(200)
    expect((await fetch(`${address}/graphql`, { method: 'POST', body: '{}' })).status).toBe(415)
    await closed
    expect(performance.now() - since).toBeGreaterThan(990)
    await expect(fetch(`${address}/healthz`)).rejects.toThrow()
    await drop()
  })

  it('fails no request of a load balancer that asks every 200 ms whether it is ready', async () => {
    const { address, close, drop } = await run({ SHUTDOWN_DELAY_SECONDS: '1' })
    let isIn = true
    let answered = 0
    const failures: unknown[] = []
    const clients = Array.from({ length: 4 }, async () => {
      while (isIn) {
        await fetch(`${address}/healthz`).then(
          ({ status }) => (status === 200 ? answered++ : failures.push(status)),
          (error) => failures.push(error),
        )
      }
    })
    const stopped = delay(300).then(close)
    while (isIn) {
      isIn = (await fetch(`${address}/readyz`)).ok
      await delay(200)
    }
    await Promise.all(clients)
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(10)
    await stopped
    await drop()
  })
})
