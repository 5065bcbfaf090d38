import { ActionIcon, TextInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { IconSearch, IconX } from '@tabler/icons-react'
import { useEffect, useState } from 'react'
import styles from './search-field.module.css'

const searchAfterMilliseconds = 250

/** Searches as it is typed, once the typing pauses. */
export function SearchField({
  label,
  value,
  onSearch,
}: {
  label: string
  value: string
  onSearch: (text: string) => void
}) {
  const [text, setText] = useState(value)
  const search = useDebouncedCallback((typed: string) => onSearch(typed), searchAfterMilliseconds)
  // Where the address changed by other means than typing here.
  useEffect(() => setText((typed) => (typed.trim() === value ? typed : value)), [value])
  const change = (typed: string) => {
    setText(typed)
    search(typed)
  }
  return (
    <TextInput
      type="search"
      className={styles.search}
      aria-label={label}
      placeholder={label}
      maxLength={200}
      value={text}
      onChange={({ currentTarget }) => change(currentTarget.value)}
      leftSection={<IconSearch aria-hidden size={16} />}
      rightSection={
        text && (
          <ActionIcon variant="subtle" color="gray" aria-label="Clear the search" onClick={() => change('')}>
            <IconX aria-hidden size={14} />
          </ActionIcon>
        )
      }
    />
  )
}
