import { z } from 'zod'
import { InvalidInput } from '../refusal.ts'

/** The managed role that a service account may give. */
export const ciRoleId = 'role_ci'
export const longestOverlapSeconds = 604_800

/** Labels that look alike to a reader of another case or width are one label. */
export function labelKey(label: string): string {
  return label.normalize('NFKC').toLowerCase()
}

/** What a search looks in: any part of it, in any case. */
export function searchText(label: string, description: string | null): string {
  return description ? `${labelKey(label)}\n${labelKey(description)}` : labelKey(label)
}

// Format characters (Cf) can reorder or hide text in the audit log; the two joiners are part of ordinary words and emoji.
const invisible = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|[^\P{Cf}\u200c\u200d]/u
const invisibleButLines = /[^\P{Cc}\n\r\t]|[\p{Cs}\p{Zl}\p{Zp}]|[^\P{Cf}\u200c\u200d]/u
const characters = (text: string) => [...text].length

export const label = z
  .string('A label cannot be empty.')
  .trim()
  .refine((text) => characters(text) >= 1, 'A label has at least 1 character.')
  .refine((text) => characters(text) <= 100, 'A label has at most 100 characters.')
  .refine((text) => !invisible.test(text), 'A label cannot hold control characters, line breaks or invisible ones.')
export const description = z
  .string()
  .trim()
  .refine((text) => characters(text) <= 500, 'A description has at most 500 characters.')
  .refine((text) => !invisibleButLines.test(text), 'A description cannot hold control characters or invisible ones.')
  .transform((text) => text || null)
  .nullish()
const expiresAt = z.date().nullish()

export const newToken = z.object({
  label,
  description: description.transform((text) => text ?? null),
  roleId: z.string(),
  /** Left out, it is for the organization’s policy to say. */
  expiresAt,
  idempotencyKey: z
    .string()
    .refine((text) => text.length >= 1 && text.length <= 255, 'An idempotency key has 1 to 255 characters.')
    .nullish()
    .transform((key) => key ?? null),
})

/** Absent fields stay as they are. */
export const tokenChange = z.object({
  label: label.optional(),
  description,
  expiresAt,
  enabled: z.boolean('A token is either enabled or not: give true or false, or leave the field out.').optional(),
})

export const overlap = z.object({
  overlapSeconds: z
    .number()
    .refine(
      (seconds) => seconds >= 0 && seconds <= longestOverlapSeconds,
      `The overlap is 0 to ${longestOverlapSeconds} seconds (7 days).`,
    ),
})

/** Throws `InvalidInput` with one issue for each field that is wrong. */
export function readInput<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const messages = new Map<string, string>()
  for (const { path, message } of result.error.issues) {
    const field = path.join('.')
    if (!messages.has(field)) messages.set(field, message)
  }
  throw new InvalidInput([...messages].map(([path, message]) => ({ path, message })))
}
