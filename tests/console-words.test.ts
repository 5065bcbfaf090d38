import { readFileSync } from 'node:fs'
import { buildSchema, getDirectiveValues } from 'graphql'
import { describe, expect, it } from 'vitest'
import { auditActions as words } from '../console/src/audit/audit-actions.ts'
import { managingRoles, rolesReadingMembers } from '../console/src/session/roles.ts'
import { auditActions } from '../server/audit/record-event.ts'

const contract = buildSchema(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'))

function rolesThatMay(name: string): unknown {
  const hasRole = contract.getDirective('hasRole')
  const fields = { ...contract.getQueryType()?.getFields(), ...contract.getMutationType()?.getFields() }
  const node = fields[name]?.astNode
  return hasRole && node ? getDirectiveValues(hasRole, node)?.anyOf : undefined
}

describe('the console', () => {
  it('has words for every action of the audit log, and for no other', () => {
    expect(Object.keys(words).sort()).toEqual([...auditActions].sort())
  })

  it('offers managing tokens, members and groups to those whom the contract lets, and to no others', () => {
    const used = [
      'integrationTokens',
      'integrationToken',
      'tokenRoles',
      'auditEvents',
      'webhooks',
      'webhook',
      'webhookDeliveries',
      'groups',
      'tokenPolicy',
      'invitations',
    ]
    const changing = ['createToken', 'updateToken', 'regenerateToken', 'deleteToken', 'setGroupRole']
    const changingWebhooks = ['create', 'update', 'delete', 'test', 'redeliver'].map((verb) => `${verb}Webhook`)
    const changingRules = ['updateTokenPolicy', ...['create', 'update', 'delete'].map((verb) => `${verb}TokenRole`)]
    const changingMembers = ['setMemberRole', 'setMemberActive', 'inviteMember', 'revokeInvitation']
    const changes = [...changing, ...changingWebhooks, 'regenerateWebhookSecret', ...changingRules, ...changingMembers]
    for (const name of [...used, ...changes]) {
      expect({ name, anyOf: rolesThatMay(name) }).toEqual({ name, anyOf: managingRoles })
    }
  })

  it('shows the members to those whom the contract lets see them, and to no others', () => {
    expect(rolesThatMay('members')).toEqual(rolesReadingMembers)
  })
})
