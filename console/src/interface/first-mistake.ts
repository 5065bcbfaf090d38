/** Leads to the field that has to be put right. */
export function focusFirstMistake(form: HTMLFormElement | null): void {
  // Once the mistakes are shown, and the fields can be used again.
  requestAnimationFrame(() =>
    form?.querySelector<HTMLElement>('[aria-invalid="true"], [data-error] :is(button, [type="checkbox"])')?.focus(),
  )
}
