import { withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { type Principal, principalId } from '../identity/principal.ts'
import { recordAction } from './record-event.ts'

/** In the organization’s own log; a service, which has none, is in the operator’s only. */
export async function recordDenial(acting: Acting<Principal>, name: string): Promise<void> {
  const { principal } = acting
  if (principal.kind !== 'service') {
    await withOrganization(acting.database, principal, (transaction) =>
      recordAction(transaction, { ...acting, principal }, 'access.denied', { name, id: null }),
    )
  }
  const { log, origin } = acting
  log.warn({ request: origin.request?.id, principal: principalId(principal), field: name }, 'access denied')
}
