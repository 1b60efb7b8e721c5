/**
 * Refuses events that the partner does not take any more, or not yet.
 *
 * This file is the same for every destination; what is special to this one stands in the actions.
 */
import { IntegrationError, PayloadValidationError } from '@segment/actions-core'
import { milliseconds } from './conversions'
import { resolve } from './http'
import type { Mapping } from './http'

/** The time within which the partner takes an event; `from` is a mapping on `payload`. */
export interface Window {
  from: Mapping
  /** In seconds: how old an event may be, and how far in the future. A setting may say how old. */
  grace?: number | { setting: string; default: number }
  ahead?: number
}

const UNITS: { [unit: string]: number } = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 }
const HUNDRED_YEARS = 36500 * 86400

/** How many seconds old an event may be. */
function graceOf(window: Window, settings: object): number | undefined {
  const { grace } = window
  if (grace === undefined || typeof grace === 'number') return grace
  const value = (settings as { [name: string]: unknown })[grace.setting]
  if (value === undefined || value === null) return grace.default
  const found = /^([1-9][0-9]{0,5})([smhdw])$/.exec(String(value).trim())
  const seconds = found === null ? NaN : Number(found[1]) * UNITS[found[2]]
  if (!(seconds <= HUNDRED_YEARS)) {
    throw new IntegrationError(
      `The setting ${grace.setting} is no duration: write it as 90s, 15m or 4h.`,
      'INVALID_SETTINGS',
      400
    )
  }
  return seconds
}

/** What returns a payload whose time is in the window, and throws for any other. */
export function within(window: Window): <T extends object>(payload: T, settings: object) => T {
  return (payload, settings) => {
    const at = milliseconds(resolve(window.from, { payload }))
    const age = at === undefined ? 0 : (Date.now() - at) / 1000
    const grace = graceOf(window, settings)
    if (grace !== undefined && age > grace) {
      throw new PayloadValidationError(`The event is too late: the partner takes events for ${grace} seconds.`)
    }
    if (window.ahead !== undefined && -age > window.ahead) {
      throw new PayloadValidationError(`The event is too early: its time is more than ${window.ahead} seconds ahead.`)
    }
    return payload
  }
}
