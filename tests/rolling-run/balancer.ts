import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { findFreePort } from '../fault-run/own-postgres.ts'
import { isInstalled } from '../installed.ts'

export const balancerConfiguration = fileURLToPath(new URL('../../deploy/haproxy.cfg', import.meta.url))
const searchPath = `${process.env.PATH ?? ''}:/usr/sbin`
export const isBalancerHere = isInstalled('haproxy', searchPath)
const startingMilliseconds = 10_000
const pollMilliseconds = 50

/** HAProxy as docker-compose.yml runs it, in front of two instances. */
export interface Balancer extends AsyncDisposable {
  url: string
  /** Whether it sends requests to the instance at this place. */
  isUp(instance: number): Promise<boolean>
  /** What it wrote: of requests, only those that something went wrong with. */
  lines(): string[]
}

export async function openBalancer(instanceUrls: readonly [string, string]): Promise<Balancer> {
  const [port, statisticsPort] = [await findFreePort(), await findFreePort()]
  const [one, two] = instanceUrls.map((url) => new URL(url).host)
  const url = `http://127.0.0.1:${port}`
  const statisticsUrl = `http://127.0.0.1:${statisticsPort}/;csv`
  const lines: string[] = []
  const child = spawn('haproxy', ['-db', '-f', balancerConfiguration], {
    env: {
      PATH: searchPath,
      BALANCER_BIND: `127.0.0.1:${port}`,
      BALANCER_STATISTICS: `127.0.0.1:${statisticsPort}`,
      INSTANCE_1: one,
      INSTANCE_2: two,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const hear = (text: string) => lines.push(...text.split('\n').filter(Boolean))
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  await untilRunning(child)
  const ended = once(child, 'close')

  async function states(): Promise<string[]> {
    const response = await fetch(statisticsUrl)
    const [names = '', ...rows] = (await response.text()).replace(/^# /, '').trim().split('\n')
    const column = names.split(',').indexOf('status')
    return rows.filter((row) => row.startsWith('instances,instance-')).map((row) => row.split(',')[column] ?? '')
  }
  const deadline = performance.now() + startingMilliseconds
  while (
    !(await states().then(
      () => true,
      () => false,
    ))
  ) {
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`HAProxy does not start:\n${lines.join('\n')}`)
    await delay(pollMilliseconds)
  }
  return {
    url,
    lines: () => lines,
    // “UP 1/2” stands for one that has failed a check, and is still used.
    isUp: async (instance) => (await states())[instance]?.startsWith('UP') === true,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function untilRunning(child: ChildProcess): Promise<void> {
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw new Error('This needs HAProxy 2.6 or newer: on Debian, “apt-get install haproxy”.', { cause: error })
  }
}
