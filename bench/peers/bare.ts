/** The limit of node:http on this machine: reads the body and answers, with nothing in between, what introspection would. */
import { createServer } from 'node:http'
import { announce } from './announce.ts'

const answer = process.env.ANSWER ?? ''

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    Buffer.concat(chunks).toString()
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
    response.end(answer)
  })
})

server.listen(0, '127.0.0.1', () => announce(server))
