/** The words of RFC 7644, section 3.12, by which a client tells what went wrong. */
export type ScimType =
  | 'invalidFilter'
  | 'invalidPath'
  | 'invalidSyntax'
  | 'invalidValue'
  | 'mutability'
  | 'noTarget'
  | 'uniqueness'

/** Ends the request, or the operation of a bulk request. The message is its `detail`, and says what to do instead. */
export class ScimError extends Error {
  readonly status: number
  readonly scimType: ScimType | null
  readonly headers: Record<string, string>
  constructor(
    status: number,
    detail: string,
    { scimType = null, headers = {} }: { scimType?: ScimType | null; headers?: Record<string, string> } = {},
  ) {
    super(detail)
    this.status = status
    this.scimType = scimType
    this.headers = headers
  }
}

export const invalid = (scimType: ScimType, detail: string) => new ScimError(400, detail, { scimType })

export const notFound = () =>
  new ScimError(404, 'There is no such resource in the organization. It may have been deleted.')

/** RFC 7644, section 3.12. */
export const errorBody = ({ status, scimType, message }: ScimError) => ({
  schemas: ['urn:ietf:params:scim:api:messages:2.0:Error'],
  status: String(status),
  ...(scimType && { scimType }),
  detail: message,
})
