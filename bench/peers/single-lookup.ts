/** One prepared look-up by the primary key for each request, as `pgbench -S` makes them: what a server without gathering does. */
import { createServer } from 'node:http'
import pg from 'pg'
import { announce } from './announce.ts'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', async () => {
    const { rows } = await pool.query({
      name: 'lookup',
      text: 'select token_id from token_secrets where digest = $1',
      values: [Buffer.from(Buffer.concat(chunks).toString(), 'hex')],
    })
    const answer = JSON.stringify({ active: rows.length > 0, sub: rows[0]?.token_id })
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
    response.end(answer)
  })
})

server.listen(0, '127.0.0.1', () => announce(server))
