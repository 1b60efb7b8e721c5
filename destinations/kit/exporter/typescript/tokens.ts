/**
 * Asks the partner for access tokens.
 *
 * This file is the same for every destination; what is special to this one stands in index.ts.
 */
import { ErrorCodes, InvalidAuthenticationError } from '@segment/actions-core'
import type { ModifiedResponse, RequestClient } from '@segment/actions-core'
import { absolute, answerOf, lost, NO_HEADER, retryable, text } from './http'

export interface TokenRequest {
  url: string
  /** In milliseconds. */
  timeout: number
  /** The form, but for the credentials of the client. */
  fields: Record<string, string>
  client: { id?: string; secret?: string; isInBody?: boolean }
  /** The headers that all other requests have. */
  without?: readonly string[]
}

export interface Tokens {
  accessToken: string
  refreshToken?: string
}

/** Ask for an access token; throws what Segment retries, or shows as refused. */
export async function askToken(request: RequestClient, asked: TokenRequest): Promise<Tokens> {
  const { fields, timeout, without = [] } = asked
  const [id, secret] = [text(asked.client.id), text(asked.client.secret)]
  const grant = Object.entries(fields).map(([name, value]) => [name, text(value)])
  const isMissing = fields.grant_type === 'refresh_token' ? text(fields.refresh_token) === '' : secret === ''
  if (id === '' || isMissing) {
    throw refused('A credential is missing')
  }
  const headers: Record<string, string> = {
    ...Object.fromEntries(without.map((name) => [name, NO_HEADER])),
    accept: 'application/json',
    'content-type': 'application/x-www-form-urlencoded'
  }
  if (secret === '') {
    grant.push(['client_id', id])
  } else if (asked.client.isInBody) {
    grant.push(['client_id', id], ['client_secret', secret])
  } else {
    headers.authorization = basicOf(id, secret)
  }
  const url = absolute(asked.url)
  const body = new URLSearchParams(grant).toString()
  let response: ModifiedResponse
  try {
    // A redirect would carry the credentials to another place.
    response = await request(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      throwHttpErrors: false,
      timeout
    })
  } catch (error) {
    throw lost(error, { canRepeat: true })
  }
  return tokensOf(response)
}

function basicOf(id: string, secret: string): string {
  const pair = `${id}:${secret}`
  if (/[^\0-\xff]/.test(pair)) {
    throw refused('The ID or the secret of the client has characters that no header can hold')
  }
  return `Basic ${Buffer.from(pair, 'latin1').toString('base64')}`
}

/** Errors that say nothing about the credentials (RFC 6749, 4.1.2.1; RFC 8628, 3.5). */
const MAY_PASS: readonly unknown[] = ['server_error', 'slow_down', 'temporarily_unavailable']

/** The tokens in an answer; also in those that no OAuth2 server should give. */
function tokensOf(response: ModifiedResponse): Tokens {
  const { status } = response
  const answer = answerOf(response)
  const members = typeof answer === 'object' && !Array.isArray(answer) ? { ...answer } : {}
  const { access_token: token, error: code } = members as Record<string, unknown>
  const isError = typeof code === 'string' && code !== ''
  if (status >= 200 && status < 300 && typeof token === 'string' && (token.trim() !== '' || !isError)) {
    return usable(token.trim(), members, status)
  }
  if (status >= 500 || [408, 429].includes(status) || MAY_PASS.includes(code)) {
    throw retryable(`${NO_TOKEN}: HTTP ${status}.`, status)
  }
  if (isError) {
    throw refused(`The partner refuses the credentials (${/^[\w.-]{1,60}$/.test(code) ? code : 'an error'})`, code)
  }
  if ([400, 401, 403].includes(status) && Object.keys(members).length > 0) {
    throw refused(`The partner refuses the credentials (HTTP ${status})`)
  }
  throw retryable(`${NO_TOKEN}: HTTP ${status} without one.`, status)
}

const NO_TOKEN = 'The partner gives no access token'

function usable(token: string, members: { token_type?: unknown; refresh_token?: unknown }, status: number): Tokens {
  const { token_type: kind, refresh_token: next } = members
  const isBearer = typeof kind !== 'string' || ['', 'bearer'].includes(kind.trim().toLowerCase())
  if (!isBearer || !/^[ -~]+$/.test(token)) {
    throw retryable(`${NO_TOKEN} that a header can hold as a Bearer token.`, status)
  }
  return typeof next === 'string' && next.trim() !== ''
    ? { accessToken: token, refreshToken: next }
    : { accessToken: token }
}

function refused(message: string, code = ''): Error {
  const isOld = ['invalid_grant', 'bad_refresh_token'].includes(code)
  return new InvalidAuthenticationError(
    `${message}: there is no access token.`,
    isOld ? ErrorCodes.REFRESH_TOKEN_EXPIRED : ErrorCodes.OAUTH_REFRESH_FAILED
  )
}
