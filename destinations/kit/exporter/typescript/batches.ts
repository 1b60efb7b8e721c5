/**
 * Sends several events in one request, and tells which of them failed.
 *
 * This file is the same for every destination; what is special to this one stands in requests.ts.
 */
import { MultiStatusResponse, getErrorCodeFromHttpStatus } from '@segment/actions-core'
import type { JSONLikeObject, RequestClient } from '@segment/actions-core'
import {
  byStatus,
  contextOf,
  errorOf,
  exchange,
  failureOf,
  isRepeated,
  partOf,
  readAnswer,
  refusedStatus,
  resolve,
  text
} from './http'
import type { Context, FailedItems, Failure, FailureReading, Part, PartnerRequest } from './http'

/** Send events in one request; throws if the partner took none of them. */
export async function sendBatch(
  request: RequestClient,
  one: PartnerRequest,
  settings: unknown,
  payloads: readonly object[],
  prepare: (payload: object) => object = (payload) => payload
): Promise<MultiStatusResponse> {
  const results = new MultiStatusResponse()
  const ready: Array<{ at: number; context: Context; part: Part }> = []
  payloads.forEach((payload, at) => {
    try {
      const context = contextOf(one, prepare(payload), settings)
      ready.push({ at, context, part: partOf(one, context) })
    } catch (error) {
      const errormessage = (error as Error).message
      results.setErrorResponseAtIndex(at, { status: 400, errortype: 'PAYLOAD_VALIDATION_FAILED', errormessage })
    }
  })
  if (ready.length === 0) {
    return results
  }
  const parts = ready.map(({ part }) => part)
  const { response, sent, answer, failures } = await exchange(request, one, ready[0].context, parts)
  const [failure] = failures
  const isWhole = parts.length === payloads.length && failures.every((each) => each === failure)
  if (failure !== undefined && isWhole && !failure.isThere) {
    throw errorOf(failure, one)
  }
  // With OAuth2, Segment sends all events again for one of status 401, also those that the partner has taken.
  const isRefused = failures.every((each) => each?.kind === 'authentication')
  failures.forEach((each, index) => {
    const { at } = ready[index]
    const about = { sent: sent[index] as JSONLikeObject, body: answer as JSONLikeObject }
    if (each === undefined || each.isThere) {
      results.setSuccessResponseAtIndex(at, { status: response.ok ? response.status : 200, ...about })
      return
    }
    const refused = each.kind === 'authentication' && !isRefused ? 403 : refusedStatus(each)
    const status = isRepeated(each, one) ? 500 : refused
    const errortype = getErrorCodeFromHttpStatus(status)
    results.setErrorResponseAtIndex(at, { status, errortype, errormessage: each.message, ...about })
  })
  return results
}

/** Read the failed events that an answer lists; the others are delivered. */
export function failedItems(form: FailedItems): (reading: FailureReading) => Array<Failure | undefined> | undefined {
  return (reading) => (form.statuses.includes(reading.status) ? read(form, reading) : undefined)
}

interface Found {
  failure?: Failure
  /** The positions of the events that it may belong to. */
  places: readonly number[]
}

function read(form: FailedItems, reading: FailureReading): Array<Failure | undefined> | undefined {
  const { answer, items, request, status } = reading
  const listed = listedIn(form, answer)
  const isPositional = form.index === undefined && form.itemId === undefined
  if (isNothing(listed) && !isPositional) {
    return undefined
  }
  const ids = form.itemId === undefined ? [] : items.map((event) => idOf(of(form.eventId, event)))
  const pairs = isNothing(listed) ? [] : pairsOf(listed, ids)
  const isComplete = pairs.length === items.length
  const failures = new Map<number, Failure>()
  const unplaced: Found[] = []
  pairs.forEach(([key, item], at) => {
    const failure = failureOfItem(form, reading, item)
    if (failure === undefined) {
      return
    }
    const places = isPositional ? (isComplete ? [at] : []) : placesOf(form, key, item, ids)
    if (places.length === 1 && places[0] < items.length) {
      failures.set(places[0], failure)
    } else {
      unplaced.push({ failure, places })
    }
  })
  if (isPositional && !isComplete) {
    unplaced.push({ places: [] })
  }
  if (failures.size === 0 && unplaced.length === 0) {
    return undefined
  }
  const all = items.map((_, at) => {
    const doubt = unplaced.find(({ places }) => places.length < 2 || places.includes(at))
    if (failures.has(at) || doubt === undefined) {
      return failures.get(at)
    }
    return (items.length === 1 && doubt.failure) || unknownOne(doubt.failure, status)
  })
  return request.batch?.isAllOrNothing ? noneApplied(all, status) : all
}

/** What an answer lists: its items, or text that is no item where they cannot be read. */
function listedIn(form: FailedItems, answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null) {
    return undefined
  }
  try {
    return resolve(form.items, answer)
  } catch (error) {
    return `unreadable items: ${(error as Error).message}`
  }
}

function failureOfItem(form: FailedItems, { request, status }: FailureReading, item: unknown): Failure | undefined {
  const own = form.itemStatus === undefined ? status : place(of(form.itemStatus, item))
  if (own === undefined) {
    return unknownOne(undefined, status)
  }
  if (form.itemStatus !== undefined && own >= 200 && own < 300) {
    return undefined
  }
  const reason = of(form.message, item) ?? (typeof item === 'string' ? item : JSON.stringify(item))
  const message = text(reason).replace(/\s+/g, ' ').trim() || 'Refused without a reason.'
  const refused: Failure = { kind: 'invalid', status: own, message, isRetryable: false, nothingApplied: true }
  if (form.code === undefined && form.itemStatus === undefined) {
    return refused
  }
  const code = of(form.code, item)
  const signal = { status: own, message, code: code === undefined ? undefined : text(code), body: item }
  const byRule = failureOf(request, signal)
  if (byRule !== undefined) {
    return byRule.isThere ? { ...byRule, nothingApplied: true } : byRule
  }
  if (form.itemStatus === undefined) {
    return refused
  }
  const failure = byStatus(request, own, message)
  return own >= 400 && own < 500 && !failure.isRetryable ? { ...failure, nothingApplied: true } : failure
}

/** The positions of the events that an item may belong to. */
function placesOf(form: FailedItems, key: unknown, item: unknown, ids: readonly string[]): number[] {
  if (form.itemId !== undefined) {
    const id = idOf(of(form.itemId, item) ?? key)
    return ids.flatMap((known, at) => (id !== '' && known === id ? [at] : []))
  }
  const index = place(of(form.index, item)) ?? place(key)
  return index === undefined ? [] : [index]
}

/** The failure of each event of a batch of which nothing was applied. */
function noneApplied(failures: Array<Failure | undefined>, status: number): Array<Failure | undefined> {
  if (failures.every((each) => each === undefined)) {
    return failures
  }
  const message = 'Not applied, as other events of its batch failed.'
  const beside: Failure = { kind: 'conflict', status, message, isRetryable: true, nothingApplied: true }
  return failures.map((each) => (each === undefined ? beside : { ...each, nothingApplied: true }))
}

/** The failure of an event that may be the one that failed. */
function unknownOne(failure: Failure | undefined, status: number): Failure {
  const reason = failure === undefined ? 'items are missing or unreadable' : `one of them failed: ${failure.message}`
  const message = `The answer does not identify the failed events of the batch: ${reason}.`
  return { kind: 'internal', status, message, isRetryable: true, nothingApplied: false }
}

function of(mapping: unknown, item: unknown): unknown {
  if (mapping === undefined || typeof item !== 'object' || item === null) {
    return undefined
  }
  return readAnswer(mapping, item) ?? undefined
}

function isNothing(value: unknown): boolean {
  return !value || (typeof value === 'object' && Object.keys(value).length === 0)
}

/** The items of an answer; those of an object have keys, which are places or ids of events. */
function pairsOf(listed: unknown, ids: readonly string[]): Array<[unknown, unknown]> {
  if (Array.isArray(listed)) {
    return listed.map((item) => [undefined, item])
  }
  if (typeof listed === 'object' && listed !== null) {
    const entries = Object.entries(listed)
    const isOfItems = entries.every(([, item]) => typeof item === 'object' && item !== null)
    if (isOfItems || entries.every(([key]) => place(key) !== undefined || ids.includes(key))) {
      return entries
    }
  }
  return [[undefined, listed]]
}

function place(value: unknown): number | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') {
    return undefined
  }
  return /^\s*\d{1,9}\s*$/.test(String(value)) ? Number(value) : undefined
}

function idOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
