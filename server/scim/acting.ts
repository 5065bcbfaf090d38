import type { Acting } from '../dependencies.ts'

/** A caller that may provision, in their organization. */
export interface Provisioning extends Acting {
  /** The address of the service itself, which all others begin with. */
  base: string
}
