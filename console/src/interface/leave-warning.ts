import { useBlocker } from '@tanstack/react-router'

/** Has the browser ask before it leaves or reloads the page, and keeps every way within the console from leading elsewhere. */
export function useLeaveWarning(isOn: boolean): void {
  useBlocker({ disabled: !isOn, enableBeforeUnload: isOn, shouldBlockFn: () => isOn })
}
