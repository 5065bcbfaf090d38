import { Textarea, TextInput } from '@mantine/core'

export interface Details {
  label: string
  description: string
}

/** What a token is called, and what it is for. */
export function DetailsFields({
  details,
  onChange,
  mistakes,
  disabled,
}: {
  details: Details
  onChange: (changed: Partial<Details>) => void
  mistakes: Record<string, string>
  disabled: boolean
}) {
  return (
    <>
      <TextInput
        label="Label"
        description="What will use it, such as “Jenkins” or “Okta”. No two tokens have the same."
        required
        maxLength={100}
        data-autofocus
        value={details.label}
        disabled={disabled}
        error={mistakes.label}
        onChange={({ currentTarget }) => onChange({ label: currentTarget.value })}
      />
      <Textarea
        label="Description"
        description="Optional. Who looks after it, and what for."
        rows={2}
        maxLength={500}
        value={details.description}
        disabled={disabled}
        error={mistakes.description}
        onChange={({ currentTarget }) => onChange({ description: currentTarget.value })}
      />
    </>
  )
}
