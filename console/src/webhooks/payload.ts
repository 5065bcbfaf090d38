/** With line breaks, for people; a text that is no JSON as it is. */
export function layOut(payload: string): string {
  const content = parse(payload)
  return content === undefined ? payload : JSON.stringify(content, null, 2)
}

/** How the token that a message is about was called then. */
export function labelIn(payload: string): string | null {
  const content = parse(payload)
  if (!isRecord(content) || !isRecord(content.data)) return null
  const { label } = content.data
  return typeof label === 'string' ? label : null
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
