import type { TokenRole } from '@latchkey/sdk'
import { Button, CopyButton, Tabs, Text, Title } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { placesOf } from './places.ts'
import styles from './snippets.module.css'

export function Snippets({ role, onCopy }: { role: TokenRole; onCopy: () => void }) {
  const places = placesOf(role.id)
  const [first] = places
  if (!first) return null
  return (
    <section>
      <Title order={3} size="h6" mb="xs">
        Where it goes
      </Title>
      <Tabs defaultValue={first.id} variant="outline" keepMounted={false}>
        <Tabs.List aria-label="Where it goes">
          {places.map(({ id, name }) => (
            <Tabs.Tab key={id} value={id}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {places.map(({ id, steps, snippet }) => (
          <Tabs.Panel key={id} value={id} pt="sm">
            <Text size="sm">{steps}</Text>
            <pre className={styles.snippet}>{snippet}</pre>
            <CopyButton value={snippet}>
              {({ copied, copy }) => (
                <Button
                  variant="default"
                  size="compact-sm"
                  onClick={() => {
                    copy()
                    onCopy()
                  }}
                  leftSection={copied ? <IconCheck aria-hidden size={14} /> : <IconCopy aria-hidden size={14} />}
                >
                  {copied ? 'Copied the snippet' : 'Copy the snippet'}
                </Button>
              )}
            </CopyButton>
          </Tabs.Panel>
        ))}
      </Tabs>
    </section>
  )
}
