/**
 * Sends the requests of requests.ts, and says what their answers mean for each event.
 *
 * This file is the same for every destination; what is special to this one stands in requests.ts.
 */
import { gzipSync } from 'zlib'
import {
  APIError,
  IntegrationError,
  InvalidAuthenticationError,
  PayloadValidationError,
  RetryableError,
  transform
} from '@segment/actions-core'
import type { JSONLikeObject, ModifiedResponse, RequestClient, RequestOptions } from '@segment/actions-core'

/** A value of the mapping kit: text, numbers, objects and lists, with directives in any place. */
export type Mapping = unknown

/** What mappings of a request read. */
export interface Context {
  payload: unknown
  settings: unknown
  /** What the request computes before. */
  computed?: readonly unknown[]
  /** What the next page of a list of choices is asked with. */
  page?: unknown
}

export type ErrorKind =
  | 'authentication'
  | 'permission'
  | 'not_found'
  | 'invalid'
  | 'conflict'
  | 'rate_limit'
  | 'timeout'
  | 'unavailable'
  | 'internal'

/** One kind of error: every condition that is there must hold, and the first rule decides. */
export interface ErrorRule {
  /** Codes, and classes such as `5xx`. */
  statuses?: ReadonlyArray<number | string>
  message?: RegExp
  code?: string
  body?: (answer: unknown) => boolean
  kind: ErrorKind
  isRetryable: boolean
  /** The error proves that the partner changed nothing. */
  provesNothingApplied: boolean
  /** The error says that the partner has the event already, so it counts as delivered. */
  isThere?: boolean
}

/** An answer of status 2xx that refuses the event; `message` is a mapping on `answer`. */
export interface Refusal {
  when: (answer: unknown) => boolean
  message: Mapping
}

/** How an answer lists the failed events of a batch; see batches.ts. */
export interface FailedItems {
  statuses: readonly number[]
  /** A mapping on the answer. */
  items: Mapping
  /** Mappings on an item, and `eventId` on the JSON of an event. */
  index?: Mapping
  itemId?: Mapping
  eventId?: Mapping
  itemStatus?: Mapping
  code?: Mapping
  message?: Mapping
}

export interface Batch {
  /** A mapping on `items` and `settings`; without it, the body is the list of items. */
  json?: Mapping
  /** The partner applies all events of a request, or none of them. */
  isAllOrNothing?: boolean
  readFailures?: (reading: FailureReading) => Array<Failure | undefined> | undefined
}

export interface FailureReading {
  request: PartnerRequest
  status: number
  answer: unknown
  items: readonly unknown[]
}

/** One request to the partner; all mappings read `payload` and `settings`. */
export interface PartnerRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  url: (context: Context) => string
  /** Whether the URL is the same for every event, so that a 404 is no verdict on one of them. */
  hasFixedUrl: boolean
  /** What its mappings read besides, such as conversions; each may read those before it. */
  computed?: ReadonlyArray<(context: Context) => unknown>
  headers?: Record<string, Mapping>
  /** The text of the query, encoded. */
  query?: (context: Context) => string
  json?: Mapping
  /** The text of the form, encoded. */
  form?: (context: Context) => string
  text?: Mapping
  /** The lines of one event. */
  ndjson?: readonly Mapping[]
  isCompressed?: boolean
  /** Of settings that have no value. */
  defaults?: object
  /** In milliseconds. */
  timeout: number
  /** Whether it may be sent again after an answer was lost. */
  canRepeat: boolean
  sign?: (body: string, settings: unknown) => Record<string, string>
  idempotencyKey?: { from: Mapping; header?: string; field?: string }
  isExpected?: (answer: unknown) => boolean
  refusals?: readonly Refusal[]
  errors: readonly ErrorRule[]
  batch?: Batch
}

/** Why an event was not delivered. */
export interface Failure {
  kind: ErrorKind
  status: number
  message: string
  isRetryable: boolean
  nothingApplied: boolean
  isThere?: boolean
}

/** The answer to a request for some events, with a failure for each that was not delivered. */
export interface Outcome {
  response: ModifiedResponse
  sent: readonly unknown[]
  answer: unknown
  failures: Array<Failure | undefined>
}

/** Send one event; throws what Segment retries, or shows as refused. */
export async function send(
  request: RequestClient,
  one: PartnerRequest,
  settings: unknown,
  payload: unknown
): Promise<ModifiedResponse> {
  const context = contextOf(one, payload, settings)
  const part = made(() => partOf(one, context))
  const { response, failures } = await exchange(request, one, context, [part])
  const failure = failures[0]
  if (failure !== undefined && !failure.isThere) {
    throw errorOf(failure, one)
  }
  return response
}

/** A client whose requests have further headers, in place of those that the destination gives to all. */
export function withHeaders(request: RequestClient, headers: Record<string, string>): RequestClient {
  return (url, options) => {
    return request(url, { ...options, headers: { ...headers, ...(options?.headers as Record<string, string>) } })
  }
}

/** What the mappings of a request read for an event; a conversion is made, and may fail, where it is read. */
export function contextOf(one: PartnerRequest, payload: unknown, settings: unknown, page?: unknown): Context {
  const computed: unknown[] = []
  const context: Context = {
    payload: withoutBatching(payload),
    settings: settingsOf(settings, one.defaults),
    page,
    computed
  }
  one.computed?.forEach((value, at) => {
    Object.defineProperty(computed, at, { enumerable: true, get: () => value(context) })
  })
  return context
}

/** The fields that Segment makes batches by: no part of an event. */
const OF_BATCHES: readonly string[] = ['enable_batching', 'batch_size', 'batch_bytes']

function withoutBatching(payload: unknown): unknown {
  if (typeof payload !== 'object' || payload === null || !OF_BATCHES.some((key) => key in payload)) {
    return payload
  }
  return Object.fromEntries(Object.entries(payload).filter(([key]) => !OF_BATCHES.includes(key)))
}

/** The settings that have a value; where nothing is said of one, its default. Empty text and null say that it has none. */
export function settingsOf<T>(settings: T, defaults: object = {}): T {
  const said = Object.entries(settings as object).filter(([, value]) => value !== undefined)
  const all = Object.entries({ ...defaults, ...Object.fromEntries(said) })
  return Object.fromEntries(all.filter(([, value]) => value !== '' && value !== null)) as T
}

/** The value at keys of which one has a dot, which no path of the framework can say. */
export function valueAt(keys: readonly string[], data: unknown): unknown {
  return keys.reduce<unknown>((value, key) => value && (value as Record<string, unknown>)[key], data)
}

/** Send the parts of one event, or of several, in one request; URL and headers are those of the `first` one. */
export async function exchange(
  request: RequestClient,
  one: PartnerRequest,
  first: Context,
  parts: readonly Part[]
): Promise<Outcome> {
  const { url, options } = made(() => messageOf(one, first, parts))
  let response: ModifiedResponse
  try {
    response = await request(url, options)
  } catch (error) {
    throw lost(error, one)
  }
  const items = parts.map((part) => part.item)
  return outcomeOf(one, response, items)
}

/** The URL of a request, and what the framework's client is asked to send there. */
function messageOf(
  one: PartnerRequest,
  first: Context,
  parts: readonly Part[]
): { url: string; options: RequestOptions } {
  const { settings } = first
  const headers = allHeaders(one, first, parts[0].key)
  const body = bodyOf(one, parts, settings)
  if (body === undefined && (one.json !== undefined || one.text !== undefined)) {
    headers['content-type'] = NO_HEADER // there is nothing that it would describe
  }
  Object.assign(headers, one.sign?.(body ?? '', settings))
  if (body !== undefined && one.isCompressed) {
    headers['content-encoding'] = 'gzip'
  }
  const options: RequestOptions = {
    method: one.method,
    headers,
    body: body !== undefined && one.isCompressed ? gzipSync(body) : body,
    redirect: 'manual',
    throwHttpErrors: false,
    timeout: one.timeout
  }
  return { url: urlOf(one, first), options }
}

/** What is made of an event or of settings; where that fails, it fails each time, and Segment must not try again. */
function made<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    const { status, message } = error as { status?: number; message?: string }
    throw status === undefined ? new PayloadValidationError(`The request cannot be made: ${message}.`) : error
  }
}

/** What an answer means. Nothing is thrown: the events may count already, and an error would send them again. */
function outcomeOf(one: PartnerRequest, response: ModifiedResponse, items: readonly unknown[]): Outcome {
  try {
    const answer = answerOf(response)
    return { response, sent: items, answer, failures: judge(one, response, answer, items) }
  } catch (error) {
    const message = `The answer cannot be read: ${(error as Error).message}.`
    const { status } = response
    const failure: Failure = { kind: 'internal', status, message, isRetryable: true, nothingApplied: false }
    return { response, sent: items, answer: null, failures: items.map(() => failure) }
  }
}

/** The value of a mapping; undefined if it gives none. */
export function resolve(mapping: Mapping, data: unknown): unknown {
  if (typeof data === 'object' && data !== null && !Array.isArray(data)) {
    return transform({ value: mapping } as JSONLikeObject, data as Record<string, unknown>).value
  }
  // The framework takes only objects, but any value is an item of an array.
  const ofItem = { '@arrayPath': ['$.items', { value: mapping }] }
  const found = transform({ found: ofItem } as JSONLikeObject, { items: [data] }).found
  return (found as Array<{ value?: unknown }>)[0].value
}

/** What a mapping finds in an answer, or in an item of one; undefined also where it fails. */
export function readAnswer(mapping: Mapping, answer: unknown): unknown {
  try {
    return resolve(mapping, answer)
  } catch {
    return undefined
  }
}

/** A value as text in a URL, a header or a form. */
export function text(value: unknown): string {
  if (value === undefined || value === null) {
    return ''
  }
  try {
    return String(value)
  } catch {
    return '[object Object]' // it has a member of the name toString
  }
}

/** A value as one segment of a path; throws if it cannot be one. */
export function segment(value: unknown): string {
  const found = encode(text(value))
  if (typeof value === 'object' || found === '' || found === '.' || found === '..') {
    throw new PayloadValidationError(`A value of the URL's path is ${JSON.stringify(value) ?? 'missing'}.`)
  }
  return found
}

/** A value percent-encoded, with all that has a meaning in URLs. */
export function encode(value: string): string {
  return encodeURIComponent(wholeText(value)).replace(
    /[!'()*]/g,
    (sign) => '%' + sign.charCodeAt(0).toString(16).toUpperCase()
  )
}

/** A text of whole characters; throws for half of one, which has no bytes: it would be sent as another one. */
export function wholeText(value: string): string {
  if (/\p{Surrogate}/u.test(value)) {
    throw new PayloadValidationError('A text of the event has half of a character.')
  }
  return value
}

/** A value as JSON of whole characters; what JSON has no form for is undefined. */
export function jsonOf(value: unknown): string {
  const found = JSON.stringify(value)
  if (/(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(found)) {
    throw new PayloadValidationError('A text of the event has half of a character.')
  }
  return found
}

/** A base URL with a path below it. */
export function below(base: string, ...path: readonly string[]): string {
  const [, origin, rest] = /^([^?#]*)(.*)$/s.exec(base) as RegExpExecArray
  return origin.replace(/\/+$/, '') + path.map((one) => '/' + one).join('') + rest
}

// -- requests ----------------------------------------------------------------------------------

/** The part of one event in the request: its JSON, null where it has none, or its text, and its key for a header. */
export interface Part {
  item: unknown
  lines?: string
  key?: string
}

/** Make the part of an event; throws if its mapping fails. */
export function partOf(one: PartnerRequest, context: Context): Part {
  const key = one.idempotencyKey?.header === undefined ? undefined : keyOf(one, context)
  if (one.ndjson !== undefined) {
    const values = one.ndjson
      .map((line) => resolve(line, context))
      .filter((line) => line !== undefined && line !== null)
    if (values.length === 0) {
      throw new PayloadValidationError('The event gives no line of the body.')
    }
    const lines = values.map((line) => jsonOf(line) + '\n').join('')
    return { item: values.length === 1 ? values[0] : values, lines, key }
  }
  if (one.form !== undefined) {
    return { item: null, lines: one.form(context), key }
  }
  if (one.text !== undefined) {
    const value = resolve(one.text, context) ?? undefined
    if (typeof value === 'object') {
      throw new PayloadValidationError('The body must be text, not a list or an object.')
    }
    return { item: null, lines: value === undefined ? undefined : wholeText(text(value)), key }
  }
  const given = one.json === undefined ? null : resolve(one.json, context) ?? null
  const field = one.idempotencyKey?.field
  const item = field === undefined ? given : withKey(given, field, keyOf(one, context))
  jsonOf(item)
  return { item, lines: '', key }
}

function withKey(item: unknown, field: string, key: string): object {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    throw new PayloadValidationError('The body of the event is no object, and cannot hold its idempotency key.')
  }
  return { ...item, [field]: key }
}

function bodyOf(one: PartnerRequest, parts: readonly Part[], settings: unknown): string | undefined {
  if (one.ndjson !== undefined || one.form !== undefined || one.text !== undefined) {
    return parts[0].lines === undefined ? undefined : parts.map((part) => part.lines).join('')
  }
  if (one.json === undefined) {
    return undefined
  }
  const items = parts.map((part) => part.item)
  if (one.batch === undefined) {
    return items[0] === null ? undefined : JSON.stringify(items[0])
  }
  // Answers number the items of a batch, so one that is null keeps its place.
  return JSON.stringify(one.batch.json === undefined ? items : resolve(one.batch.json, { items, settings }))
}

/** The value by which Segment's client takes out a header, also one that all requests have. */
export const NO_HEADER = 'undefined'

/** Headers by a mapping; null and undefined ones take out those of all requests. */
export function headersOf(mapping: Record<string, Mapping>, context: object): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, one] of Object.entries(mapping)) {
    const value = resolve(one, context)
    headers[name.toLowerCase()] = value === null || value === undefined ? NO_HEADER : headerText(name, text(value))
  }
  return headers
}

/** The header by which the partner knows the account; none without a credential. */
export function credential(header: string, value: unknown, before = ''): Record<string, string> {
  const found = text(value)
  if (/[^\t -\xff]/.test(found)) {
    throw new PayloadValidationError('A credential has characters that no header can hold.')
  }
  return found === '' ? {} : { [header]: before + found }
}

/** The header of HTTP Basic; none without a user. */
export function basic(user: unknown, password?: unknown): Record<string, string> {
  const name = text(user)
  if (name.includes(':')) {
    throw new PayloadValidationError('The user of HTTP Basic has a colon, which ends the name of a user.')
  }
  const pair = Buffer.from(`${name}:${text(password)}`).toString('base64')
  return name === '' ? {} : { authorization: `Basic ${pair}` }
}

function headerText(name: string, value: string): string {
  if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
    throw new PayloadValidationError(`The header ${name} must be one line of text in Latin-1.`)
  }
  const found = value.replace(/^[ \t]+|[ \t]+$/g, '')
  if (/^[\x85\xa0]/.test(found)) {
    throw new PayloadValidationError(`The header ${name} must not begin with white space.`)
  }
  if (found === NO_HEADER) {
    throw new PayloadValidationError(`The header ${name} would be left out, as its text is ${NO_HEADER}.`)
  }
  return found
}

function allHeaders(one: PartnerRequest, context: Context, key: string | undefined): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json' }
  const type =
    one.json !== undefined
      ? 'application/json'
      : one.form !== undefined
      ? 'application/x-www-form-urlencoded'
      : one.text !== undefined
      ? 'text/plain; charset=utf-8'
      : one.ndjson !== undefined
      ? 'application/x-ndjson'
      : undefined
  if (type !== undefined) {
    headers['content-type'] = type
  }
  Object.assign(headers, headersOf(one.headers ?? {}, context))
  const header = one.idempotencyKey?.header
  if (header !== undefined && key !== undefined) {
    headers[header.toLowerCase()] = key
  }
  return headers
}

function urlOf(one: PartnerRequest, context: Context): string {
  const url = absolute(one.url(context))
  const query = one.query?.(context) ?? ''
  return query === '' ? url : url + (url.includes('?') ? '&' : '?') + query
}

/** A URL that says where it leads; throws for any other. */
export function absolute(url: string): string {
  if (!/^https?:\/\/[^/?#]/i.test(url)) {
    throw new PayloadValidationError('The URL of the request is not absolute: a setting that it is made of is missing.')
  }
  return url
}

const VISIBLE = /^[!-~]([ -~]*[!-~])?$/

/** The key of an event; throws if other events could have the same one. */
function keyOf(one: PartnerRequest, context: Context): string {
  const value = resolve(one.idempotencyKey?.from, context)
  if (value === undefined || value === null) {
    throw new PayloadValidationError('The event has no key, by which the partner recognizes a repeated request.')
  }
  if (typeof value !== 'string' && !Number.isSafeInteger(value)) {
    throw new PayloadValidationError('The idempotency key of the event is neither text nor a whole number.')
  }
  const key = String(value)
  if (oneLine(key) === '') {
    throw new PayloadValidationError('The idempotency key of the event is blank.')
  }
  if (one.idempotencyKey?.header !== undefined && !VISIBLE.test(key)) {
    throw new PayloadValidationError(
      'The idempotency key of the event is not visible ASCII text, as a header needs it.'
    )
  }
  return key
}

// -- answers -----------------------------------------------------------------------------------

/** The answer: the value of its JSON, or its text; null if it is empty. */
export function answerOf(response: ModifiedResponse): unknown {
  const content = response.content.replace(/^\uFEFF/, '')
  if (content.trim() === '') {
    return null
  }
  try {
    return JSON.parse(content) as unknown
  } catch {
    return content // partners answer "ok" in plain text
  }
}

function judge(
  one: PartnerRequest,
  response: ModifiedResponse,
  answer: unknown,
  items: readonly unknown[]
): Array<Failure | undefined> {
  const { status } = response
  const told = one.batch?.readFailures?.({ request: one, status, answer, items })
  if (told !== undefined) {
    return told
  }
  const failure =
    status >= 200 && status < 300 ? unexpected(one, answer, status) : whole(one, response, answer, items.length)
  return items.map(() => failure)
}

/** The failure that an answer of status 2xx stands for; undefined if it is a success. */
function unexpected(one: PartnerRequest, answer: unknown, status: number): Failure | undefined {
  if (one.isExpected === undefined || one.isExpected(answer)) {
    return undefined
  }
  for (const refusal of one.refusals ?? []) {
    if (refusal.when(answer)) {
      const message = text(readAnswer(refusal.message, { answer })).trim() || 'refused without a reason'
      return { kind: 'invalid', status, message, isRetryable: false, nothingApplied: true }
    }
  }
  const message = 'The answer is not the expected one.'
  return { kind: 'internal', status, message, isRetryable: true, nothingApplied: false }
}

function whole(one: PartnerRequest, response: ModifiedResponse, answer: unknown, count: number): Failure {
  const { status } = response
  const message = errorText(response, answer)
  const failure = failureOf(one, { status, message, body: answer }) ?? byStatus(one, status, message)
  const isRefused = one.batch?.isAllOrNothing === true && status >= 400 && status < 500 && failure.kind !== 'timeout'
  const isUnread = [307, 308, 413].includes(status)
  return {
    ...failure,
    message: failure.message.slice(0, 1000),
    isThere: failure.isThere === true && count === 1,
    nothingApplied: failure.nothingApplied || isRefused || isUnread
  }
}

export interface Signal {
  status: number
  message: string
  code?: string
  body: unknown
}

/** The failure by the first rule that holds; undefined if none does. */
export function failureOf(one: PartnerRequest, { status, message, code, body }: Signal): Failure | undefined {
  const rule = one.errors.find(
    (each) =>
      (each.statuses?.some((known) => known === status || known === `${Math.floor(status / 100)}xx`) ?? true) &&
      (each.code === undefined || each.code === code) &&
      (each.message?.test(message) ?? true) &&
      (each.body?.(body) ?? true)
  )
  if (rule === undefined) {
    return undefined
  }
  const { kind, isRetryable, provesNothingApplied, isThere } = rule
  return { kind, status, message, isRetryable, nothingApplied: provesNothingApplied, isThere }
}

/** The meaning of a status that no rule knows, as in Segment's framework. */
export function byStatus(one: PartnerRequest, status: number, message: string): Failure {
  const ofAddress = one.hasFixedUrl && [404, 405, 410, 415].includes(status)
  const found = (kind: ErrorKind, isRetryable: boolean, nothingApplied: boolean): Failure => ({
    kind,
    status,
    message,
    isRetryable,
    nothingApplied: nothingApplied || ofAddress
  })
  switch (status) {
    case 401:
      return found('authentication', false, true)
    case 403:
      return found('permission', false, true)
    case 404:
      return found('not_found', false, false)
    case 408:
      return found('timeout', true, false)
    case 423:
      return found('conflict', true, false)
    case 429:
      return found('rate_limit', true, true)
    case 501:
      return found('invalid', false, false)
  }
  return status >= 500 ? found('unavailable', true, false) : found('invalid', false, false)
}

/** The message of an error, from the places where partners write it. */
function reasonOf(answer: unknown): string {
  if (typeof answer === 'string') {
    return oneLine(answer)
  }
  if (Array.isArray(answer)) {
    return reasonOf(answer[0])
  }
  if (typeof answer !== 'object' || answer === null) {
    return ''
  }
  const members = answer as Record<string, unknown>
  const inner = ['error', 'errors', 'meta'].map((key) => reasonOf(members[key]))
  const own = ['message', 'reason', 'detail', 'title'].map((key) => members[key])
  const found = [...inner, ...own].find((one) => typeof one === 'string' && oneLine(one) !== '')
  return typeof found === 'string' ? oneLine(found) : ''
}

/** The partner's reason on one line: its message, else the text of the answer. */
function errorText(response: ModifiedResponse, answer: unknown): string {
  const location = response.headers.get('location')
  if (response.status < 400 && location) {
    const [, origin = '', path, query] = LOCATION.exec(location) as RegExpExecArray
    return `redirected to ${origin}${path}${query ? '?***' : ''}; redirects are not followed`
  }
  return reasonOf(answer) || oneLine(response.content.replace(/^\uFEFF/, ''))
}

/** The place of a redirect without what may be secret: the user and the query. */
const LOCATION = /^(?:((?:[a-z][a-z0-9+.-]*:)?\/\/)(?:[^/?#]*@)?)?([^?#]*)(\?[^#]+)?/i

function oneLine(value: string): string {
  const words = value
    .slice(0, 65536)
    .split(/[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/)
  return words.filter((one) => one !== '').join(' ')
}

// -- errors ------------------------------------------------------------------------------------

const STATUS: Record<ErrorKind, number> = {
  authentication: 401,
  permission: 403,
  not_found: 404,
  invalid: 400,
  conflict: 409,
  rate_limit: 400,
  timeout: 400,
  unavailable: 400,
  internal: 400
}

const RETRIED = [408, 423, 429, 500, 502, 503, 504] as const

/** Whether Segment may send the event again. */
export function isRepeated(failure: Failure, one: PartnerRequest): boolean {
  return failure.isRetryable && failure.kind !== 'authentication' && (failure.nothingApplied || one.canRepeat)
}

/** The error of Segment's framework for a failure. */
export function errorOf(failure: Failure, one: PartnerRequest): Error {
  const { kind, status, message } = failure
  if (kind === 'authentication') {
    // With OAuth2, Segment sends the event again, with a new token.
    return failure.nothingApplied || one.canRepeat ? new InvalidAuthenticationError(message) : notRepeated(message)
  }
  if (isRepeated(failure, one)) {
    return retryable(message, status)
  }
  if (failure.isRetryable) {
    return notRepeated(message)
  }
  return new APIError(message, refusedStatus(failure))
}

/** An error after which Segment sends an event again. */
export function retryable(message: string, status: number): Error {
  return new RetryableError(message, RETRIED.find((known) => known === status) ?? 500)
}

/** A status by which Segment does not send the event again; with OAuth2, it does after a 401. */
export function refusedStatus({ kind, status }: Failure): number {
  const isRetried = status < 400 || status >= 500 || [401, 408, 423, 429].includes(status)
  return isRetried ? STATUS[kind] : status
}

function notRepeated(message: string): Error {
  const text = `${message} The partner may have applied the request, and would count a second one, too: it is not sent again.`
  return new IntegrationError(text, 'ANSWER_LOST', 400)
}

/** What is thrown where no answer came: without the client's message, which may show a URL with a credential. */
export function lost(error: unknown, one: { canRepeat: boolean }): unknown {
  const { cause, code, name, status } = error as { cause?: unknown; code?: string; name?: string; status?: number }
  if (name === 'TypeError' && cause === undefined) {
    return new PayloadValidationError('The request cannot be made: the client does not take its URL or a header.')
  }
  const wasNotSent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code ?? '')
  const message = `The partner gave no answer (${code ?? name ?? 'unknown'}).`
  if (one.canRepeat || wasNotSent) {
    return status === undefined ? retryable(message, 500) : error
  }
  return notRepeated(message)
}
