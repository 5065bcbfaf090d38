import type { WebhookEventType } from '@latchkey/sdk'
import { Button, Checkbox, Textarea, TextInput } from '@mantine/core'
import { eventTypes, isEventType, wordsOf } from './event-types.ts'
import styles from './webhook-fields.module.css'

export interface WebhookDetails {
  url: string
  description: string
  eventTypes: readonly WebhookEventType[]
}

/** What the API would refuse in any case, by the fields’ names. */
export function findMissing({ url, eventTypes: chosen }: WebhookDetails): Record<string, string> {
  return {
    ...(url.trim() === '' && { url: 'Give the address to which messages are sent.' }),
    ...(chosen.length === 0 && { eventTypes: 'Choose at least one kind of event.' }),
  }
}

/** Where messages go, what for, and of which events. */
export function WebhookFields({
  details,
  onChange,
  mistakes,
  disabled,
}: {
  details: WebhookDetails
  onChange: (changed: Partial<WebhookDetails>) => void
  mistakes: Record<string, string>
  disabled: boolean
}) {
  const { url, description, eventTypes: chosen } = details
  const isAll = eventTypes.every((type) => chosen.includes(type))
  return (
    <>
      <TextInput
        type="url"
        label="Address"
        description="Begins with https:// and is on the public internet, such as https://example.com/hooks."
        required
        maxLength={2_000}
        data-autofocus
        value={url}
        disabled={disabled}
        error={mistakes.url}
        onChange={({ currentTarget }) => onChange({ url: currentTarget.value })}
      />
      <Textarea
        label="Description"
        description="Optional. Who looks after it, and what for."
        rows={2}
        maxLength={500}
        value={description}
        disabled={disabled}
        error={mistakes.description}
        onChange={({ currentTarget }) => onChange({ description: currentTarget.value })}
      />
      <div>
        <Checkbox.Group
          label="Events"
          description="What it is told of."
          required
          value={[...chosen]}
          disabled={disabled}
          error={mistakes.eventTypes}
          errorProps={{ mt: 'xs' }}
          onChange={(values) => onChange({ eventTypes: values.filter(isEventType) })}
        >
          <div className={styles.types}>
            {eventTypes.map((type) => {
              const { name, about } = wordsOf(type)
              return <Checkbox key={type} value={type} label={name} description={about} />
            })}
          </div>
        </Checkbox.Group>
        <Button
          variant="subtle"
          size="compact-sm"
          className={styles.all}
          disabled={disabled}
          onClick={() => onChange({ eventTypes: isAll ? [] : eventTypes })}
        >
          {isAll ? 'Choose none' : 'Choose all'}
        </Button>
      </div>
    </>
  )
}
