import { type RefObject, useEffect, useRef } from 'react'

/** For a control that is off while it is busy, which costs it the focus: it gets that back, unless something else has it. */
export function useFocusBack<Control extends HTMLElement>(isBusy: boolean): RefObject<Control | null> {
  const control = useRef<Control>(null)
  const wasBusy = useRef(isBusy)
  useEffect(() => {
    if (wasBusy.current && !isBusy && document.activeElement === document.body) control.current?.focus()
    wasBusy.current = isBusy
  }, [isBusy])
  return control
}
