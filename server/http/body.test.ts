import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { CallerGone } from '../caller-gone.ts'
import { BodyRefused, IncomingRequest, mostBodyBytes, readBody } from './body.ts'

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A server that answers what `act` makes of a request, or the name of what it throws, and connections to it. */
async function open(act: (request: IncomingRequest) => Promise<string>) {
  const told: string[] = []
  const server = createServer({ IncomingMessage: IncomingRequest }, (request, response) => {
    void act(request)
      .catch((error: unknown) => (error instanceof Error ? error.constructor.name : 'no error'))
      .then((text) => {
        told.push(text)
        response.end(text)
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  async function connection(): Promise<Socket> {
    const socket = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    await once(socket, 'connect')
    closing.push(() => socket.destroy())
    return socket
  }
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { socket: await connection(), connection, told }
}

const post = (body: string, length = Buffer.byteLength(body)) =>
  `POST / HTTP/1.1\r\nhost: latchkey\r\ncontent-length: ${length}\r\n\r\n${body}`

describe('the body of a request', () => {
  it('is read whole, in however many parts it comes', async () => {
    const { socket, told } = await open(readBody)
    const text = 'ä lantern under the stairs'
    const bytes = Buffer.from(post(text))
    for (const byte of bytes) {
      socket.write(Buffer.of(byte))
      await delay(1)
    }
    await expect.poll(() => told).toEqual([text])
  })

  it('is read where it has come before anyone asked for it', async () => {
    const { socket, told } = await open(async (request) => {
      await delay(50)
      return readBody(request)
    })
    socket.write(post('early', 9))
    await delay(10)
    socket.write(' or')
    await delay(10)
    socket.write('!')
    await expect.poll(() => told).toEqual(['early or!'])
    socket.write(post(''))
    await expect.poll(() => told).toEqual(['early or!', ''])
  })

  it('is each request’s own on a connection that carries several at once', async () => {
    const { socket, told } = await open(readBody)
    const texts = Array.from({ length: 20 }, (_, nth) => `body ${nth}`)
    socket.write(texts.map((text) => post(text)).join(''))
    await expect.poll(() => told).toEqual(texts)
  })

  it('leaves the connection as it should be where nobody reads it', async () => {
    const { socket, told } = await open(async ({ url = '' }) => url)
    socket.write(post('unread'))
    await expect.poll(() => told).toEqual(['/'])
    socket.write(post('neither'))
    await expect.poll(() => told).toEqual(['/', '/'])
  })

  it('is refused once it is too large, and the rest of it can be drained', async () => {
    let ended = false
    const { socket, told } = await open(async (request) => {
      try {
        return await readBody(request)
      } catch (error) {
        request.once('end', () => {
          ended = true
        })
        request.resume()
        throw error
      }
    })
    const size = mostBodyBytes + 100_000
    socket.write(
      `POST / HTTP/1.1\r\nhost: latchkey\r\ntransfer-encoding: chunked\r\n\r\n${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`,
    )
    await expect.poll(() => told).toEqual([BodyRefused.name])
    expect(ended).toBe(false)
    socket.write('0\r\n\r\n')
    await expect.poll(() => ended).toBe(true)
  })

  it('may be as large as is allowed', async () => {
    const { socket, told } = await open(async (request) => String((await readBody(request)).length))
    socket.write(post('x'.repeat(mostBodyBytes)))
    await expect.poll(() => told).toEqual([String(mostBodyBytes)])
  })

  it('is kept no longer by a connection that stays open', async () => {
    setFlagsFromString('--expose-gc')
    const collect: unknown = runInNewContext('gc')
    if (typeof collect !== 'function') throw new Error('There is no garbage collector to call.')
    const bytes = () => {
      collect()
      return process.memoryUsage().arrayBuffers
    }
    const { connection, told } = await open(async (request) => String((await readBody(request)).length))
    const before = bytes()
    for (let nth = 0; nth < 20; nth++) (await connection()).write(post('x'.repeat(mostBodyBytes)))
    await expect.poll(() => told).toHaveLength(20)
    await expect.poll(() => bytes() - before, { timeout: 5_000 }).toBeLessThan(5 * mostBodyBytes)
  })

  it('that is cut short has no caller any more', async () => {
    const { socket, told } = await open(readBody)
    socket.write(post('half', 8))
    await delay(50)
    socket.destroy()
    await expect.poll(() => told).toEqual([CallerGone.name])
  })

  it('that is asked for after the caller has hung up has none either', async () => {
    const { socket, told } = await open(async (request) => {
      await delay(150)
      return readBody(request)
    })
    socket.write(post('half', 8))
    await delay(50)
    socket.destroy()
    await expect.poll(() => told).toEqual([CallerGone.name])
  })
})
