import { readFileSync } from 'node:fs'
import { buildSchema, getDirectiveValues } from 'graphql'
import { describe, expect, it } from 'vitest'
import { auditActions as words } from '../console/src/audit/audit-actions.ts'
import { managingRoles } from '../console/src/session/roles.ts'
import { auditActions } from '../server/audit/record-event.ts'

const contract = buildSchema(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'))

describe('the console', () => {
  it('has words for every action of the audit log, and for no other', () => {
    expect(Object.keys(words).sort()).toEqual([...auditActions].sort())
  })

  it('offers managing tokens to those whom the contract lets, and to no others', () => {
    const hasRole = contract.getDirective('hasRole')
    const fields = { ...contract.getQueryType()?.getFields(), ...contract.getMutationType()?.getFields() }
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
    ]
    const changing = ['createToken', 'updateToken', 'regenerateToken', 'deleteToken', 'setGroupRole']
    const changingWebhooks = ['create', 'update', 'delete', 'test', 'redeliver'].map((verb) => `${verb}Webhook`)
    const changingRules = ['updateTokenPolicy', ...['create', 'update', 'delete'].map((verb) => `${verb}TokenRole`)]
    const changes = [...changing, ...changingWebhooks, 'regenerateWebhookSecret', ...changingRules]
    for (const name of [...used, ...changes]) {
      const node = fields[name]?.astNode
      const { anyOf } = (hasRole && node && getDirectiveValues(hasRole, node)) ?? {}
      expect({ name, anyOf }).toEqual({ name, anyOf: managingRoles })
    }
  })
})
