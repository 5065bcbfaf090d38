import { z } from 'zod'
import { description } from '../tokens/token-input.ts'
import { webhookEventTypes } from './event-types.ts'

const longestUrl = 2_000

const url = z
  .string('A webhook has an address.')
  .trim()
  .refine((text) => text.length <= longestUrl, `An address has at most ${longestUrl} characters.`)
  .refine((text) => URL.canParse(text), 'This is no address. One is such as https://example.com/hooks.')
  .transform((text) => new URL(text))
  .refine(({ protocol }) => protocol === 'https:' || protocol === 'http:', 'The address has to begin with https://.')
  .refine(
    ({ username, password }) => username === '' && password === '',
    'An address cannot hold a user name or a password. The signature tells the receiver who sends.',
  )
  .transform((address) => {
    address.hash = ''
    return address
  })
const eventTypes = z
  .array(z.enum(webhookEventTypes))
  .refine((types) => types.length > 0, 'Choose at least one type of event.')
  .transform((types) => webhookEventTypes.filter((type) => types.includes(type)))

export const newWebhook = z.object({ url, description: description.transform((text) => text ?? null), eventTypes })

/** Absent fields stay as they are. */
export const webhookChange = z.object({
  url: url.optional(),
  description,
  eventTypes: eventTypes.optional(),
  enabled: z.boolean('A webhook is either enabled or not: give true or false, or leave the field out.').optional(),
})
