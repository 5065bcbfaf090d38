import { unwrap } from '@latchkey/sdk'
import { describe, expect, it } from 'vitest'
import { scimClient } from './scim.ts'
import { openWorld, type World } from './world.ts'

const message =
  'This is the last SCIM token that is in use: provisioning stops with it. Send force: true to do it all the same.'

async function newToken(world: World, { used }: { used: boolean }): Promise<string> {
  const input = { label: `SCIM ${Math.random()}`, roleId: 'role_scim' }
  const { token, secret } = unwrap((await world.alpha.owner.createToken({ input })).createToken)
  if (used) expect((await scimClient(world, secret).get('/Users?count=0')).status).toBe(200)
  await world.dependencies.lastUse.flush()
  return token.id
}

describe('the last SCIM token that is in use', () => {
  it('is neither deleted nor disabled but with “force”, and is renamed without', async () => {
    await using world = await openWorld()
    const { owner } = world.alpha
    const id = await newToken(world, { used: true })
    await newToken(world, { used: false })
    const { deleteToken } = await owner.deleteToken({ input: { id } })
    expect(deleteToken).toEqual({ __typename: 'ConfirmationNeeded', message })
    const { updateToken } = await owner.updateToken({ input: { id, label: 'Changed', enabled: false } })
    expect(updateToken).toEqual({ __typename: 'ConfirmationNeeded', message })
    expect(await owner.integrationToken({ id })).toMatchObject({ integrationToken: { status: 'ACTIVE' } })
    unwrap((await owner.updateToken({ input: { id, label: 'Renamed' } })).updateToken)
    unwrap((await owner.updateToken({ input: { id, enabled: true } })).updateToken)
    unwrap((await owner.updateToken({ input: { id, enabled: false, force: true } })).updateToken)
    // Out of use already, so that nothing stops with it.
    unwrap((await owner.deleteToken({ input: { id } })).deleteToken)
    const last = await newToken(world, { used: true })
    unwrap((await owner.deleteToken({ input: { id: last, force: true } })).deleteToken)
  })

  it('is not one that has not been used within 30 days, nor one beside another that has', async () => {
    await using world = await openWorld()
    const { owner } = world.alpha
    const unused = await newToken(world, { used: false })
    unwrap((await owner.deleteToken({ input: { id: unused } })).deleteToken)
    const old = await newToken(world, { used: true })
    await world.sql(`update token_uses set last_used_at = now() - interval '31 days' where token_id = $1`, [old])
    unwrap((await owner.deleteToken({ input: { id: old } })).deleteToken)
    const [one, other] = [await newToken(world, { used: true }), await newToken(world, { used: true })]
    unwrap((await owner.deleteToken({ input: { id: one } })).deleteToken)
    expect((await owner.deleteToken({ input: { id: other } })).deleteToken.__typename).toBe('ConfirmationNeeded')
  })

  it('stays of two that are deleted at once', async () => {
    await using world = await openWorld()
    const ids = [await newToken(world, { used: true }), await newToken(world, { used: true })]
    const answers = await Promise.all(ids.map((id) => world.alpha.owner.deleteToken({ input: { id } })))
    expect(answers.map(({ deleteToken }) => deleteToken.__typename).sort()).toEqual([
      'ConfirmationNeeded',
      'DeleteTokenPayload',
    ])
  })

  it('is of no other role: a pipeline’s goes without a word', async () => {
    await using world = await openWorld()
    const input = { label: 'Jenkins', roleId: 'role_ci' }
    const { token, secret } = unwrap((await world.alpha.owner.createToken({ input })).createToken)
    await world.introspect(secret)
    await world.dependencies.lastUse.flush()
    unwrap((await world.alpha.owner.deleteToken({ input: { id: token.id } })).deleteToken)
  })
})
