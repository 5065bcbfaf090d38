/**
 * A clock in milliseconds that never goes back, and never runs behind the time that has really passed: the monotonic
 * clock stands still while a machine sleeps or is frozen for a snapshot, so where the wall clock has gone further, the
 * difference is added. A wall clock that is set forward ends what is kept early; one that is wrong, or set back, does
 * nothing.
 */
export function createClock(): () => number {
  let lead = Date.now() - performance.now()
  return () => {
    const monotonic = performance.now()
    const latest = Date.now() - monotonic
    // Nothing is written while nothing has changed, since a number that is kept is made anew each time.
    if (latest > lead) lead = latest
    return monotonic + lead
  }
}
