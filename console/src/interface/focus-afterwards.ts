/** Mantine gives the focus back a moment after a dialog has closed. */
const afterReturnMilliseconds = 50

/** Once a dialog has closed: what it was opened by may be gone, and something else has the focus then. */
export function focusAfterwards(id = 'content'): void {
  setTimeout(() => {
    if (document.activeElement === document.body) document.getElementById(id)?.focus()
  }, afterReturnMilliseconds)
}
