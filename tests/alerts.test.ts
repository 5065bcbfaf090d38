import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createMetrics } from '../server/observability/metrics.ts'
import { isInstalled } from './installed.ts'
import { alerts, alertsFile, dashboard } from './monitoring.ts'
import { readSeries } from './series.ts'

/** The values of series, a minute apart as Prometheus scrapes unless it is told otherwise, in the notation of promtool’s tests. */
type Series = Record<string, string>

interface Silent {
  when: string
  series: Series
}

/** For the first time at this minute, which is where its `for` is over. */
interface Firing extends Silent {
  at: number
  labels: Record<string, string>
  summary: string
}

const minutes = 90
const job = 'latchkey'
const instance = '10.0.0.11:9464'
const requests = (operation: string, outcome: string) =>
  `latchkey_http_requests_total{operation="${operation}",outcome="${outcome}"}`
const lookupFailures = 'latchkey_credential_lookup_failures_total'
const heartbeatAge = 'latchkey_invalidation_heartbeat_age_seconds'
const reconnections = 'latchkey_invalidation_reconnections_total'
const waiters = 'latchkey_database_connection_waiters{pool="lookup"}'
const eventLoopLag = 'nodejs_eventloop_lag_p99_seconds'
const hits = (limit: string) => `latchkey_rate_limit_hits_total{limit="${limit}"}`
const passwordRefusals = 'latchkey_password_hash_refusals_total'
const auditEvents = (action: string) => `latchkey_audit_events_total{action="${action}"}`
const overdue = 'latchkey_webhook_oldest_due_age_seconds'
const deliveries = (outcome: string) => `latchkey_webhook_deliveries_total{outcome="${outcome}"}`
const lastUses = 'latchkey_last_uses_waiting'

/** Everything that an instance tells from its start on, before anybody has asked it for anything. */
const metrics = createMetrics()
metrics.collectProcess()
const started = await readSeries(metrics)
const idle: Series = {
  up: `1x${minutes}`,
  ...Object.fromEntries([...started.keys()].map((name) => [name, `0x${minutes}`])),
}

/** Look-ups of which as many as these were answered within a tenth of a second, and the others soon after. */
const lookups = (fast: string, all: string): Series =>
  Object.fromEntries(
    [...started.keys()].flatMap((name) => {
      const [, bound] = /^latchkey_credential_lookup_duration_seconds_bucket\{le="(.*)"\}$/.exec(name) ?? []
      return bound === undefined ? [] : [[name, Number(bound.replace('+Inf', 'Infinity')) > 0.1 ? all : fast]]
    }),
  )

const cases: Record<string, { fires: [Firing, ...Firing[]]; silent: [Silent, ...Silent[]] }> = {
  LatchkeyNotScraped: {
    fires: [
      {
        when: 'an instance has not answered for a minute',
        series: { up: '1x2 0x10' },
        at: 4,
        labels: { instance, job },
        summary: `${instance} does not answer at its METRICS_PORT.`,
      },
      {
        when: 'no job has the name that the rules ask for',
        series: { up: `_x${minutes}` },
        at: 1,
        labels: { job },
        summary: 'Prometheus scrapes nothing as the job “latchkey”.',
      },
    ],
    silent: [{ when: 'an instance was missed once', series: { up: `1x2 0 1x${minutes}` } }],
  },
  LatchkeyUnavailable: {
    fires: [
      {
        when: 'two requests in a hundred have failed for minutes',
        series: {
          [requests('viewer', 'ok')]: `0+98x${minutes}`,
          [requests('viewer', 'UNAVAILABLE')]: `0+1x${minutes}`,
          [requests('scim', 'SCIM_503')]: `0+1x${minutes}`,
        },
        at: 3,
        labels: { job },
        summary: '2% of the requests end in UNAVAILABLE or INTERNAL.',
      },
      {
        when: 'failures that there were none of before go on, however many probes succeed',
        series: {
          [requests('healthz', 'ok')]: `0+1000x${minutes}`,
          [requests('readyz', 'ok')]: `0+1000x${minutes}`,
          [requests('viewer', 'ok')]: `0+1x${minutes}`,
          [requests('viewer', 'INTERNAL')]: `_x5 1+1x${minutes}`,
        },
        at: 8,
        labels: { job },
        summary: '50% of the requests end in UNAVAILABLE or INTERNAL.',
      },
    ],
    silent: [
      {
        when: 'one request in a hundred fails',
        series: {
          [requests('viewer', 'ok')]: `0+99x${minutes}`,
          [requests('viewer', 'INTERNAL')]: `0+1x${minutes}`,
        },
      },
      {
        when: 'many of few requests failed within one minute',
        series: {
          [requests('viewer', 'ok')]: `0+5x${minutes}`,
          [requests('viewer', 'INTERNAL')]: `1x10 6x${minutes}`,
        },
      },
      {
        when: 'what has failed long ago was the last that was asked for',
        series: { [requests('viewer', 'ok')]: `5x${minutes}`, [requests('viewer', 'INTERNAL')]: `5x${minutes}` },
      },
      {
        when: 'an instance that is not ready says so to the probes, and is sent no requests',
        series: {
          [requests('healthz', 'ok')]: `0+6x${minutes}`,
          [requests('readyz', 'UNAVAILABLE')]: `0+30x${minutes}`,
          [requests('viewer', 'ok')]: `0+100x${minutes}`,
        },
      },
      {
        when: 'callers are refused, or hang up',
        series: {
          [requests('introspect', 'RATE_LIMITED')]: `0+100x${minutes}`,
          [requests('scim', 'SCIM_404')]: `0+100x${minutes}`,
          [requests('viewer', 'hung_up')]: `0+100x${minutes}`,
        },
      },
    ],
  },
  LatchkeyLookupsUnanswered: {
    fires: [
      {
        when: 'questions have gone without an answer for minutes',
        series: { [lookupFailures]: `0+1x${minutes}` },
        at: 3,
        labels: { instance },
        summary: `${instance} cannot verify tokens: the database does not answer in time.`,
      },
    ],
    silent: [
      { when: 'questions went without an answer once', series: { [lookupFailures]: `0x10 7x${minutes}` } },
      { when: 'the instance starts anew', series: { [lookupFailures]: `7x10 0x${minutes}` } },
    ],
  },
  LatchkeyVerificationSlow: {
    fires: [
      {
        when: 'two look-ups in a hundred have taken longer than a tenth of a second for minutes',
        series: lookups(`0+98x${minutes}`, `0+100x${minutes}`),
        at: 6,
        labels: { instance },
        summary: `One in a hundred look-ups on ${instance} takes longer than a tenth of a second.`,
      },
    ],
    silent: [
      { when: 'one look-up in a hundred does', series: lookups(`0+99x${minutes}`, `0+100x${minutes}`) },
      { when: 'all did within one minute', series: lookups(`0x${minutes}`, `0x10 9x${minutes}`) },
      { when: 'nothing is looked up any more', series: lookups(`90x${minutes}`, `100x${minutes}`) },
    ],
  },
  LatchkeyInvalidationsStale: {
    fires: [
      {
        when: 'no heartbeat was heard for longer than five seconds',
        series: { [heartbeatAge]: '0x3 5.1x10' },
        at: 4,
        labels: { instance, job },
        summary: `${instance} hears of no invalidation, so that its verifiers trust their caches no longer.`,
      },
    ],
    silent: [{ when: 'the last heartbeat was five seconds ago', series: { [heartbeatAge]: `5x${minutes}` } }],
  },
  LatchkeyInvalidationsUnsteady: {
    fires: [
      {
        when: 'the connection was lost every minute for a quarter of an hour',
        series: { [reconnections]: `0x5 1+1x${minutes}` },
        at: 19,
        labels: { instance, job },
        summary: `${instance} loses the connection by which it hears of invalidations again and again.`,
      },
    ],
    silent: [
      {
        when: 'the connection is lost every two minutes',
        series: { [reconnections]: Array.from({ length: minutes }, (_, minute) => Math.floor(minute / 2)).join(' ') },
      },
      {
        when: 'the database was away for a while',
        series: { [reconnections]: `0x5 1x${minutes}` },
      },
    ],
  },
  LatchkeyConnectionsExhausted: {
    fires: [
      {
        when: 'there was a queue for a connection for minutes',
        series: { [waiters]: '0x2 3x20' },
        at: 6,
        labels: { instance, job, pool: 'lookup' },
        summary: `On ${instance}, requests wait for a connection of the pool “lookup”.`,
      },
    ],
    silent: [
      { when: 'the queue was empty every other minute', series: { [waiters]: '0 9 '.repeat(minutes / 2) } },
      { when: 'there was a queue for two minutes', series: { [waiters]: `0x2 9 9 9 0x${minutes}` } },
    ],
  },
  LatchkeyEventLoopLate: {
    fires: [
      {
        when: 'the event loop was late by more than a fifth of a second for five minutes',
        series: { [eventLoopLag]: '0.21x20' },
        at: 5,
        labels: { instance, job },
        summary: `${instance} has more to do than a processor’s time.`,
      },
    ],
    silent: [
      { when: 'it is late by a fifth of a second', series: { [eventLoopLag]: `0.2x${minutes}` } },
      { when: 'it was late for four minutes', series: { [eventLoopLag]: `2x4 0.01x${minutes}` } },
    ],
  },
  LatchkeyGuessing: {
    fires: [
      {
        when: 'accounts’ limits were hit more than fifty times in ten minutes',
        series: { [hits('signInsByAccount')]: '0x3 51x20' },
        at: 4,
        labels: { limit: 'signInsByAccount' },
        summary: 'Somebody guesses at passwords: “signInsByAccount” was hit 51 times in ten minutes.',
      },
      {
        when: 'an address’s limit was',
        series: { [hits('signInsByAddress')]: '0x3 51x20' },
        at: 4,
        labels: { limit: 'signInsByAddress' },
        summary: 'Somebody guesses at passwords: “signInsByAddress” was hit 51 times in ten minutes.',
      },
    ],
    silent: [
      { when: 'a limit was hit fifty times', series: { [hits('signInsByAccount')]: `0x20 50x${minutes}` } },
      { when: 'a limit of another kind is hit', series: { [hits('verifications')]: `0+100x${minutes}` } },
      { when: 'the instance starts anew', series: { [hits('signInsByAddress')]: `900x10 0x${minutes}` } },
    ],
  },
  LatchkeyPasswordsRefused: {
    fires: [
      {
        when: 'a password was not looked at',
        series: { [passwordRefusals]: '0x3 1x10' },
        at: 4,
        labels: { instance, job },
        summary: `${instance} turns sign-ins away, since too many passwords wait to be compared.`,
      },
    ],
    silent: [
      { when: 'that was before the instance started anew', series: { [passwordRefusals]: `8x10 0x${minutes}` } },
    ],
  },
  LatchkeyRetiredSecretUsed: {
    fires: [
      {
        when: 'a replaced secret was presented',
        series: { [auditEvents('token.retired_secret_used')]: '0x3 1x10' },
        at: 4,
        labels: {},
        summary: 'Something still presents a secret that was replaced.',
      },
    ],
    silent: [
      { when: 'something else is in the audit log', series: { [auditEvents('token.deleted')]: `0+9x${minutes}` } },
      {
        when: 'that was before the instance started anew',
        series: { [auditEvents('token.retired_secret_used')]: `3x10 0x${minutes}` },
      },
    ],
  },
  LatchkeyWebhooksLate: {
    fires: [
      {
        when: 'a message has been overdue for five minutes more',
        series: { [overdue]: '301x20' },
        at: 5,
        labels: { job },
        summary: 'A webhook message has been due for 5m 1s.',
      },
    ],
    silent: [
      { when: 'a message has been due for five minutes', series: { [overdue]: `300x${minutes}` } },
      { when: 'an old message was sent after four minutes', series: { [overdue]: `900x4 0x${minutes}` } },
    ],
  },
  LatchkeyWebhooksFailing: {
    fires: [
      {
        when: 'more than half of the messages were not taken for half an hour',
        series: { [deliveries('failed')]: `0+51x${minutes}`, [deliveries('delivered')]: `0+49x${minutes}` },
        at: 31,
        labels: { job },
        summary: 'Most webhook messages are not taken by their receivers.',
      },
    ],
    silent: [
      {
        when: 'half of the messages are not taken',
        series: { [deliveries('failed')]: `0+50x${minutes}`, [deliveries('delivered')]: `0+50x${minutes}` },
      },
      { when: 'the only message was not taken', series: { [deliveries('failed')]: `0x5 1x${minutes}` } },
      { when: 'messages that were not taken were the last', series: { [deliveries('failed')]: `9x${minutes}` } },
    ],
  },
  LatchkeyLastUsesBehind: {
    fires: [
      {
        when: 'more than a hundred thousand last uses have waited for ten minutes',
        series: { [lastUses]: '100001x20' },
        at: 10,
        labels: { instance, job },
        summary: `${instance} is behind with writing when tokens were last used; beyond 200,000 it leaves some out.`,
      },
    ],
    silent: [
      { when: 'a hundred thousand wait', series: { [lastUses]: `100000x${minutes}` } },
      { when: 'they were written after nine minutes', series: { [lastUses]: `150000x9 0x${minutes}` } },
    ],
  },
}

it('has for every alert what makes it fire and what does not', () => {
  expect(Object.keys(cases)).toEqual(alerts.map(({ alert }) => alert))
})

describe.runIf(isInstalled('promtool'))('Prometheus', () => {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-alerts-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  /** Every file that promtool reads is YAML, and so is JSON. */
  function promtool(command: 'check' | 'test', content: object): string {
    const file = join(directory, `${command}.json`)
    writeFileSync(file, JSON.stringify(content))
    return execFileSync('promtool', [command, 'rules', file], { encoding: 'utf8', stdio: 'pipe' })
  }

  /** Every alert at every minute until the end: the one at its minute, and otherwise none. Throws what promtool finds. */
  function tryAlerts(series: Series, fires?: Firing & { alert: string }): void {
    const given = Object.entries({ ...idle, ...series }).map(([name, values]) => {
      const [, metric, labels = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(name) ?? []
      return { series: `${metric}{${labels}${labels && ','}instance="${instance}",job="${job}"}`, values }
    })
    const expected = (rule: (typeof alerts)[number], minute: number) => {
      if (!fires || rule.alert !== fires.alert || minute !== fires.at) return []
      const { action } = rule.annotations
      return [{ exp_labels: { ...rule.labels, ...fires.labels }, exp_annotations: { action, summary: fires.summary } }]
    }
    const asked = Array.from({ length: (fires?.at ?? minutes) + 1 }, (_, minute) => minute)
    promtool('test', {
      rule_files: [alertsFile],
      tests: [
        {
          interval: '1m',
          input_series: given,
          alert_rule_test: asked.flatMap((minute) =>
            alerts.map((rule) => ({
              eval_time: `${minute}m`,
              alertname: rule.alert,
              exp_alerts: expected(rule, minute),
            })),
          ),
        },
      ],
    })
  }

  it('takes the rules, none of them twice', () => {
    const said = execFileSync('promtool', ['check', 'rules', '--lint-fatal', alertsFile], { encoding: 'utf8' })
    expect(said).toContain(`SUCCESS: ${alerts.length} rules found`)
  })

  it('takes each query of the dashboard', () => {
    const rules = dashboard.panels.flatMap(({ id, targets = [] }) =>
      targets.map(({ expr }, nth) => ({
        record: `panel${id}:query${nth}`,
        expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
      })),
    )
    expect(rules.filter(({ expr }) => expr.includes('$'))).toEqual([])
    expect(rules.length).toBeGreaterThan(20)
    expect(promtool('check', { groups: [{ name: 'dashboard', rules }] })).toContain(
      `SUCCESS: ${rules.length} rules found`,
    )
  })

  it('lets no alert fire where nobody asks for anything', () => tryAlerts({}))

  for (const [alert, { fires, silent }] of Object.entries(cases)) {
    describe(alert, () => {
      it.each(fires)('fires, and no other does, where $when', (firing) =>
        tryAlerts(firing.series, { alert, ...firing }),
      )

      it.each(silent)('does not fire, nor any other, where $when', ({ series }) => tryAlerts(series))
    })
  }
})
