import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { z } from 'zod'
import type { World } from './world.ts'

/** A message as a receiver has it. */
export interface Received {
  id: string
  type: string
  timestamp: string
  data: Record<string, unknown>
  headers: IncomingHttpHeaders
  body: string
}

/** The receiving end of webhooks. */
export interface Receiver extends AsyncDisposable {
  url: string
  /** Everything that came and was answered with a 2xx, in the order in which it came. */
  accepted: Received[]
  /** Everything that came. */
  received: Received[]
  /** What it answers from now on; null for nothing at all. */
  answer: number | null
  headers: Record<string, string>
  /** Answers all that still waits for an answer. */
  answerWaiting(status: number): void
}

const message = z.object({ type: z.string(), timestamp: z.string(), data: z.record(z.string(), z.unknown()) })

export async function openReceiver(): Promise<Receiver> {
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece)
    const body = Buffer.concat(pieces).toString()
    const { headers } = request
    const got = { ...message.parse(JSON.parse(body)), id: String(headers['webhook-id']), headers, body }
    receiver.received.push(got)
    if (receiver.answer === null) {
      waiting.push(response)
      return
    }
    if (receiver.answer < 300) receiver.accepted.push(got)
    response.writeHead(receiver.answer, receiver.headers).end()
  })
  const waiting: ServerResponse[] = []
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const receiver: Receiver = {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/hooks`,
    accepted: [],
    received: [],
    answer: 204,
    headers: {},
    answerWaiting(status) {
      for (const response of waiting.splice(0)) response.writeHead(status).end()
    },
    async [Symbol.asyncDispose]() {
      server.close().closeAllConnections()
      await once(server, 'close')
    },
  }
  return receiver
}

/** Throws unless the message is signed with the secret, as any receiver would check it. */
export function checkSignature(secret: string, { body, headers }: Received): void {
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
  new Webhook(secret).verify(body, given)
}

/** As if so much time had gone by, for all that waits to be sent. In the order in which the server locks it. */
export async function passTime({ sql }: Pick<World, 'sql'>, time: string): Promise<void> {
  await sql(
    `begin; select from webhooks order by id for update;
     update webhook_deliveries set due_at = due_at - interval '${time}', give_up_at = give_up_at - interval '${time}',
       created_at = created_at - interval '${time}' where status = 'PENDING';
     commit`,
  )
}
