import { connect, type Socket } from 'node:net'

export interface HttpRequest {
  path: string
  headers: Record<string, string>
  body: string
}

export interface HttpAnswer {
  status: number
  headers: [name: string, value: string][]
  text: string
}

/** Kept connections to one address, each with one request at a time. */
export interface Connections {
  post(request: HttpRequest): Promise<HttpAnswer>
  /** What the SDK’s client takes instead of the global `fetch`. */
  fetch: typeof fetch
  close(): void
}

interface Connection {
  socket: Socket
  received: string
  /** Of the request under way. */
  dueAt: number
  resolve: (answer: HttpAnswer) => void
  reject: (error: Error) => void
}

const checkMilliseconds = 250
const nothing = () => undefined

/**
 * HTTP/1.1 as far as the load needs it: where client, servers and database share the processors, what `fetch` or
 * `node:http` take for a request, as much as a server does, is missing there. It understands answers that say how long
 * they are, and takes every other for a failure.
 */
export function openConnections(url: string, timeoutMilliseconds: number): Connections {
  const { hostname, port, host } = new URL(url)
  const idle: Connection[] = []
  const busy = new Set<Connection>()
  const checking = setInterval(() => {
    for (const connection of busy)
      if (connection.dueAt < performance.now())
        connection.socket.destroy(new Error(`no answer in ${timeoutMilliseconds} ms`))
  }, checkMilliseconds).unref()

  function open(): Connection {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true }).setEncoding('latin1')
    const connection: Connection = { socket, received: '', dueAt: 0, resolve: nothing, reject: nothing }
    socket.on('data', (text: string) => {
      // What nobody waits for, such as word that the connection was idle for too long, must not be the next one's answer.
      if (!busy.has(connection)) return void socket.destroy()
      connection.received += text
      const answer = readAnswer(connection.received)
      if (answer) settle(connection, answer)
    })
    socket.on('error', (error) => fail(connection, error))
    socket.on('close', () => fail(connection, new Error('the connection was closed before there was an answer')))
    return connection
  }
  function settle(connection: Connection, answer: HttpAnswer): void {
    const { resolve } = connection
    busy.delete(connection)
    Object.assign(connection, { received: '', resolve: nothing, reject: nothing })
    if (answer.headers.some(([name, value]) => name === 'connection' && value === 'close')) connection.socket.destroy()
    else idle.push(connection)
    resolve(answer)
  }
  function fail(connection: Connection, error: Error): void {
    busy.delete(connection)
    if (idle.includes(connection)) idle.splice(idle.indexOf(connection), 1)
    connection.reject(error)
  }

  function post({ path, headers, body }: HttpRequest): Promise<HttpAnswer> {
    const connection = idle.pop() ?? open()
    busy.add(connection)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n`
    connection.dueAt = performance.now() + timeoutMilliseconds
    return new Promise((resolve, reject) => {
      Object.assign(connection, { resolve, reject })
      connection.socket.write(head + body)
    })
  }
  return {
    post,
    async fetch(input, { headers, body } = {}) {
      const { pathname: path } = new URL(String(input))
      const {
        status,
        headers: given,
        text,
      } = await post({
        path,
        headers: Object.fromEntries(new Headers(headers)),
        body: typeof body === 'string' ? body : '',
      })
      return new Response(text, { status, headers: given })
    },
    close() {
      clearInterval(checking)
      for (const { socket } of [...idle, ...busy]) socket.destroy()
    },
  }
}

/** Undefined until it is whole. */
function readAnswer(received: string): HttpAnswer | undefined {
  const bodyAt = received.indexOf('\r\n\r\n') + 4
  if (bodyAt < 4) return undefined
  const [first = '', ...lines] = received.slice(0, bodyAt - 4).split('\r\n')
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  const length = Number(headers.find(([name]) => name === 'content-length')?.[1] ?? Number.NaN)
  const status = Number(first.split(' ', 2)[1])
  // What is none is answered as one, so that whoever asked hears of it.
  if (Number.isNaN(length)) return { status: 0, headers, text: '' }
  if (received.length - bodyAt < length) return undefined
  return { status, headers, text: Buffer.from(received.slice(bodyAt, bodyAt + length), 'latin1').toString() }
}
