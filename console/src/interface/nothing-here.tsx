import { IconMapPinOff } from '@tabler/icons-react'
import { Notice } from './notice.tsx'
import { usePageTitle } from './page-title.ts'
import { TextLink } from './text-link.tsx'

export function NothingHere() {
  usePageTitle('Not found')
  return (
    <Notice
      order={1}
      icon={<IconMapPinOff />}
      title="There is nothing at this address"
      action={<TextLink to="/">Go to your organization</TextLink>}
    >
      Look for a mistake in the address, or whether what you are looking for was deleted.
    </Notice>
  )
}
