import { describe, expect, it } from 'vitest'
import { writeCsv } from './audit-csv.ts'

const event = {
  id: 'evt_1',
  at: '2026-11-25T12:00:00.000Z',
  action: 'token.created',
  actor: 'owner@example.com',
  target: 'Jenkins',
  targetId: 'tok_1',
  ipAddress: null,
  userAgent: null,
}

describe('the CSV of events', () => {
  it('is as RFC 4180 has it, whatever the texts hold', () => {
    expect(writeCsv([event, { ...event, target: 'a, "b"\nc' }])).toBe(
      'at,action,actor,target,targetId,ipAddress,userAgent,id\r\n' +
        '2026-11-25T12:00:00.000Z,token.created,owner@example.com,Jenkins,tok_1,,,evt_1\r\n' +
        '2026-11-25T12:00:00.000Z,token.created,owner@example.com,"a, ""b""\nc",tok_1,,,evt_1\r\n',
    )
  })

  it('holds no text that a spreadsheet would take for a formula', () => {
    for (const text of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1']) {
      const [, row = ''] = writeCsv([{ ...event, actor: text }]).split('\r\n2026')
      expect(row).toMatch(/^-11-25T12:00:00.000Z,token.created,"?'/)
    }
  })
})
