import type { TokenRole } from '@latchkey/sdk'
import { Tabs, Text, Title } from '@mantine/core'
import { Snippet } from '../interface/snippet.tsx'
import { placesOf } from './places.ts'

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
            <Snippet text={snippet} onCopy={onCopy} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </section>
  )
}
