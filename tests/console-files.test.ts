import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, serve, type World } from './world.ts'

const page = '<!doctype html><title>The console</title>'
const script = `document.title = 'The console runs'\n${'//'.repeat(1_000)}`
const icon = '<svg xmlns="http://www.w3.org/2000/svg"/>'

let directory: string
let world: World
let url: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'latchkey-console-'))
  await writeConsole(directory)
  world = await openWorld({ consoleDirectory: directory })
  url = world.url
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

/** As the console’s build leaves it: each file beside what goes over the wire. */
async function writeConsole(directory: string): Promise<void> {
  await mkdir(join(directory, 'assets'))
  await mkdir(join(directory, '.vite'))
  const files = {
    'index.html': page,
    'assets/index-Ab_12-cd.js': script,
    'icon.svg': icon,
    '.vite/manifest.json': '{}',
  }
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(directory, name), content)
    if (name.startsWith('.')) continue
    await writeFile(join(directory, `${name}.br`), brotliCompressSync(content))
    await writeFile(join(directory, `${name}.gz`), gzipSync(content))
  }
}

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: Buffer
  text: string
}

/** As it is: `fetch` would put a path right and take compression off. */
async function get(path: string, headers: OutgoingHttpHeaders = {}, method = 'GET', at = url): Promise<Answer> {
  const request = httpRequest(at, { path, method, headers }).end()
  const [response]: IncomingMessage[] = await once(request, 'response')
  if (!response) throw new Error('There was no answer.')
  const body = await buffer(response)
  return { status: response.statusCode ?? 0, headers: response.headers, body, text: body.toString() }
}

describe('the console', () => {
  it('is one document, at each address of which it makes a page', async () => {
    for (const path of [
      '/',
      '/?a=b',
      '/sign-in',
      '/sign-in?next=%2Fgraphql',
      '/invitation',
      '/organizations',
      '/organizations/acme-2',
      '/account',
      '/account/access-token',
      '/account/sessions',
      '/account/password',
      '/organizations/acme/integration-tokens/tok_01m85tb6reecna28jnaafrx9eb',
      '/organizations/acme/audit-log?after=WyJhdWRpdEV2ZW50cyJd',
    ]) {
      const answer = await get(path)
      expect(answer, path).toMatchObject({ status: 200, text: page })
      expect(answer.headers).toMatchObject({ 'content-type': 'text/html;charset=utf-8', 'cache-control': 'no-cache' })
    }
  })

  it('has nothing at an address that is not one to the letter', async () => {
    const paths = [
      '//',
      '/./',
      '/%2F',
      '/index',
      '/index.html',
      '/index.html.br',
      '/sign-in/',
      '/SIGN-IN',
      '/sign-in.html',
      '/sign-in/x',
      '/invitation/',
      '/Invitation',
      '/invitation/x',
      '/invitations',
      '/sign%2Din',
      '/organizations/',
      '/Organizations',
      '/organizations//acme',
      '/organizations/acme/',
      '/organizations/Acme',
      '/organizations/./acme',
      '/organizations/../organizations',
      '/organizations/acme%2Ftokens',
      '/organizations/acme%20',
      '/organizations/acme.html',
      '/organizations/acme;a=b',
      '/organizations#a',
      '/organizationsx',
      '/assets',
      '/assets/',
      '/assets/index-ab_12-cd.js',
      '/assets/index-Ab_12-cd.js/',
      '/assets/index-Ab_12-cd',
      '/assets/index-Ab_12-cd.js.br',
      '/assets/index-Ab_12-cd.js.gz',
      '/assets/index%2DAb_12-cd.js',
      '/assets//index-Ab_12-cd.js',
      '/assets/../icon.svg',
      '/assets%2Findex-Ab_12-cd.js',
      '/../package.json',
      '/%2e%2e/package.json',
      '/icon.svg/',
      '/.vite/manifest.json',
      '/.vite',
      'http://evil.example/',
    ]
    for (const path of paths) {
      for (const method of ['GET', 'POST']) {
        const { status, text } = await get(path, {}, method)
        expect([path, method, status]).toEqual([path, method, 404])
        expect(JSON.parse(text).errors).toMatchObject([{ message: 'There is nothing at this address.' }])
      }
    }
  })

  it('comes compressed where the browser takes that, and as it is where not', async () => {
    const plain = { '/': page, '/assets/index-Ab_12-cd.js': script, '/icon.svg': icon }
    for (const [path, content] of Object.entries(plain)) {
      const [brotli, gzip, identity] = [
        await get(path, { 'accept-encoding': 'gzip, deflate, br, zstd' }),
        await get(path, { 'accept-encoding': 'gzip' }),
        await get(path, { 'accept-encoding': 'identity' }),
      ]
      expect([brotli, gzip, identity].map(({ headers }) => headers['content-encoding'])).toEqual([
        'br',
        'gzip',
        undefined,
      ])
      expect(brotliDecompressSync(brotli.body).toString()).toBe(content)
      expect(gunzipSync(gzip.body).toString()).toBe(content)
      expect(identity.text).toBe(content)
      const types = [brotli, gzip, identity].map(({ headers }) => headers['content-type'])
      expect(new Set(types).size).toBe(1)
      expect(types[0]).toMatch(/^(text\/(html|javascript|css)|image\/svg\+xml);charset=utf-8$/)
      for (const { headers } of [brotli, gzip, identity]) expect(headers.vary).toBe('Accept-Encoding')
    }
  })

  it('is kept by browsers for good where its address tells its content, and else asked for again', async () => {
    expect((await get('/assets/index-Ab_12-cd.js')).headers['cache-control']).toBe(
      'public, max-age=31536000, immutable',
    )
    for (const path of ['/', '/organizations/acme', '/icon.svg']) {
      const { headers } = await get(path)
      expect(headers['cache-control']).toBe('no-cache')
      const again = await get(path, { 'if-none-match': headers.etag })
      expect(again).toMatchObject({ status: 304, text: '', headers: { 'cache-control': 'no-cache' } })
      expect(await get(path, { 'if-none-match': 'W/"another"' })).toMatchObject({ status: 200 })
    }
  })

  it('comes whole, whichever part of it is asked for', async () => {
    for (const range of ['bytes=0-3', 'bytes=5-2', 'bytes=-5', 'bytes=999999-', 'lines=1-2']) {
      expect(await get('/icon.svg', { range })).toMatchObject({ status: 200, text: icon })
    }
  })

  it('answers HEAD as GET, without the content, and no other method', async () => {
    for (const path of ['/', '/sign-in', '/assets/index-Ab_12-cd.js']) {
      const [head, whole] = [await get(path, {}, 'HEAD'), await get(path)]
      expect(head).toMatchObject({ status: 200, text: '' })
      const { date: _then, 'x-request-id': _id, ...headers } = head.headers
      expect(whole.headers).toMatchObject(headers)
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const refused = await get(path, {}, method)
        expect(refused).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
        expect(JSON.parse(refused.text).errors).toMatchObject([{ message: 'This is a page: it takes GET.' }])
      }
    }
  })

  it('may load and call this server alone, and is no other site’s to frame, open or read', async () => {
    for (const path of ['/', '/sign-in', '/organizations/acme', '/assets/index-Ab_12-cd.js', '/icon.svg']) {
      const { headers } = await get(path)
      expect(headers).toMatchObject({
        'content-security-policy':
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
      })
      const permissions = String(headers['permissions-policy']).split(', ')
      expect(permissions).toEqual(
        expect.arrayContaining(['camera=()', 'microphone=()', 'geolocation=()', 'clipboard-read=()']),
      )
      expect(permissions.filter((permission) => !permission.endsWith('=()'))).toEqual(['clipboard-write=(self)'])
      expect(headers).not.toHaveProperty('strict-transport-security')
    }
  })

  it('is bound to HTTPS where the server is reached by it', async () => {
    const publicUrl = 'https://tokens.example.com'
    const secure = await serve(world.dependencies, { publicUrl, consoleDirectory: directory })
    for (const path of ['/', '/icon.svg']) {
      const { headers } = await get(path, {}, 'GET', secure.url)
      expect(headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
    }
    await secure.close()
  })

  it('says how to build it where it is not built, and the rest of the server works', async () => {
    for (const missing of [undefined, join(directory, 'nowhere'), join(directory, 'assets')]) {
      const without = await serve(world.dependencies, missing === undefined ? {} : { consoleDirectory: missing })
      for (const path of ['/', '/sign-in', '/organizations/acme']) {
        const { status, headers, text } = await get(path, {}, 'GET', without.url)
        expect(status).toBe(503)
        expect(headers['content-type']).toBe('text/html; charset=utf-8')
        expect(headers['content-security-policy']).toMatch(/^default-src 'none'; /)
        expect(text).toContain('<code>npm install</code>')
      }
      expect((await get('/assets/index-Ab_12-cd.js', {}, 'GET', without.url)).status).toBe(404)
      expect((await get('/healthz', {}, 'GET', without.url)).status).toBe(200)
      await without.close()
    }
  })
})

describe('the server', () => {
  it('goes on, and closes the file, when a browser goes away in the middle of one', async () => {
    const open = () => readdir('/dev/fd').then((names) => names.length)
    const before = await open()
    const large = await mkdtemp(join(tmpdir(), 'latchkey-console-'))
    await writeConsole(large)
    await writeFile(join(large, 'assets', 'large.js'), '//'.repeat(20_000_000))
    const serving = await serve(world.dependencies, { consoleDirectory: large })
    const { hostname, port } = new URL(serving.url)
    for (let n = 0; n < 20; n++) {
      const socket = connect(Number(port), hostname)
      socket.write('GET /assets/large.js HTTP/1.1\r\nHost: x\r\n\r\n')
      await once(socket, 'data')
      socket.destroy()
    }
    await expect.poll(open, { timeout: 2_000 }).toBeLessThan(before + 10)
    await serving.close()
    await rm(large, { recursive: true })
  })

  it('goes on when a file that it had is gone', async () => {
    const changed = await mkdtemp(join(tmpdir(), 'latchkey-console-'))
    await writeConsole(changed)
    const serving = await serve(world.dependencies, { consoleDirectory: changed })
    await rm(join(changed, 'assets'), { recursive: true })
    await expect(get('/assets/index-Ab_12-cd.js', {}, 'GET', serving.url)).rejects.toThrow()
    expect(await get('/', {}, 'GET', serving.url)).toMatchObject({ status: 200, text: page })
    await serving.close()
    await rm(changed, { recursive: true })
  })
})
