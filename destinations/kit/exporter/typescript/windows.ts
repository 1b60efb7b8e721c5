/**
 * Refuses events that the partner does not take any more, or not yet.
 *
 * This file is the same for every destination; what is special to this one stands in the actions.
 */
import { PayloadValidationError } from '@segment/actions-core'
import { milliseconds } from './conversions'
import { resolve } from './http'
import type { Mapping } from './http'

/** The time within which the partner takes an event; `from` is a mapping on `payload`. */
export interface Window {
  from: Mapping
  /** In seconds: how old an event may be, and how far in the future. */
  grace?: number
  ahead?: number
}

/** What returns a payload whose time is in the window, and throws for any other. */
export function within(window: Window): <T extends object>(payload: T) => T {
  return (payload) => {
    const at = milliseconds(resolve(window.from, { payload }))
    const age = at === undefined ? 0 : (Date.now() - at) / 1000
    if (window.grace !== undefined && age > window.grace) {
      throw new PayloadValidationError(`The event is too late: the partner takes events for ${window.grace} seconds.`)
    }
    if (window.ahead !== undefined && -age > window.ahead) {
      throw new PayloadValidationError(`The event is too early: its time is more than ${window.ahead} seconds ahead.`)
    }
    return payload
  }
}
