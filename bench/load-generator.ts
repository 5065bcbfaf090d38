import { createConnection, type Socket } from 'node:net'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { Load, Measured } from './contender.ts'

// A process of its own, which takes a `Load` from the one that started it, and gives back what came of it. It shares the
// processors with what it measures, so it is written for this alone: requests are bytes made beforehand, an answer is looked
// at where it arrived. autocannon 9 takes as much of them for a request as a bare node:http handler does, and that at the
// cost of whatever else needs both, as a server and its database do.

/** No answer that is measured comes near. */
const mostReadAtOnce = 262_144

process.once('message', (load: Load) => {
  void generate(load).then((measured) => process.send?.(measured, () => process.disconnect()))
})

async function generate({ warmUpSeconds, seconds, ...load }: Load): Promise<Measured> {
  const counted = { microseconds: createHistogram(), refused: 0, isOn: false }
  const sockets = Array.from({ length: load.connections }, (_, nth) => openConnection(load, nth, counted))
  await delay(warmUpSeconds * 1_000)
  counted.isOn = true
  const begun = performance.now()
  await delay(seconds * 1_000)
  counted.isOn = false
  const elapsed = performance.now() - begun
  const { microseconds, refused } = counted
  for (const socket of sockets) socket.destroy()
  return {
    perSecond: (microseconds.count / elapsed) * 1_000,
    medianMilliseconds: microseconds.percentile(50) / 1_000,
    slowestMilliseconds: microseconds.percentile(99) / 1_000,
    refused,
  }
}

/** From the request to the end of its answer, while it is on. */
interface Counted {
  microseconds: RecordableHistogram
  refused: number
  isOn: boolean
}

/** Each connection asks about secrets of its own, over and over, so that none is asked about twice at the same moment. */
function openConnection(load: Omit<Load, 'warmUpSeconds' | 'seconds'>, nth: number, counted: Counted): Socket {
  const share = nth % Math.min(load.connections, load.bodies.length)
  const requests = load.bodies.filter((_, index) => index % load.connections === share).map((body) => write(load, body))
  let sent = 0
  let sentAt = 0
  const ask = () => {
    sentAt = performance.now()
    const request = requests[sent++ % requests.length]
    if (request) socket.write(request)
  }
  const read = createAnswerReader(load.expected, (isExpected) => {
    if (!isExpected) counted.refused++
    else if (counted.isOn) counted.microseconds.record(Math.max(1, Math.round((performance.now() - sentAt) * 1_000)))
    ask()
  })
  const { hostname, port } = new URL(load.url)
  const onread = {
    buffer: Buffer.alloc(mostReadAtOnce),
    callback(length: number, bytes: Uint8Array) {
      read(Buffer.from(bytes.buffer, bytes.byteOffset, length))
      return true
    },
  }
  const socket = createConnection({ host: hostname, port: Number(port), noDelay: true, onread }, ask)
  socket.on('error', () => undefined).on('close', () => counted.refused++)
  return socket
}

function write({ url, path, headers }: Pick<Load, 'url' | 'path' | 'headers'>, body: string): Buffer {
  const lines = Object.entries({ host: new URL(url).host, ...headers, 'content-length': Buffer.byteLength(body) })
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
  )
}

/** Takes the bytes of one answer after another as they come, and tells of each whether it is a 200 that contains what is expected. */
function createAnswerReader(expected: string, onAnswer: (isExpected: boolean) => void): (bytes: Buffer) => void {
  let held: Buffer | null = null
  return (bytes) => {
    const come = held ? Buffer.concat([held, bytes]) : bytes
    const head = come.indexOf('\r\n\r\n')
    const isWhole = head >= 0 && hasWholeBody(come, head)
    held = isWhole ? null : Buffer.from(come)
    if (isWhole) onAnswer(come.toString('latin1', 0, 13) === 'HTTP/1.1 200 ' && come.indexOf(expected, head) >= 0)
  }
}

const blankLine = 4

function hasWholeBody(come: Buffer, head: number): boolean {
  const length = /\r\ncontent-length: *(\d+)/i.exec(come.toString('latin1', 0, head))?.[1]
  // In chunks otherwise, the last of which is empty.
  return length === undefined ? come.subarray(-7).equals(lastChunk) : come.length >= head + blankLine + Number(length)
}

const lastChunk = Buffer.from('\r\n0\r\n\r\n')
