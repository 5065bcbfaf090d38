import { NativeSelect, Text, TextInput } from '@mantine/core'
import { describeDay, describeExactly } from '../interface/instant.tsx'
import { dayOf, type Expiry, endOf, isLifetime, lifetimes } from './expiry.ts'

export function ExpiryField({
  value,
  onChange,
  error,
  disabled = false,
  present,
}: {
  value: Expiry
  onChange: (expiry: Expiry) => void
  error: string | undefined
  disabled?: boolean
  /** The end that a token has, which may be kept. */
  present?: string | null
}) {
  const { lifetime, day } = value
  const now = new Date()
  const end = endOf(value, now)
  return (
    <div>
      <NativeSelect
        label="Expiry"
        value={lifetime}
        disabled={disabled}
        error={lifetime === 'day' ? undefined : error}
        onChange={({ currentTarget }) => {
          if (isLifetime(currentTarget.value)) onChange({ ...value, lifetime: currentTarget.value })
        }}
        data={[
          ...(present === undefined ? [] : [{ value: 'keep', label: describePresent(present) }]),
          ...lifetimes.map(([option, label]) => ({ value: option, label })),
        ]}
      />
      {lifetime === 'day' && (
        <TextInput
          mt="xs"
          type="date"
          label="Last day"
          required
          min={dayOf(now)}
          value={day}
          disabled={disabled}
          error={error}
          onChange={({ currentTarget }) => onChange({ ...value, day: currentTarget.value })}
        />
      )}
      <Text size="sm" c="dimmed" mt={6}>
        {lifetime === 'keep'
          ? 'A new end counts from now.'
          : end === null
            ? 'It is accepted until someone deletes or disables it. If its value leaks, nothing else ends it.'
            : end
              ? `It is refused from ${describeExactly(end)} on. You can move that at any time before.`
              : 'It is accepted to the end of that day, in your time zone.'}
      </Text>
    </div>
  )
}

function describePresent(present: string | null): string {
  return present === null ? 'As it is: no expiry' : `As it is: ${describeDay(new Date(present))}`
}
