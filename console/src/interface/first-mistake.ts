/** Leads to the field that has to be put right, or else to what is said of them all, which may be out of sight. */
export function focusFirstMistake(form: HTMLFormElement | null): void {
  // Once the mistakes are shown, and the fields can be used again.
  requestAnimationFrame(() => {
    const mistake = form?.querySelector<HTMLElement>(
      '[aria-invalid="true"], [data-error] :is(button, [type="checkbox"])',
    )
    if (mistake) mistake.focus()
    else form?.querySelector('[role="alert"]')?.scrollIntoView({ block: 'center' })
  })
}
