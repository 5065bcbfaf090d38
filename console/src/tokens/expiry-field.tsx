import { NativeSelect, Text, TextInput } from '@mantine/core'
import { describeDay, describeExactly } from '../interface/instant.tsx'
import { dayOf, daysUntil, type Expiry, type ExpiryPolicy, endOf, lifetimesFor } from './expiry.ts'

/** When a token expires, out of what the organization's policy allows. */
export function ExpiryField({
  value,
  onChange,
  policy,
  latest,
  error,
  disabled = false,
  present,
}: {
  value: Expiry
  onChange: (expiry: Expiry) => void
  policy: ExpiryPolicy
  /** The last instant that the policy allows; null where it sets none. */
  latest: Date | null
  error: string | undefined
  disabled?: boolean
  /** The end that a token has, which may be kept. */
  present?: string | null
}) {
  const { lifetime, day } = value
  const now = new Date()
  const offered = lifetimesFor(policy, latest, now)
  const options = [
    ...(present === undefined ? [] : [{ lifetime: 'keep' as const, label: describePresent(present) }]),
    ...offered.map((option) => ({ lifetime: option, label: describe(option, policy, latest, now) })),
  ]
  return (
    <div>
      <NativeSelect
        label="Expiry"
        value={String(lifetime)}
        disabled={disabled}
        error={lifetime === 'day' ? undefined : error}
        onChange={({ currentTarget }) => {
          const chosen = options.find((option) => String(option.lifetime) === currentTarget.value)
          if (chosen) onChange({ ...value, lifetime: chosen.lifetime })
        }}
        data={options.map((option) => ({ value: String(option.lifetime), label: option.label }))}
      />
      {lifetime === 'day' && (
        <TextInput
          mt="xs"
          type="date"
          label="Last day"
          required
          min={dayOf(now)}
          {...(latest && { max: dayOf(latest) })}
          value={day}
          disabled={disabled}
          error={error}
          onChange={({ currentTarget }) => onChange({ ...value, day: currentTarget.value })}
        />
      )}
      <Text size="sm" c="dimmed" mt={6}>
        {explain(value, policy, latest, now)}
      </Text>
    </div>
  )
}

/** What is wrong with what was chosen, where it is anything. */
export function mistakeOf(expiry: Expiry, latest: Date | null, now: Date): string | undefined {
  if (expiry.lifetime !== 'day') return undefined
  const end = endOf(expiry, now, latest)
  if (!end) return 'Choose the last day.'
  if (latest && end > latest)
    return `Choose a day up to ${describeDay(latest)}: the organization’s policy allows none after it.`
  return undefined
}

const inDays = (days: number) => (days === 365 ? '1 year' : days === 1 ? '1 day' : `${days} days`)

function describe(
  lifetime: ReturnType<typeof lifetimesFor>[number],
  { defaultLifetimeDays }: ExpiryPolicy,
  latest: Date | null,
  now: Date,
): string {
  if (lifetime === 'day') return 'Until a day of your choice'
  if (lifetime === 'never') return 'No expiry'
  if (lifetime !== 'latest')
    return lifetime === defaultLifetimeDays ? `${inDays(lifetime)}, the default` : inDays(lifetime)
  const days = latest ? daysUntil(latest, now) : 0
  return days < 1 ? 'The longest that is allowed' : `${inDays(days)}, the longest that is allowed`
}

function describePresent(present: string | null): string {
  return present === null ? 'As it is: no expiry' : `As it is: ${describeDay(new Date(present))}`
}

function explain(value: Expiry, { longestLifetimeDays }: ExpiryPolicy, latest: Date | null, now: Date): string {
  const end = endOf(value, now, latest)
  if (end === null) {
    return 'It is accepted until someone deletes or disables it. If its value leaks, nothing else ends it.'
  }
  const longest = longestLifetimeDays && latest ? inDays(longestLifetimeDays) : null
  if (longest && latest && latest <= now) {
    return `By the organization’s policy a token ends ${longest} after its value was made, which has passed. It is accepted as it is; regenerate it before you give it another end.`
  }
  if (longest && latest && (!end || end > latest)) {
    return `By the organization’s policy a new end is ${describeExactly(latest)} at the latest, ${longest} after the value was made.`
  }
  if (value.lifetime === 'keep') return 'A new end counts from now.'
  if (!end) return 'It is accepted to the end of that day, in your time zone.'
  const within = longest ? `, up to ${longest} after its value was made` : ''
  return `It is refused from ${describeExactly(end)} on. You can move that at any time before${within}.`
}
