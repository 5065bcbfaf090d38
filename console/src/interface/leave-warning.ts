import { useBlocker } from '@tanstack/react-router'
import { useEffect } from 'react'

let held = 0
const waiting = new Set<() => void>()

/** Whether something is shown that would be lost with the page. */
export const isHeld = (): boolean => held > 0

/** At once, or when nothing is shown any more that would be lost. */
export function onceReleased(act: () => void): void {
  if (isHeld()) waiting.add(act)
  else act()
}

/**
 * Has the browser ask before it leaves or reloads the page, keeps every way within the console from leading elsewhere, and
 * holds back what becomes of the session in another tab.
 */
export function useLeaveWarning(isOn: boolean): void {
  useBlocker({ disabled: !isOn, enableBeforeUnload: isOn, shouldBlockFn: () => isOn })
  useEffect(() => {
    if (!isOn) return
    held++
    return () => {
      held--
      if (isHeld()) return
      const acts = [...waiting]
      waiting.clear()
      for (const act of acts) act()
    }
  }, [isOn])
}
