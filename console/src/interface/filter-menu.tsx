import { Badge, Button, Checkbox, Popover, Stack, VisuallyHidden } from '@mantine/core'
import { IconChevronDown } from '@tabler/icons-react'
import { useId } from 'react'

/** A filter by any of a few values; none chosen is no filter. */
export function FilterMenu({
  name,
  options,
  chosen,
  onChange,
}: {
  name: string
  options: readonly (readonly [value: string, label: string])[]
  chosen: readonly string[]
  onChange: (chosen: string[]) => void
}) {
  const id = useId()
  return (
    <Popover position="bottom-start" trapFocus returnFocus shadow="md">
      <Popover.Target>
        <Button
          variant="default"
          rightSection={
            <>
              {chosen.length > 0 && (
                <Badge circle variant="filled" mr={6}>
                  {chosen.length}
                  <VisuallyHidden> chosen</VisuallyHidden>
                </Badge>
              )}
              <IconChevronDown aria-hidden size={14} />
            </>
          }
        >
          {name}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={name} mah={360} style={{ overflowY: 'auto' }}>
        <Checkbox.Group value={[...chosen]} onChange={onChange} label={name} labelProps={{ fw: 600, mb: 'xs' }}>
          <Stack gap="sm">
            {options.map(([value, label]) => (
              <Checkbox key={value} id={`${id}-${value}`} value={value} label={label} />
            ))}
          </Stack>
        </Checkbox.Group>
        <Button variant="subtle" size="compact-sm" mt="sm" disabled={chosen.length === 0} onClick={() => onChange([])}>
          Clear
        </Button>
      </Popover.Dropdown>
    </Popover>
  )
}
