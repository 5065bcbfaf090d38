import { useEffect } from 'react'

/** The title of the browser's tab, which is also what a screen reader says of a page. */
export function usePageTitle(...parts: string[]): void {
  const title = [...parts, 'Latchkey'].join(' · ')
  useEffect(() => {
    document.title = title
  }, [title])
}
