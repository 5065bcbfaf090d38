import { Anchor, Text, Title } from '@mantine/core'
import { Snippet } from '../interface/snippet.tsx'

const snippet = `import { Webhook } from 'standardwebhooks'

// Throws unless it is signed with the secret. The body is the text as it came.
const webhook = new Webhook(process.env.LATCHKEY_WEBHOOK_SECRET)
const { type, data } = webhook.verify(body, request.headers)`

/** What a receiver does with a signing secret. */
export function SignatureHint({ onCopy }: { onCopy: () => void }) {
  return (
    <section>
      <Title order={3} size="h6" mb="xs">
        What it is for
      </Title>
      <Text size="sm">
        With it the receiver makes sure that a message comes from here, and as it was sent. Any library for{' '}
        <Anchor href="https://www.standardwebhooks.com" target="_blank" rel="noreferrer" inherit underline="always">
          Standard Webhooks
        </Anchor>{' '}
        does that, in most languages. In JavaScript:
      </Text>
      <Snippet text={snippet} onCopy={onCopy} />
    </section>
  )
}
