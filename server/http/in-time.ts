import { DatabaseUnavailable } from '../database/unavailable.ts'

/** A caller hears within two seconds that the database is away, however long the queue before it is by then. */
const patienceMilliseconds = 1_900

/** Throws `DatabaseUnavailable` where the answer is not there in time. */
export function inTime<T>(answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new DatabaseUnavailable('no answer in time')), patienceMilliseconds)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
