import { GraphQLError } from 'graphql'

interface Place {
  nodes?: GraphQLError['nodes']
  source?: GraphQLError['source']
  positions?: GraphQLError['positions']
}

interface Http {
  status: number
  headers?: Record<string, string>
  /** Whether clients that accept `application/json` alone are answered 200, as GraphQL over HTTP has it. */
  spec?: boolean
}

/**
 * What is wrong with a request as such: its form, its document or its variables. The words are our own and hold nothing
 * that the caller sent but names that the contract has too; graphql-js and Yoga would quote whole values, secrets included.
 */
export class RequestProblem extends GraphQLError {
  constructor(message: string, { nodes, source, positions }: Place = {}, http: Http = { status: 400, spec: true }) {
    super(message, {
      nodes: nodes ?? null,
      source: source ?? null,
      positions: positions ?? null,
      extensions: { http },
    })
    const place = this.locations?.at(-1)
    if (place) this.message = `Line ${place.line}, column ${place.column}: ${message}`
  }
}

/** A document was named by a hash that this server does not know: the client sends the document itself instead. */
export class UnknownDocument extends RequestProblem {
  constructor() {
    super('No document is known here under this hash. Send it in “query”.')
  }
}
